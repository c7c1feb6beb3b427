"""Particles of other people: each set runs to the classes asked for, and what can be known of them is right."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from simulated import run

from alignpca2d_core.fourier.rigid_transforms import apply
from alignpca2d_core.io.particle_reading import read_particles
from alignpca2d_core.io.stacks import StackReader
from alignpca2d_core.results.result_files import Classification


@dataclass(frozen=True)
class Case:
    """A set of particles: where it lies, how it is classified, and how many there are."""

    path: str
    particles: int
    box: int
    options: dict[str, Any]


CASES = {
    "slicem": Case("slicem/mixture_2D.mrcs", 100, 96, {"classes": 10, "sampling_rate": 4.36, "resolution": 12.0}),
    "aspire": Case("aspire_sample/sample_particles_relion31.star", 17, 200, {"classes": 3, "resolution": 20.0}),
    "empiar10076": Case("empiar10076/empiar_10076_7.star", 7, 320, {"classes": 2, "resolution": 20.0, "invert": True}),
    "cryodrgn": Case("cryodrgn_toy/toy_projections.mrcs", 1000, 30, {"classes": 10, "resolution": 2.5}),
}


@dataclass(frozen=True)
class Outcome:
    """What a run left."""

    case: Case
    directory: Path
    result: Classification


Classify = Callable[[str], Outcome]


@pytest.fixture(scope="module")
def classified(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Classify:
    """Classifies a set when it is first asked for."""

    @cache
    def outcome(name: str) -> Outcome:
        case, directory = CASES[name], tmp_path_factory.mktemp(name)
        path = shared_data / "stacks" / case.path
        if not path.is_file():
            pytest.skip(f"{path} is not there")
        return Outcome(case, directory, run(path, directory, **case.options))

    return outcome


@pytest.fixture(params=list(CASES))
def outcome(request: pytest.FixtureRequest, classified: Classify) -> Outcome:
    return classified(request.param)


def images_of(shared_data: Path, name: str) -> NDArray[np.float32]:
    particles = read_particles(shared_data / "stacks" / name)
    with StackReader(particles) as reader:
        return reader.read(np.arange(len(particles)))


def test_every_particle_is_in_a_class_and_none_is_empty(outcome: Outcome) -> None:
    result, case = outcome.result, outcome.case
    assert len(result) == case.options["classes"]
    assert result.assignments.min() >= 0
    assert np.array_equal(np.bincount(result.assignments), result.sizes)
    assert int(result.sizes.sum()) == case.particles
    assert result.sizes.min() >= 1


def test_averages_are_pictures(outcome: Outcome) -> None:
    result, box = outcome.result, outcome.case.box
    assert result.averages.shape[1:] == (box, box)
    assert np.isfinite(result.averages).all()
    y, x = np.mgrid[:box, :box] - box // 2
    middle, rim = np.hypot(x, y) < box * 0.2, np.hypot(x, y) > box * 0.45
    for average in result.averages:
        assert average[middle].mean() > average[rim].mean() + 0.5 * average[rim].std()
    for pose in (result.poses.psi_deg, result.poses.shift_x_px, result.poses.shift_y_px):
        assert np.isfinite(pose).all()
    assert np.all(np.isfinite(result.resolution_angstrom) & (result.resolution_angstrom > 0))


def test_all_files_are_there(outcome: Outcome) -> None:
    names = {"particles.xmd", "classes.xmd", "classes.mrcs", "gallery.png", "summary.json", "state"}
    assert {path.name for path in outcome.directory.iterdir()} >= names
    summary = json.loads((outcome.directory / "summary.json").read_text())
    assert summary["counts"]["classified"] == outcome.case.particles
    assert (outcome.directory / "gallery.png").stat().st_size > 2000


def within_classes(images: NDArray[np.float32], result: Classification) -> float:
    """Mean correlation of the aligned images with the mean of their class, each left out of it, inside a circle."""
    box = images.shape[-1]
    y, x = np.mgrid[:box, :box] - box // 2
    pixels = apply(images, result.poses)[:, np.hypot(x, y) < 0.4 * box]
    values = []
    for k in range(len(result)):
        members = pixels[result.assignments == k]
        if len(members) > 1:
            rest = (members.sum(0) - members) / (len(members) - 1)
            values += [np.corrcoef(a, b)[0, 1] for a, b in zip(members, rest, strict=True)]
    return float(np.mean(values))


@pytest.mark.parametrize(("name", "least", "margin"), [("slicem", 0.8, 0.05), ("cryodrgn", 0.93, 0.05)])
def test_members_of_a_class_look_alike(
    classified: Classify, shared_data: Path, name: str, least: float, margin: float
) -> None:
    """Far more than classes drawn by lot do: on clean images that can be seen one by one."""
    found = classified(name)
    images = images_of(shared_data, found.case.path)
    alike = within_classes(images, found.result)
    assert alike > least
    lot = np.random.default_rng(0).permutation(found.result.assignments)
    by_lot = dataclasses.replace(found.result, assignments=lot)
    assert alike > within_classes(images, by_lot) + margin


KINDS = {
    "large subunit, crown": (9, 14, 38, 47, 49, 57, 58, 63, 69, 78, 80, 84, 90, 93),
    "large subunit, front": (1, 2, 13, 17, 31, 34, 46, 50, 81, 88, 89),
    "whole ribosome": (6, 7, 16, 20, 21, 25, 29, 33, 39, 42, 72, 77, 87),
    "small subunit": (64, 73, 75, 91, 92),
    "junk": (12, 30, 35, 37, 48, 51, 53, 60, 70, 85),
}
"""SLICEM's averages that are easy to tell apart by eye; the rest is left out."""


def test_classes_are_those_that_the_eye_makes(classified: Classify) -> None:
    result = classified("slicem").result
    table = np.array([np.bincount(result.assignments[list(rows)], minlength=10) for rows in KINDS.values()])
    assert table.max(0).sum() / table.sum() > 0.65  # by lot 0.42
    crown, junk = table[0] > 1, table[4] > 1
    assert not np.any(crown & junk)


def test_dark_particles_are_noticed(shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "stacks" / CASES["empiar10076"].path
    run(path, tmp_path, classes=1, resolution=20.0)
    assert any("--invert" in warning for warning in json.loads((tmp_path / "summary.json").read_text())["warnings"])
