"""Stacks of earlier batches that are gone: an update goes on, their particles stay where they are and are counted."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from simulated import SimulatedSet
from streams import PORTIONS, rows_of, step

from alignpca2d_core.errors import InputError
from alignpca2d_core.io.particle_reading import read_particles
from alignpca2d_core.io.particle_set import write_particles
from alignpca2d_core.io.stacks import StackReader, write_stack
from alignpca2d_core.io.star.star_reader import parse, scan

PER_PORTION = 60


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> SimulatedSet:
    return SimulatedSet.make(tmp_path_factory.mktemp("stream") / "set", particles=PORTIONS * PER_PORTION)


@pytest.fixture
def portions(simulated: SimulatedSet, tmp_path: Path) -> list[Path]:
    """Portions of the set, each with two stacks of its own that a test may delete."""
    particles = read_particles(simulated.metadata)
    with StackReader(particles) as reader:
        images = reader.read(np.arange(len(particles)))
    paths = []
    for number in range(PORTIONS):
        rows = np.arange(number * PER_PORTION, (number + 1) * PER_PORTION)
        part = particles.subset(rows)
        part.stacks = tuple(tmp_path / f"stack{number}{half}.mrcs" for half in "ab")
        part.stack_of = np.repeat(np.arange(2, dtype=np.int32), PER_PORTION // 2)
        part.index_in_stack = np.tile(np.arange(PER_PORTION // 2), 2)
        for path, some in zip(part.stacks, np.split(images[rows], 2), strict=True):
            write_stack(path, some, 7.0)
        paths.append(tmp_path / f"portion{number}.xmd")
        write_particles(paths[-1], part)
    return paths


def classes_of(directory: Path) -> dict[int, int]:
    return {one: int(row[0]) for one, row in rows_of(directory / "particles.xmd").items()}


def remove(portion: Path, halves: str = "ab") -> None:
    for half in halves:
        (portion.parent / f"stack{portion.stem[-1]}{half}.mrcs").unlink()


def told(said: dict[str, Any]) -> list[int]:
    """How many particles the warnings say are gone."""
    found = (re.match(r"(\d+) earlier particles cannot be read any more \(.*\)", line) for line in said["warnings"])
    return [int(match[1]) for match in found if match]


def test_those_of_the_first_batch_stay_where_they_are(
    simulated: SimulatedSet, portions: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    for path in portions[:2]:
        step(path, out)
    first = {one: k for one, k in classes_of(out).items() if one <= PER_PORTION}
    remove(portions[0])
    for path in portions[2:]:
        step(path, out)
    said = step(None, out, last=True)
    assert told(said) == [PER_PORTION]
    found = classes_of(out)
    assert {one: found[one] for one in first} == first
    assert said["counts"]["classified"] == PORTIONS * PER_PORTION
    assert said["stream"]["closed"]
    assert simulated.figures(out)["purity"] > 0.95


def test_every_earlier_stack_may_go(portions: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    for path in portions:
        step(path, out)
        remove(path, "b" if path == portions[0] else "ab")
    remove(portions[0], "a")
    before = classes_of(out)
    said = step(None, out, last=True)
    assert said["stream"]["closed"]
    assert told(said) == [PORTIONS * PER_PORTION]
    assert classes_of(out) == before


def test_a_look_for_new_views_does_without_them(portions: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    for path in portions[:3]:
        step(path, out, classes=6)
    remove(portions[2])
    said = step(portions[3], out, classes=6)
    assert said["stream"]["particles"] == 4 * PER_PORTION
    assert told(said) == [PER_PORTION]
    assert told(step(None, out, last=True, classes=6)) == [PER_PORTION]


def test_part_of_a_batch(portions: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    for path in portions:
        step(path, out)
    before = classes_of(out)
    remove(portions[1], "b")
    said = step(None, out, last=True)
    assert told(said) == [PER_PORTION // 2]
    assert any(f"nor can {PER_PORTION // 2} that came with them" in line for line in said["warnings"])
    after = classes_of(out)
    assert all(after[one] == before[one] for one in range(PER_PORTION + 1, 2 * PER_PORTION + 1))


def test_those_gone_before_the_classes_begin_come_in_once_they_are_back(portions: list[Path], tmp_path: Path) -> None:
    out, kept = tmp_path / "out", tmp_path / "kept"
    kept.mkdir()
    step(portions[0], out)
    for half in "ab":
        shutil.move(tmp_path / f"stack0{half}.mrcs", kept)
    said = step(portions[1], out)
    counts = {name: said["counts"][name] for name in ("particles", "classified", "disabled", "unusable", "classes")}
    assert counts == {"particles": 120, "classified": 60, "disabled": 0, "unusable": 60, "classes": 3}
    assert told(said) == [PER_PORTION]
    for half in "ab":
        shutil.move(kept / f"stack0{half}.mrcs", tmp_path)
    said = step(portions[2], out)
    assert said["counts"]["classified"] == 180
    assert all(classes_of(out).values())


def test_a_file_of_all_particles_so_far(portions: list[Path], tmp_path: Path) -> None:
    """Names are relative to the metadata, and the first stacks in it are gone."""
    out = tmp_path / "out"
    for path in portions[:2]:
        step(path, out)
    remove(portions[0])
    rows = [f"{i + 1:06d}@stack{n}{half}.mrcs" for n in range(3) for half in "ab" for i in range(PER_PORTION // 2)]
    table = [parse(next(iter(scan(path)))) for path in portions[:3]]
    names = [label for label in table[0].columns if label not in ("image", "itemId")]
    lines = ["data_particles", "loop_", "_image", *(f"_{name}" for name in names)]
    values = zip(*(np.concatenate([one[name] for one in table]).tolist() for name in names), strict=True)
    lines += [" ".join(map(str, (image, *row))) for image, row in zip(rows, values, strict=True)]
    (tmp_path / "so_far.xmd").write_text("\n".join(lines) + "\n")
    assert step(tmp_path / "so_far.xmd", out)["stream"]["particles"] == 3 * PER_PORTION


def test_nothing_can_begin_when_all_are_gone(portions: list[Path], tmp_path: Path) -> None:
    step(portions[0], tmp_path / "out")
    remove(portions[0])
    with pytest.raises(InputError, match=r"stack0a\.mrcs"):
        step(None, tmp_path / "out", last=True)
