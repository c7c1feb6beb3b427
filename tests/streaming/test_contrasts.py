"""Particles of the other contrast that come to a stream: told at the update that brings them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from simulated import SimulatedSet
from streams import cut, step

from alignpca2d_core.io.particle_reading import read_particles
from alignpca2d_core.io.particle_set import particle_table
from alignpca2d_core.io.stacks import StackReader, write_stack
from alignpca2d_core.io.star.star_writer import write_blocks


def turned_over(made: SimulatedSet, folder: Path, rows: slice, by_micrograph: bool) -> list[Path]:
    """Portions of 60 particles of a set, in which the images of some rows are negative."""
    shutil.copytree(made.folder, folder)
    copy = SimulatedSet(folder)
    particles = read_particles(copy.metadata)
    with StackReader(particles) as reader:
        images = reader.read(np.arange(len(particles)))
    images[rows] *= -1
    write_stack(particles.stacks[0], images, 7.0)
    names = np.full(len(particles), "a.mrc", dtype=object)
    names[rows if by_micrograph else slice(0)] = "b.mrc"
    write_blocks(copy.metadata, {"particles": particle_table(particles, {"micrograph": names})})
    return cut(copy.metadata, folder, 5)


def told(said: dict[str, list[str]]) -> list[str]:
    return [line for line in said["warnings"] if "contrast" in line]


def test_one_contrast_is_not_told(portions: list[Path], before_the_end: Path) -> None:
    assert not told(step(None, before_the_end, last=True))


def test_a_batch_of_the_other_contrast(simulated: SimulatedSet, tmp_path: Path) -> None:
    portions = turned_over(simulated, tmp_path / "set", slice(180, 240), by_micrograph=False)
    for path in portions[:3]:
        assert not told(step(path, tmp_path / "out"))
    lines = told(step(portions[3], tmp_path / "out"))
    assert len(lines) == 1
    assert lines[0].startswith("particles that came last fit the classes better with their contrast inverted")


@pytest.mark.parametrize(("rows", "count"), [(slice(60), 2), (slice(200, 230), 4)])
def test_portions_that_mix_both(simulated: SimulatedSet, tmp_path: Path, rows: slice, count: int) -> None:
    """In those that make the classes, and in one that comes later."""
    portions = turned_over(simulated, tmp_path / "set", rows, by_micrograph=True)
    said = [step(path, tmp_path / "out", classes=6) for path in portions[:count]]
    lines = told(said[-1])
    assert len(lines) == 1
    assert "particles of micrograph b.mrc" in lines[0]
