"""A choice of classes that is made while a stream runs holds for its later batches."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from simulated import SimulatedSet
from streams import step

from alignpca2d_core.io.particle_reading import read_particles
from alignpca2d_core.results.result_files import read_results


def test_a_choice_follows_its_class_through_later_batches(
    simulated: SimulatedSet, portions: list[Path], begun: Path, run_cli: Callable[..., Any]
) -> None:
    """The particles of one true view are chosen by the number that its class has after the first two portions."""
    with (simulated.folder / "truth.csv").open(encoding="utf-8") as lines:
        view = {int(row["itemId"]): int(row["view"]) for row in csv.DictReader(lines)}
    particles, result = read_results(begun)
    of = np.array([view[int(one)] for one in particles.ids])
    number = 1 + int(np.bincount(result.assignments[of == 1]).argmax())
    (begun / "selection.json").write_text(f'{{"version": 1, "classes": [{number}]}}', encoding="utf-8")
    for path in portions[2:]:
        step(path, begun)
    outcome = run_cli("export", begun, "--select", begun / "selection.json")
    assert outcome.code == 0, outcome.err
    chosen = read_particles(begun / "particles.star")
    later, found = read_results(begun)
    expected = later.ids[found.assignments == number - 1]
    assert len(chosen) == len(expected) > 1.5 * int((result.assignments == number - 1).sum())
    assert np.mean([view[int(one)] == 1 for one in expected]) > 0.95
