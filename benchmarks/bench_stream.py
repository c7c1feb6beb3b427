"""A long stream: what each batch costs, what the classes become, and how both compare with RMSProp's references.

Run from the root of the checkout: ``python benchmarks/bench_stream.py [--particles 100000] [--batches 100]
[--classes 50] [--work DIR]``.  Each update is a process of its own, counted whole.  The table shows every tenth
batch; the last lines are ratios of the last ten batches to the first ten after the classes were made.  The exit
code is 1 where a batch gets dearer by more than a fifth, a particle is lost, or the classes do not improve.

``--rate 25 [--hours 1] [--classes 100]`` is a stream at a microscope's rate: a batch every 40 seconds, the first of
1,000 particles.  The time between batches is not waited for: what is counted are CPU seconds, of each update whole.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import mean

import numpy as np
import pytest
from measured_run import CORE, ROOT, run_python

sys.path.insert(0, str(ROOT))

from alignpca2d_core.io.particle_reading import read_particles
from alignpca2d_core.io.particle_set import write_particles
from alignpca2d_core.results.result_files import read_results

MOST_GROWTH = 1.2
EVERY_S, FIRST_BATCH = 40, 1000
"""Seconds between batches of a stream at a rate, and the particles of the first, which the classes are made of."""
CORES, MOST_SHARE, MOST_WAIT_S = 2, 0.5, 60.0
"""The machine, the share of it that a stream may take, and the seconds until there are classes."""
SIMULATION = ["--box", "64", "--sampling-rate", "3.54", "--phantom", "subunits", "--quiet"]


@dataclass(frozen=True)
class Step:
    """One update: its cost, and the classes after it."""

    particles: int
    cpu_s: float
    peak_mb: float
    revisited: int
    resolution: float
    state_mb: float


def simulate(folder: Path, particles: int, snr: float, threads: int) -> Path:
    """The particles of the stream, ten views."""
    if not (folder / "truth.csv").exists():
        options = ["--particles", str(particles), "--views", "10", "--snr", str(snr), *SIMULATION]
        run_python([*CORE, "simulate", "-o", str(folder), *options], threads, folder.with_suffix(".log"))
    return folder


def cut(simulated: Path, folder: Path, parts: int | list[int]) -> list[Path]:
    """The metadata of each batch: of so many batches, or of those that begin at these rows."""
    particles = read_particles(simulated / "particles.xmd")
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, rows in enumerate(np.array_split(np.arange(len(particles)), parts)):
        paths.append(folder / f"{number:04d}.xmd")
        write_particles(paths[-1], particles.subset(rows))
    return paths


def update(path: Path | None, directory: Path, options: argparse.Namespace) -> Step:
    """Run one update."""
    words = ["--last"] if path is None else [str(path)]
    words += ["-o", str(directory), "--classes", str(options.classes), "--threads", str(options.threads), "--quiet"]
    words += ["--preset", options.preset] + (["--initial-particles", str(FIRST_BATCH)] if options.rate else [])
    cost = run_python([*CORE, "update", *words], options.threads, options.work / "log.txt")
    summary = json.loads((directory / "summary.json").read_text())
    found = summary.get("classes")
    resolution = float(np.average(found["resolution_angstrom"], weights=found["size"])) if found else float("nan")
    size = sum(path.stat().st_size for path in (directory / "state").iterdir()) / 1e6
    said = summary["stream"]
    return Step(said["particles"], cost.cpu_s, cost.peak_mb, said.get("revisited", 0), resolution, size)


def show(number: int, step: Step) -> None:
    print(
        f"{number:6d} {step.particles:10d} {step.cpu_s:8.1f} {step.peak_mb:9.0f} {step.revisited:10d} "
        f"{step.resolution:11.2f} {step.state_mb:9.1f}",
        flush=True,
    )


def verdict(steps: list[Step], last: Step, directory: Path, particles: int) -> bool:
    """Print the ratios; whether all is well."""
    running = [step for step in steps if not np.isnan(step.resolution)][1:]
    first, final = running[:10], running[-10:]
    cost = mean(step.cpu_s for step in final) / mean(step.cpu_s for step in first)
    memory = mean(step.peak_mb for step in final) / mean(step.peak_mb for step in first)
    begun, ended = running[0].resolution, last.resolution
    print(f"last ten batches over the first ten: CPU {cost:.2f}, memory {memory:.2f}")
    print(f"resolution {begun:.2f} Å after the first batch, {ended:.2f} Å at the end")
    print(f"the end, with all assigned again: {last.cpu_s:.1f} CPU s, {last.peak_mb:.0f} MB")
    all_particles, result = read_results(directory)
    classified = int((result.assignments >= 0).sum())
    print(f"{classified} of {particles} particles in {len(result)} classes, {len(np.unique(all_particles.ids))} ids")
    whole = classified == particles == len(np.unique(all_particles.ids))
    worse = [b.resolution - a.resolution for a, b in pairwise(running)]
    print(f"resolution from batch to batch: worse by {max([0.0, *worse]):.2f} Å at most")
    return whole and cost <= MOST_GROWTH and memory <= MOST_GROWTH and ended < begun


def run(options: argparse.Namespace) -> bool:
    """The whole stream; whether all is well."""
    simulated = simulate(options.work / "particles", options.particles, options.snr, options.threads)
    directory = options.work / f"stream-{options.preset}"
    paths = cut(simulated, options.work / "portions", options.batches)
    heads = (("batch", 6), ("particles", 10), ("CPU s", 8), ("peak MB", 9), ("revisited", 10), ("mean res. Å", 11))
    print(" ".join(f"{name:>{width}}" for name, width in (*heads, ("state MB", 9))))
    steps = []
    for number, path in enumerate(paths, start=1):
        steps.append(update(path, directory, options))
        if number % max(1, options.batches // 10) == 0 or len(steps) == 1:
            show(number, steps[-1])
    last = update(None, directory, options)
    show(len(paths) + 1, last)
    return verdict(steps, last, directory, options.particles)


def run_at_rate(options: argparse.Namespace) -> bool:
    """A stream at a microscope's rate; whether two cores keep up at the share that they may give, and begin in time."""
    whole = round(options.rate * 3600 * options.hours)
    simulated = simulate(options.work / f"particles-{whole}", whole, options.snr, options.threads)
    directory, each = options.work / "stream-at-rate", round(options.rate * EVERY_S)
    paths = cut(simulated, options.work / f"portions-{whole}", list(range(FIRST_BATCH, whole, each)))
    print(
        f"{options.rate:g} particles a second, {options.hours:g} hours: {whole:,} particles, {options.classes} classes"
    )
    print("batch  particles    CPU s   ms/particle   share of two cores   peak MB")
    shares, before = [], 0
    for number, path in enumerate(paths, start=1):
        step = update(path, directory, options)
        new, before = step.particles - before, step.particles
        shares.append(step.cpu_s / (CORES * new / options.rate))
        row = f"{number:5d} {step.particles:10d} {step.cpu_s:8.1f} {1e3 * step.cpu_s / new:13.1f}"
        print(f"{row} {shares[-1]:20.1%} {step.peak_mb:9.0f}", flush=True)
        if number == 1:
            first = step.cpu_s
    last = update(None, directory, options)
    share = mean(shares[1:])
    print(f"first classes after {first:.1f} CPU s, on one core as many seconds; asked {MOST_WAIT_S:.0f}")
    print(f"then {share:.1%} of {CORES} cores, asked {MOST_SHARE:.0%}; the end: {last.cpu_s:.1f} CPU s")
    return first <= MOST_WAIT_S and share <= MOST_SHARE


def parse(words: list[str] | None = None) -> argparse.Namespace:
    """The options of the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--particles", type=int, default=100_000)
    parser.add_argument("--batches", type=int, default=100)
    parser.add_argument("--classes", type=int, default=50)
    parser.add_argument("--rate", type=float, help="particles a second, instead of --particles and --batches")
    parser.add_argument("--hours", type=float, default=1.0, help="of a stream at a rate")
    parser.add_argument("--snr", type=float, default=0.05, help="0.01 shows the resolution growing")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--preset", choices=("default", "paper"), default="default")
    parser.add_argument("--work", type=Path, help="folder to keep everything in; an empty one")
    return parser.parse_args(words)


@pytest.mark.benchmark
def test_a_stream_of_ten_thousand(tmp_path: Path) -> None:
    """A tenth of the whole."""
    assert run(parse(["--particles", "10000", "--batches", "20", "--classes", "20", "--work", str(tmp_path)]))


@pytest.mark.benchmark
def test_a_stream_at_the_rate_of_a_microscope(tmp_path: Path) -> None:
    """Two minutes of it."""
    words = ["--rate", "25", "--hours", "0.0333", "--classes", "100", "--work", str(tmp_path)]
    assert run_at_rate(parse(words))


def main() -> int:
    options = parse()
    measured = run_at_rate if options.rate else run
    if options.work is not None:
        options.work.mkdir(parents=True, exist_ok=True)
        return 0 if measured(options) else 1
    with tempfile.TemporaryDirectory() as folder:
        options.work = Path(folder)
        return 0 if measured(options) else 1


if __name__ == "__main__":
    sys.exit(main())
