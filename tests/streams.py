"""Streams of small simulated sets: cut into portions, fed one after the other, and what came of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from simulated import QUICK, one_thread

from alignpca2d_core.io.particle_reading import read_particles
from alignpca2d_core.io.particle_set import write_particles
from alignpca2d_core.io.star.star_reader import parse, scan
from alignpca2d_core.runtime.progress import Progress
from alignpca2d_core.settings import Settings
from alignpca2d_core.streaming import update_schedule
from alignpca2d_core.streaming.update import update

PORTIONS = 5
START = 120
ENOUGH = 40
"""For each of three classes: none of these streams is made again."""


def cut(metadata: Path, folder: Path, count: int) -> list[Path]:
    particles = read_particles(metadata)
    paths = [folder / f"portion{number}.xmd" for number in range(count)]
    for path, rows in zip(paths, np.array_split(np.arange(len(particles)), count), strict=True):
        write_particles(path, particles.subset(rows))
    return paths


def step(
    path: Path | None, directory: Path, last: bool = False, enough: int = ENOUGH, **changes: Any
) -> dict[str, Any]:
    """One update; returns its summary.  Classes of fewer than ``enough`` particles each are made again."""
    settings = Settings(**{**QUICK, "initial_particles": START, **changes})
    with one_thread(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(update_schedule, "PER_CLASS", enough)
        update(path, directory, settings, Progress(quiet=True), last)
    return summary_of(directory)


def stream(portions: list[Path], directory: Path, **changes: Any) -> list[dict[str, Any]]:
    """All portions and the end; returns the summaries."""
    said = [step(path, directory, **changes) for path in portions]
    return [*said, step(None, directory, last=True, **changes)]


def summary_of(directory: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((directory / "summary.json").read_text())
    return content


def rows_of(path: Path) -> dict[int, tuple[float, ...]]:
    """What a file of particles says of each id."""
    table = next(parse(block) for block in scan(path) if block.name == "particles")
    labels = ("ref", "anglePsi", "shiftX", "shiftY", "enabled")
    rows = zip(*(table[label].tolist() for label in labels), strict=True)
    return dict(zip(table["itemId"].tolist(), rows, strict=True))


def content(directory: Path) -> dict[str, bytes]:
    """The files that say what was found, and nothing of when."""
    return {name: (directory / name).read_bytes() for name in ("particles.xmd", "classes.xmd", "classes.mrcs")}
