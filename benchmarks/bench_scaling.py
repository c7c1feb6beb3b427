"""Cost and peak memory as particles, classes and box grow; rows may point into a smaller stack again and again.

Run from the root of the checkout: ``python benchmarks/bench_scaling.py [--quick] [--only particles]``.
``--only million`` classifies rows of 300,000 and of a million particles (64 px), more than are kept in memory: half an
hour and more on two cores; with ``--rows 500000`` half of it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from bench_accuracy import circumstances, work_folder
from measured_run import CORE, run_python
from simulated_sets import LARGE, SETS, SMALL, Case

STACK = 2000
MOST_GB = 6.0
PARTICLES = (1000, 4000, 16_000, 64_000)
CLASSES = (10, 40, 100, 400)
BOXES = {64: 3.54, 128: 1.77, 192: 1.18, 256: 0.885}
HEADING = "grows      particles  classes  box   CPU s  ms/particle  peak MB  KB/particle"


def repeated(folder: Path, rows: int) -> Path:
    """Metadata of ``rows`` particles that are those of a simulated set again and again."""
    lines = (folder / "particles.xmd").read_text().splitlines()
    first = 1 + max(i for i, line in enumerate(lines) if line.strip().startswith("_"))
    head, body = lines[:first], [line for line in lines[first:] if line.strip()]
    target = folder / f"rows-{rows}.xmd"
    with target.open("w") as file:
        file.write("\n".join(head) + "\n")
        for start in range(0, rows, len(body)):
            file.write("\n".join(body[: rows - start]) + "\n")
    return target


def cases(only: str | None, rows: int, quick: bool) -> Iterator[tuple[str, int, int, int]]:
    """What grows, particles, classes and box of each run."""
    share = 10 if quick else 1
    wanted = {
        "particles": [(n // share, 20, 64) for n in PARTICLES],
        "classes": [(8000 // share, k // (share if k > 10 else 1), 64) for k in CLASSES],
        "box": [(3000 // share, 20, box) for box in BOXES],
        "million": [(3 * rows // 10, 20, 64), (rows, 20, 64)],
    }
    for name, runs in wanted.items():
        if name == only or (only is None and name != "million"):
            yield from ((name, *run) for run in runs)


def main(arguments: list[str] | None = None) -> float:
    """Print the table; returns the largest peak of memory in GB."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=("particles", "classes", "box", "million"))
    parser.add_argument("--rows", type=int, default=1_000_000, help="particles of --only million")
    parser.add_argument("--quick", action="store_true", help="a tenth of the particles: only to see that it runs")
    parser.add_argument("--work", type=Path, help="keep the sets there, and use those that it has")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    options.device = "cpu"
    print(f"phantom barrel; {circumstances(options)}\n{HEADING}", flush=True)
    worst, before = 0.0, None
    with work_folder(options.work) as work:
        for name, particles, classes, box in cases(options.only, options.rows, options.quick):
            conditions = replace(SMALL if box == 64 else LARGE, box=box, sampling_rate=BOXES[box], snr=0.05)
            SETS[f"scaling{box}"] = replace(SETS["barrel64"], conditions=conditions)
            folder = Case(f"scaling{box}", 0, min(STACK, particles), Path(), work).simulate(options.threads)
            output = folder / f"{name}-{particles}-{classes}"
            output.mkdir(exist_ok=True)
            wanted = ["--classes", str(classes), "--threads", str(options.threads), "--quiet", "--device", "cpu"]
            command = [*CORE, "classify", str(repeated(folder, particles)), "-o", str(output), *wanted]
            cost = run_python(command, options.threads, output / "log.txt")
            growth = ""
            if before and before[0] == name in ("particles", "million"):
                growth = f"{1e3 * (cost.peak_mb - before[2]) / (particles - before[1]):12.2f}"
            before = (name, particles, cost.peak_mb)
            worst = max(worst, cost.peak_mb / 1e3)
            print(
                f"{name:9s} {particles:10d} {classes:8d} {box:4d} {cost.cpu_s:7.1f} "
                f"{1e3 * cost.cpu_s / particles:12.2f} {cost.peak_mb:8.0f} {growth}",
                flush=True,
            )
    print(f"largest peak {worst:.2f} GB against {MOST_GB} GB for a million: {worst / MOST_GB:.2f} of it")
    return worst


@pytest.mark.benchmark
def test_scaling(capsys: pytest.CaptureFixture[str]) -> None:
    """The same under ``make bench-all``."""
    with capsys.disabled():
        assert main([]) < MOST_GB


if __name__ == "__main__":
    sys.exit(0 if main() < MOST_GB else 1)
