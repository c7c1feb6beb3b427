"""Sets of the paper's sizes on a CPU: rows that point into a smaller stack again and again, all of it read and counted.

Run from the root of the checkout: ``python benchmarks/bench_paper_sizes.py [--fraction 0.02] [--only 10061]
[--sample 2000] [--threads 2] [--work DIR]``.  By default a small share of each twin is run, and what the whole would
take is extrapolated and says so; ``--fraction 1`` runs everything.  Purity stands beside that of a smaller set.
``--only rows`` measures the memory that rows take in metadata and state, without their images.
"""

from __future__ import annotations

import argparse
import resource
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from bench_accuracy import circumstances, work_folder
from bench_metadata import write_example
from bench_scaling import repeated
from measured_run import CORE, ROOT, Cost, run_python
from simulated_sets import LARGE, SETS, VIEWS, Case

sys.path.insert(0, str(ROOT))

from alignpca2d_core.evaluation.assignments import read_truth
from alignpca2d_core.evaluation.partition_metrics import purity
from alignpca2d_core.results.result_files import read_results

IMAGES = 30_000
"""Rows point into so many images, at most: of fewer, the noise of an image that comes again and again is a view."""
COMPARED = 30_000
"""Particles of the set that purity is compared with, at most."""
ALL_ROWS, MOST_GB = 10_000_000, 3.0
MOST_LOST = 0.02
"""Of purity, from the smaller set to the larger."""


@dataclass(frozen=True)
class Twin:
    """A set of the paper's size, what is asked for, and what others took there (the paper's Table 1).

    Attributes
    ----------
    particles, classes : int
    fast, slow : float
        Minutes on two cores that are asked for, with and without instructions for bfloat16.
    others : str
        Minutes on a GPU.
    """

    particles: int
    classes: int
    fast: float
    slow: float
    others: str


TWINS = {
    "10061": Twin(381_792, 100, 12, 30, "AlignPCA-2D 29.3, cryoSPARC 30.1, RELION 248"),
    "11604": Twin(1_107_902, 400, 90, 240, "AlignPCA-2D 122, cryoSPARC 206, RELION 2,220"),
}


@dataclass(frozen=True)
class Run:
    """One classification: particles, sample, cost and purity."""

    particles: int
    cost: Cost
    purity: float

    def line(self, sample: int) -> str:
        figures = f"{self.cost.cpu_s:9.1f} {1e3 * self.cost.cpu_s / self.particles:12.2f} {self.cost.peak_mb:8.0f}"
        return f"{self.particles:10d} {sample:8d} {figures} {self.purity:8.4f}"


def classified(folder: Path, twin: Twin, rows: int, sample: int, options: argparse.Namespace) -> Run:
    """So many rows of a simulated set, classified in a process of its own."""
    output = folder / f"rows-{rows}-{twin.classes}"
    output.mkdir(exist_ok=True)
    wanted = ["--classes", str(twin.classes), "--threads", str(options.threads), "--quiet", "--device", "cpu"]
    command = [*CORE, "classify", str(repeated(folder, rows)), "-o", str(output), *wanted]
    cost = run_python([*command, "--initial-particles", str(sample)], options.threads, output / "log.txt")
    _, result = read_results(output)
    truth = np.resize(read_truth(folder / "truth.csv").view, rows)
    used = result.assignments >= 0
    return Run(rows, cost, purity(result.assignments[used], truth[used]))


def twin_runs(name: str, options: argparse.Namespace, work: Path) -> bool:
    """A smaller set and the larger one; whether purity holds."""
    twin, rows = TWINS[name], round(options.fraction * TWINS[name].particles)
    whole = options.sample or max(3000, 100 * twin.classes)
    sample, smaller = min(whole, rows // 4), min(COMPARED, rows // 2)
    folder = Case("paper-sizes", options.seed, min(IMAGES, smaller), Path(), work).simulate(options.threads)
    print(f"{name}: {twin.particles:,} particles of 128 px, {twin.classes} classes; {options.fraction:.2%} of them")
    print(" particles   sample     CPU s  ms/particle  peak MB   purity", flush=True)
    runs = []
    for count in (smaller, rows):
        runs.append(classified(folder, twin, count, sample, options))
        print(runs[-1].line(sample), flush=True)
    small, large = runs
    each = (large.cost.cpu_s - small.cost.cpu_s) / (large.particles - small.particles)
    minutes = (large.cost.cpu_s + each * (twin.particles - rows)) / 60
    if rows < twin.particles:
        print(f"{1e3 * each:.2f} ms for each further particle; extrapolated: {minutes:.0f} CPU minutes for all")
        print(f"with a sample of {sample:,}; the whole has {whole:,}, and more of stage 1 than that")
    asked = f"asked {twin.fast:.0f} with matrix instructions for bfloat16, {twin.slow:.0f} without"
    print(f"that is {minutes / 2:.0f} minutes of two busy cores; {asked}; minutes on a GPU: {twin.others}")
    print(f"purity {large.purity:.4f}, that of {small.particles:,} {small.purity:.4f}")
    return large.purity >= small.purity - MOST_LOST


def hold_rows(path: Path) -> None:
    """In the child process: rows as a run holds them, without images; prints the peak of memory in bytes."""
    import torch

    from alignpca2d_core.alignment.match_buffer import MatchBuffer
    from alignpca2d_core.alignment.matches import Matches
    from alignpca2d_core.io.particle_reading import read_particles

    particles = read_particles(path)
    count, device = len(particles), torch.device("cpu")
    held = [MatchBuffer(count, kept, device, figures) for kept, figures in ((2, 0), (2, 2))]
    for start in range(0, count, 2048):
        numbers = np.arange(start, min(start + 2048, count))
        for one in held:
            one.add(numbers, Matches.empty(len(numbers), 2, device))
    flags = np.zeros((4, count), dtype=bool)
    assert flags.size == 4 * len(particles.enabled)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def row_memory(options: argparse.Namespace, work: Path) -> bool:
    """Memory of metadata and state at two sizes; whether all rows are under the limit."""
    largest, peaks = round(options.fraction * ALL_ROWS), []
    print(f"metadata of 18 columns and what a run holds of each row: {largest:,} of {ALL_ROWS:,} rows")
    for rows in (largest // 2, largest):
        path = work / "rows.xmd"
        write_example(path, rows)
        cost = run_python([__file__, "--hold", str(path)], 1, work / "rows.txt")
        path.unlink()
        peaks.append(cost.peak_mb / 1e3)
        print(f"{rows:10d} rows: peak {cost.peak_mb / 1e3:.2f} GB, {cost.cpu_s:.1f} CPU s", flush=True)
    each = (peaks[1] - peaks[0]) / (largest - largest // 2)
    peak = peaks[1] + each * (ALL_ROWS - largest)
    said = "measured" if largest >= ALL_ROWS else f"extrapolated at {1e6 * each:.3f} KB a row"
    print(f"{ALL_ROWS:,} rows: {peak:.2f} GB, {said}; asked: {MOST_GB:.0f}")
    return peak < MOST_GB


def main(arguments: list[str] | None = None) -> bool:
    """Print the tables; whether purity holds with size, and memory is under the limit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fraction", type=float, default=0.02, help="of each twin, and of the rows")
    parser.add_argument("--only", choices=(*TWINS, "rows"))
    parser.add_argument("--sample", type=int, help="particles that classes are learned from, by default as a user's")
    parser.add_argument("--views", type=int, default=VIEWS, help="of many, a class has several, and purity is low")
    parser.add_argument("--seed", type=int, default=0, help="of specimen, views and images")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--work", type=Path, help="keep the sets there, and use those that it has")
    parser.add_argument("--hold", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    options.device = "cpu"
    if options.hold:
        hold_rows(options.hold)
        return True
    selection = "distinct" if options.views == VIEWS else "random"
    SETS["paper-sizes"] = replace(
        SETS["barrel64"], conditions=replace(LARGE, snr=0.05), views=options.views, view_selection=selection
    )
    print(f"phantom barrel, {options.views:,} views; {circumstances(options)}", flush=True)
    with work_folder(options.work) as work:
        well = [twin_runs(name, options, work) for name in TWINS if options.only in (None, name)]
        if options.only in (None, "rows"):
            well.append(row_memory(options, work))
    return all(well)


@pytest.mark.benchmark
def test_paper_sizes(capsys: pytest.CaptureFixture[str]) -> None:
    """A small share of the smaller twin under ``make bench-all``."""
    with capsys.disabled():
        assert main(["--only", "10061", "--fraction", "0.01"])


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
