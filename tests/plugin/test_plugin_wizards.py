"""The wizards: what they propose, and what the mask is drawn over."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import mrcfile
import numpy as np
import pytest

pytest.importorskip("pwem", reason="Scipion is not installed")
pytestmark = pytest.mark.scipion


@pytest.mark.parametrize(("sampling_rate", "expected"), [(0.8, 8.0), (3.54, 8.0), (4.0, 9.0), (7.0, 15.5)])
def test_resolution_is_proposed_from_the_pixel_size(sampling_rate: float, expected: float) -> None:
    from alignpca2d_plugin.wizards.wizard_resolution import explanation, proposal

    assert proposal(sampling_rate) == expected
    assert expected > 2 * sampling_rate
    assert f"{expected:g} Å is set" in explanation(sampling_rate, expected)


@pytest.mark.parametrize(("box", "radius", "diameter"), [(64, 32, -1), (65, 32, -1), (64, 31, 219.5), (64, 12, 85.0)])
def test_the_mask_wizard_gives_a_diameter_that_fits_the_box(box: int, radius: int, diameter: float) -> None:
    """Its largest circle, where it begins, is the automatic one: 64 pixels of 3.54 Å were rounded up to 226.6 Å."""
    from alignpca2d_plugin.wizards.wizard_mask import diameter_angstrom, radius_px

    particles = SimpleNamespace(getXDim=lambda: box, getSamplingRate=lambda: 3.54)
    protocol = SimpleNamespace(inputParticles=SimpleNamespace(get=lambda: particles))
    assert diameter_angstrom(protocol, radius) == diameter
    protocol.maskDiameter = SimpleNamespace(get=lambda: diameter)
    assert radius_px(protocol) == (-1 if diameter == -1 else radius)


def test_the_mask_is_drawn_over_an_average(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one noisy image the particle cannot be seen; in the average of all it can."""
    from pwem.objects import Particle, SetOfParticles

    from alignpca2d_plugin.wizards.wizard_mask import AverageFirst, average_item

    monkeypatch.chdir(tmp_path)
    box, number = 32, 120
    x, y = np.meshgrid(*2 * [np.arange(box) - box // 2])
    disc = np.hypot(x, y) < 7
    images = np.random.default_rng(0).normal(size=(number, box, box)) + disc
    with mrcfile.new("stack.mrcs") as stack:
        stack.set_data(images.astype(np.float32))
        stack.set_image_stack()
    particles = SetOfParticles(filename="particles.sqlite")
    particles.setSamplingRate(4.0)
    for index in range(1, number + 1):
        particle = Particle(objId=index)
        particle.setLocation(index, "stack.mrcs")
        particles.append(particle)
    particles.write()
    item = average_item(particles, str(tmp_path))
    assert item.averaged == number
    with mrcfile.open(item.getFileName()) as file:
        average = file.data.squeeze()
    assert np.corrcoef(average.ravel(), disc.ravel())[0, 1] > 0.9
    provider = AverageFirst([item, particles.getFirstItem()])
    assert [provider.getText(one) for one in provider.getObjects()] == [f"average of {number}", "001@stack.mrcs"]
