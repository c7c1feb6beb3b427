"""What tests of the plugin's sets share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

BOX, SAMPLING = 16, 2.5


@pytest.fixture
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder of the test's own: sets have relative names."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def make_set(in_folder: None) -> Callable[..., Any]:
    """A SetOfParticles in particles.sqlite with these ids, some of them disabled."""
    from pwem.objects import Acquisition, CTFModel, Particle, SetOfParticles

    def make(ids: Iterable[int], disabled: Iterable[int] = (), state: int = 2) -> Any:
        particles = SetOfParticles(filename="particles.sqlite")
        particles._setFirstDim = lambda image: particles.setDim((BOX, BOX, 1))
        particles.setSamplingRate(SAMPLING)
        particles.setHasCTF(True)
        particles.setAcquisition(
            Acquisition(magnification=50000, voltage=200, sphericalAberration=1.4, amplitudeContrast=0.08)
        )
        for identifier in ids:
            particle = Particle(objId=identifier)
            particle.setLocation(identifier, "stack.mrcs")
            ctf = CTFModel()
            ctf.setStandardDefocus(10000.0 + identifier, 9000.0, 20.0)
            particle.setCTF(ctf)
            particle.setEnabled(identifier not in set(disabled))
            particles.append(particle)
        particles.setStreamState(state)
        particles.write()
        return particles

    return make
