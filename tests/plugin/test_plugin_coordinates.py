"""Coordinates that the protocol moves to the centres found, on sets of pwem's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from alignpca2d_core.fourier.rigid_transforms import Poses, invert

pytest.importorskip("pwem", reason="Scipion is not installed")
pytestmark = pytest.mark.scipion

PARTICLE_PIXEL, MICROGRAPH_PIXEL = 4.5, 1.5
POSES = Poses(np.array([0.0, 90.0, -35.0, 10.0]), np.array([2.0, 3.0, -4.0, 0.5]), np.array([0.0, -1.0, 2.5, 0.0]))


@pytest.fixture
def sets(tmp_path: Path) -> tuple[Any, Any]:
    """Four classified particles of two micrographs, whose centres are at (100 + 50 k, 200), and the micrographs."""
    from pwem.objects import (
        Class2D,
        Coordinate,
        Micrograph,
        Particle,
        SetOfClasses2D,
        SetOfMicrographs,
        SetOfParticles,
    )
    from pyworkflow.object import Float

    from alignpca2d_plugin.results import Assignment, alignment_2d

    micrographs = SetOfMicrographs(filename=str(tmp_path / "mics.sqlite"))
    micrographs.setSamplingRate(MICROGRAPH_PIXEL)
    for number in (1, 2):
        micrograph = Micrograph(objId=number)
        micrograph.setFileName(f"mic_{number}.mrc")
        micrograph.setMicName(f"mic_{number}")
        micrograph.setSamplingRate(MICROGRAPH_PIXEL)
        micrographs.append(micrograph)
    images = SetOfParticles(filename=str(tmp_path / "particles.sqlite"))
    images.setSamplingRate(PARTICLE_PIXEL)
    images.setDim((64, 64, 1))
    classes = SetOfClasses2D(filename=str(tmp_path / "classes.sqlite"))
    classes.setImages(images)
    item = Class2D(objId=1)
    item.setRepresentative(Particle())
    classes.append(item)
    offset = invert(POSES)
    for k in range(4):
        particle = Particle(location=(k + 1, "p.mrcs"), objId=k + 1)
        particle.setSamplingRate(PARTICLE_PIXEL)
        coordinate = Coordinate()
        coordinate.setPosition(
            float(100 + 50 * k - offset.shift_x_px[k]) if k < 3 else 202.0, float(200 - offset.shift_y_px[k])
        )
        coordinate.setMicName("mic_1" if k != 1 else "mic_9")
        coordinate.setMicId(1 if k != 1 else 9)
        particle.setCoordinate(coordinate)
        particle.setTransform(
            alignment_2d(Assignment(1, POSES.psi_deg[k], POSES.shift_x_px[k], POSES.shift_y_px[k], 1.0))
        )
        particle._alignpca2d_score = Float(k)
        item.append(particle)
    item.write()
    classes.update(item)
    classes.write()
    return classes, micrographs


def coordinates_of(
    sets: tuple[Any, Any], folder: Path, distance: float | None
) -> tuple[tuple[int, ...], dict[int, Any]]:
    from pwem.objects import SetOfCoordinates

    from alignpca2d_plugin.protocols.coordinate_output import fill_coordinates

    found = SetOfCoordinates(filename=str(folder / f"coordinates{distance}.sqlite"))
    found.setMicrographs(sets[1])
    counts = fill_coordinates(found, *sets, distance)
    places = {
        one.getObjId(): (one.getX() - one.xFrac.get(), one.getY() - one.yFrac.get(), one.getMicName())
        for one in found.iterItems()
    }
    return counts, places


def test_coordinates_are_those_of_the_centres(sets: tuple[Any, Any], tmp_path: Path) -> None:
    counts, places = coordinates_of(sets, tmp_path, None)
    assert counts == (3, 1, 0)
    assert set(places) == {1, 3, 4}
    for k in (0, 2):
        assert places[k + 1][:2] == pytest.approx(((100 + 50 * k) * 3, 200 * 3), abs=1.5)
        assert places[k + 1][2] == "mic_1"


def test_coordinates_of_chosen_classes_alone(sets: tuple[Any, Any], tmp_path: Path) -> None:
    from pwem.objects import SetOfCoordinates

    from alignpca2d_plugin.chosen_particles import has_number
    from alignpca2d_plugin.protocols.coordinate_output import fill_coordinates

    for number, expected in ((1, (3, 1, 0)), (2, (0, 0, 0))):
        found = SetOfCoordinates(filename=str(tmp_path / f"of_class_{number}.sqlite"))
        found.setMicrographs(sets[1])
        assert fill_coordinates(found, *sets, is_chosen=has_number({number})) == expected


def test_near_duplicates_leave_the_better_one(sets: tuple[Any, Any], tmp_path: Path) -> None:
    counts, places = coordinates_of(sets, tmp_path, 30.0)
    assert counts == (2, 1, 1)
    assert set(places) == {1, 4}
