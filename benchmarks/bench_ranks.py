"""Throughput of two ranks with one thread each against one process with one thread, and how far they agree.

Run it where two cores are free: wall time is what counts here.  ``python benchmarks/bench_ranks.py [--particles N]``.
What is done on a sample gains less than what is done on all particles: small sets have a smaller ratio.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from alignpca2d_core.results.result_files import read_results
from alignpca2d_core.runtime.progress import Progress
from alignpca2d_core.settings import SimulationSettings
from alignpca2d_core.simulation.simulate import simulate

WANTED = 1.7


def seconds(count: int, metadata: Path, out: Path, classes: int) -> float:
    """Wall time of a classification by ``count`` processes, the start of Python and torch left out."""
    rest = ["-m", "alignpca2d_core", "classify", metadata, "-o", out, "--classes", classes, "--threads", 1, "--quiet"]
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", count]
    subprocess.run([str(word) for word in start + rest], check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    times = json.loads((out / "summary.json").read_text(encoding="utf-8"))["times"]
    return float(sum(stage["wall_s"] for stage in times.values()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--particles", type=int, default=100_000)
    parser.add_argument("--classes", type=int, default=20)
    parser.add_argument("--box", type=int, default=64)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        made = SimulationSettings(particles=options.particles, box=options.box)
        simulate(made, folder / "set", Progress(quiet=True))
        begun, taken = time.perf_counter(), {}
        for count in (1, 2):
            taken[count] = seconds(count, folder / "set" / "particles.xmd", folder / str(count), options.classes)
            print(f"{count} ranks: {taken[count]:.1f} s, {options.particles / taken[count]:.0f} particles/s")
            for name, stage in json.loads((folder / str(count) / "summary.json").read_text())["times"].items():
                print(f"    {name:<22} {stage['wall_s']:8.1f} s wall {stage['cpu_s']:8.1f} s CPU of the first rank")
        one, two = (read_results(folder / str(count))[1] for count in (1, 2))
        shared = np.zeros((len(one) + 1, len(two) + 1), dtype=int)
        np.add.at(shared, (one.assignments, two.assignments), 1)
        print(f"same class, whatever its number: {shared.max(1).sum() / options.particles:.4f} of the particles")
        print(f"throughput of two ranks: {taken[1] / taken[2]:.2f} times that of one (wanted: {WANTED})")
        print(f"{time.perf_counter() - begun:.0f} s in all")


if __name__ == "__main__":
    main()
