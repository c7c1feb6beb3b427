"""What ``--no-align``, ``--psi-range``, ``--tube-diameter`` and ``--low-resolution`` are worth where they are meant.

Each set of ``guided_sets.py`` is classified without and with its option: faint particles whose poses are known,
filaments that cross others, and small proteins in micelles that outshine them.

Run from the root of the checkout: ``python benchmarks/bench_guided.py [--work DIR] [--picture FILE]``.  The exit code
is 1 where an option does not help.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from guided_sets import TRUE_POSES, filaments, micelles, posed
from measured_run import CORE, run_python
from PIL import Image

from alignpca2d_core.evaluation.evaluate import evaluate
from alignpca2d_core.results.result_files import read_results
from alignpca2d_core.settings import EvaluationSettings, SimulationSettings

FAINT = {"particles": 1500, "views": 5, "box": 64, "sampling_rate": 4.0, "snr": 0.008}
IN_MICELLES = {"particles": 1000, "views": 5, "box": 64, "sampling_rate": 4.0, "snr": 0.1, "phantom": "knob"}
MICELLE_STRENGTH, CROSSED = 2.5, 0.4
NEAR_DEG = 5.0
LEAST_GAIN = 0.05
"""Share of particles, in right classes or at right angles, that an option must bring."""


@dataclass(frozen=True)
class Row:
    """A set with an option or without: purity, share of particles at the right pose or angle, and CPU seconds."""

    particles: str
    options: str
    purity: float
    right: float
    cpu_s: float

    def __str__(self) -> str:
        options = self.options or "(none)"
        return f"{self.particles:<22}{options:<38}{self.purity:>7.3f}{self.right:>7.3f}{self.cpu_s:>8.1f}"


def simulated(folder: Path, output: Path) -> tuple[float, float]:
    """Purity, and share of particles within 10° and 2 px, of a set of the program's own simulation."""
    figures = evaluate(output, EvaluationSettings(truth=str(folder / "truth.csv")))["truth"]["figures"]
    return figures["purity"], figures["pose_within"]


def of_filaments(folder: Path, output: Path) -> tuple[float, float]:
    """Purity by kind of filament, and share of segments whose axis is within 5° of what their class agrees on."""
    truth, (_, result) = np.load(folder / "truth.npz"), read_results(output)
    majority = near = 0
    for number in range(len(result)):
        members = result.assignments == number
        majority += int(np.bincount(truth["kind"][members], minlength=1).max(initial=0))
        off = result.poses.psi_deg[members] - truth["psi"][members]
        axes = np.abs((off[:, None] - np.arange(0, 180, 0.5) + 90) % 180 - 90) < NEAR_DEG
        near += int(axes.sum(0).max(initial=0))
    used = int((result.assignments >= 0).sum())
    return majority / used, near / used


@dataclass(frozen=True)
class Case:
    """A kind of particles, how they are made and judged, and the options to compare."""

    name: str
    metadata: str
    make: Callable[[Path], None]
    judge: Callable[[Path, Path], tuple[float, float]]
    common: tuple[str, ...]
    options: tuple[str, ...]


CASES = (
    Case(
        "faint, poses known",
        TRUE_POSES,
        lambda folder: posed(folder, SimulationSettings(**FAINT)),
        simulated,
        ("--classes", "10", "--resolution", "10"),
        ("", "--no-align"),
    ),
    Case(
        "filaments, 40 % crossed",
        "particles.star",
        lambda folder: filaments(folder, 1500, 0.05, CROSSED, 0),
        of_filaments,
        ("--classes", "9", "--resolution", "12"),
        ("", "--psi-range 6", "--psi-range 6 --tube-diameter 110"),
    ),
    Case(
        "in micelles",
        TRUE_POSES,
        lambda folder: micelles(folder, SimulationSettings(**IN_MICELLES), MICELLE_STRENGTH),
        simulated,
        ("--classes", "10", "--resolution", "10"),
        ("", "--low-resolution 56"),
    ),
)


def measured(case: Case, work: Path) -> list[Row]:
    folder, rows = work / case.metadata.partition(".")[0] / str(CASES.index(case)), []
    folder.mkdir(parents=True, exist_ok=True)
    case.make(folder)
    for number, options in enumerate(case.options):
        output = output_of(case, number, work)
        output.mkdir(parents=True, exist_ok=True)
        words = ["classify", str(folder / case.metadata), "-o", str(output), *case.common, *options.split()]
        cost = run_python([*CORE, *words, "--threads", "1", "--device", "cpu", "--quiet"], 1, output / "log.txt")
        rows.append(Row(case.name, options, *case.judge(folder, output), cost.cpu_s))
        print(rows[-1], flush=True)
    return rows


def output_of(case: Case, number: int, work: Path) -> Path:
    return work / f"classes-{CASES.index(case)}-{number}"


def picture(path: Path, work: Path, shown: int = 8) -> None:
    """The largest classes of every run, a row each, in the order of the table."""
    rows = []
    for case in CASES:
        for number in range(len(case.options)):
            averages = read_results(output_of(case, number, work))[1].averages[:shown]
            low, high = (np.percentile(averages, share, axis=(1, 2), keepdims=True) for share in (1, 99.7))
            tiles = ((averages - low) / (high - low)).clip(0, 1)
            rows.append(np.concatenate([np.pad(tile, 1, constant_values=1) for tile in tiles], axis=1))
    image = Image.fromarray((255 * np.concatenate(rows)).astype(np.uint8))
    image.resize((int(1.5 * image.width), int(1.5 * image.height)), Image.Resampling.LANCZOS).save(path)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--picture", type=Path)
    given = parser.parse_args(arguments)
    work = given.work or Path(tempfile.mkdtemp())
    print(f"{'particles':<22}{'options':<38}{'purity':>7}{'right':>7}{'CPU s':>8}")
    helped = []
    for case in CASES:
        before, *after = measured(case, work)
        helped += [max(row.purity - before.purity, row.right - before.right) > LEAST_GAIN for row in after]
    if given.picture:
        picture(given.picture, work)
    return 0 if all(helped) else 1


@pytest.mark.benchmark
def test_options_help_where_they_are_meant(tmp_path: Path) -> None:
    assert main(["--work", str(tmp_path)]) == 0


if __name__ == "__main__":
    sys.exit(main())
