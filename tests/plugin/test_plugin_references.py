"""The averages of given classes, as a stack for the program: whole, or not there, and those that the form names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import pytest

pytest.importorskip("pwem", reason="Scipion is not installed")
pytestmark = [pytest.mark.scipion, pytest.mark.usefixtures("in_folder")]

BOX, SAMPLING = 16, 2.5


@pytest.fixture
def images() -> np.ndarray:
    """Three images in the stack ``given.mrcs``."""
    made = np.random.default_rng(1).normal(size=(3, BOX, BOX)).astype(np.float32)
    with mrcfile.new("given.mrcs", made) as stack:
        stack.set_image_stack()
    return made


def averages(name: str, *locations: tuple[int, str]) -> Any:
    """A SetOfAverages of images that lie there."""
    from pwem.objects import Particle, SetOfAverages

    found = SetOfAverages(filename=name)
    found._setFirstDim = lambda image: found.setDim((BOX, BOX, 1))
    found.setSamplingRate(SAMPLING)
    for location in locations:
        average = Particle()
        average.setLocation(*location)
        average.setSamplingRate(SAMPLING)
        found.append(average)
    found.write()
    return found


def test_a_stack_of_averages_is_whole_or_not_there(images: np.ndarray) -> None:
    from alignpca2d_plugin.convert import write_averages

    broken = averages("broken.sqlite", (1, "given.mrcs"), (2, "given.mrcs"), (1, "missing.mrcs"))
    with pytest.raises(ValueError, match=r"missing\.mrcs: cannot be read"):
        write_averages(broken.iterItems(), "references.mrcs")
    assert not Path("references.mrcs").exists()
    assert write_averages([], "references.mrcs") == 0
    assert not Path("references.mrcs").exists()
    complete = averages("complete.sqlite", (3, "given.mrcs"), (1, "given.mrcs"))
    assert write_averages(complete.iterItems(), "references.mrcs") == 2
    np.testing.assert_array_equal(mrcfile.read("references.mrcs"), images[[2, 0]])
    assert not Path("references.mrcs.tmp").exists()


def test_a_run_that_goes_on_from_other_classes_takes_those(make_set: Callable[..., Any], images: np.ndarray) -> None:
    """A stream, whose program has begun with the first ones, keeps them."""
    from pwem import Domain

    from alignpca2d_plugin.constants import MODE_UPDATE

    Path("run/extra").mkdir(parents=True)
    protocol = Domain.getProtocols()["ProtAlignPCA2D"](workingDir="run")
    protocol.inputParticles.set(make_set([1, 2]))
    protocol.mode.set(MODE_UPDATE)
    protocol.info = lambda *_: None

    def references() -> np.ndarray:
        return np.squeeze(mrcfile.read("run/extra/references.mrcs"))

    for number in (1, 2):
        protocol.initialClasses.set(averages(f"averages{number}.sqlite", (number, "given.mrcs")))
        protocol.convertInputStep()
        np.testing.assert_array_equal(references(), images[number - 1])
    protocol.initialClasses.set(averages("averages3.sqlite", (3, "given.mrcs")))
    protocol._writeReferences()  # as a batch of a stream does
    np.testing.assert_array_equal(references(), images[1])
