"""RELION's 2D classification and ours of the same particles: purity, CPU seconds, agreement, likeness to the views.

Run from the root of the checkout: ``python benchmarks/bench_relion.py [--particles 500] [--seeds 0]``.
``relion_refine`` (Debian's package ``relion``) gets a search range that covers the shifts, the CTF, as many classes
and 25 iterations.  It needs about half a CPU second a particle, hence the small default; ours gains with more.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import mrcfile
import numpy as np
import pytest
import torch
from bench_accuracy import circumstances, work_folder
from measured_run import Cost, classify
from numpy.typing import NDArray
from relion_run import PROGRAM, Search, run_relion
from simulated_sets import EXPERIMENT, SETS, STRUCTURE, Case

from alignpca2d_core.evaluation.assignments import read_truth
from alignpca2d_core.evaluation.average_quality import compare
from alignpca2d_core.evaluation.partition_metrics import contingency, matched_classes, purity
from alignpca2d_core.results.result_files import read_results

CLASSES = 20
HEADING = "seed  program  purity  correlation with the views  CPU s  ms/particle  peak MB"


@dataclass(frozen=True)
class Found:
    """Class of each particle (n,), averages (k, D, D), and what they cost."""

    labels: NDArray[np.int64]
    averages: NDArray[np.float32]
    cost: Cost


def by_relion(folder: Path, case: Case, seed: int, classes: int) -> Found:
    """RELION's classes; its search covers the shifts."""
    search = Search.covering(EXPERIMENT["max_shift"], case.kind.conditions.box)
    found = run_relion(folder, folder / f"relion-{seed}", classes, seed, search)
    return Found(found.labels, found.averages, found.cost)


def by_us(folder: Path, seed: int, classes: int) -> Found:
    """Ours, from one thread."""
    output = folder / f"ours-{seed}"
    cost = classify(folder, output, 1, ["--classes", str(classes), "--seed", str(seed), "--device", "cpu"]).cost
    result = read_results(output)[1]
    return Found(result.assignments, result.averages, cost)


def likeness(found: Found, views: NDArray[np.float32], truth: NDArray[np.int64], pixel: float) -> float:
    """Mean correlation of the averages with the view of most of their members, weighted by these."""
    inside = found.labels >= 0
    counts = contingency(found.labels[inside], truth[inside])
    averages = torch.from_numpy(np.array(found.averages))[np.unique(found.labels[inside])]
    shown = torch.from_numpy(views)[np.unique(truth[inside])[counts.argmax(1)]]
    return float(np.average(compare(averages, shown, pixel).correlation, weights=counts.sum(1)))


def line(program: str, seed: int, found: Found, correlation: float, truth: NDArray[np.int64]) -> str:
    """A line of the table."""
    return (
        f"{seed:4d}  {program:7s} {purity(found.labels, truth):7.3f} {correlation:27.3f} {found.cost.cpu_s:6.0f} "
        f"{1e3 * found.cost.cpu_s / len(truth):12.1f} {found.cost.peak_mb:8.0f}"
    )


def main(arguments: list[str] | None = None) -> float:
    """Print the table; returns RELION's CPU seconds over ours."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--set", choices=SETS, default="bgal64")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--particles", type=int, default=500)
    parser.add_argument("--classes", type=int, default=CLASSES)
    parser.add_argument("--structure", type=Path, default=STRUCTURE, help="atomic model of β-galactosidase")
    parser.add_argument("--work", type=Path, help="keep sets and classes there, and use the sets that it has")
    options = parser.parse_args(arguments)
    options.device, options.threads = "cpu", 1
    print(f"{options.set}, {options.particles:,} particles, {options.classes} classes; {circumstances(options)}")
    print(HEADING, flush=True)
    spent = {"RELION": 0.0, "ours": 0.0}
    with work_folder(options.work) as work:
        for seed in options.seeds:
            case = Case(options.set, seed, options.particles, options.structure.resolve(), work)
            folder = case.simulate(1)
            truth, pixel = read_truth(folder / "truth.csv").view, case.kind.conditions.sampling_rate
            views = mrcfile.read(folder / "views.mrcs")
            both = {
                "ours": by_us(folder, seed, options.classes),
                "RELION": by_relion(folder, case, seed, options.classes),
            }
            for program, found in both.items():
                spent[program] += found.cost.cpu_s
                print(line(program, seed, found, likeness(found, views, truth, pixel), truth), flush=True)
            counts = contingency(both["ours"].labels, both["RELION"].labels)
            shared = sum(int(counts[pair]) for pair in matched_classes(counts))
            share = shared / len(truth)
            print(f"{seed:4d}  in classes that match one to one: {share:.3f} of the particles", flush=True)
    ratio = spent["RELION"] / spent["ours"]
    print(f"CPU seconds of RELION over ours: {ratio:.1f}")
    return ratio


@pytest.mark.benchmark
def test_relion(capsys: pytest.CaptureFixture[str]) -> None:
    """The same under ``make bench-all``."""
    if shutil.which(PROGRAM) is None:
        pytest.skip(f"{PROGRAM} is not installed")
    if not STRUCTURE.is_file():
        pytest.skip(f"no structure at {STRUCTURE}")
    with capsys.disabled():
        assert main([]) > 1


if __name__ == "__main__":
    sys.exit(0 if main() > 1 else 1)
