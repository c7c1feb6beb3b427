"""What the share of variance that the PCA keeps does to accuracy and cost: our own Table S1.

On β-galactosidase, because a set on which the default is chosen is no longer held out.
Run from the root of the checkout: ``python benchmarks/bench_variance.py [--set bgal128] [--seeds 0 1 2]``.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import pytest
from bench_accuracy import CLASSES, PARTICLES, QUICK_PARTICLES, work_folder
from measured_run import classify
from simulated_sets import SETS, STRUCTURE, Case

VARIANCES = (0.55, 0.65, 0.75, 0.85, 0.95, 1.0)
DEFAULT = 0.75
HEADING = "variance       components  purity   worst  10°/2 px   CPU s  over 0.75"


@dataclass(frozen=True)
class Point:
    """One classification: components kept, of how many; accuracy and CPU seconds."""

    components: int
    features: int
    purity: float
    pose_within: float
    cpu_s: float


def components_kept(output: Path) -> tuple[int, int]:
    """Features and components of the PCA in the state of a run, from the header of its safetensors file."""
    with (output / "state" / "references.safetensors").open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    features, components = header["components"]["shape"]
    return features, components


def measure(case: Case, variance: float, threads: int) -> Point:
    """Classify a set that was simulated before, or now."""
    simulated = case.simulate(threads)
    output = simulated / f"variance-{variance:g}"
    wanted = ["--classes", str(CLASSES), "--seed", str(case.seed), "--variance", str(variance), "--device", "cpu"]
    found = classify(simulated, output, threads, wanted)
    features, components = components_kept(output)
    return Point(components, features, found.figures["purity"], found.figures["pose_within"], found.cost.cpu_s)


def line(variance: float, points: list[Point], default_cpu_s: float) -> str:
    """Means over the seeds, and the worst purity."""
    kept, features, purity, pose, cpu_s = (
        mean(getattr(point, name) for point in points) for name in Point.__dataclass_fields__
    )
    worst = min(point.purity for point in points)
    return (
        f"{variance:8.2f} {kept:7.0f} of {features:5.0f} {purity:7.3f} {worst:7.3f} {pose:9.3f} {cpu_s:7.1f} "
        f"{cpu_s / default_cpu_s:9.2f}"
    )


def main(arguments: list[str] | None = None) -> str | None:
    """Print the table; returns why it could not be made, or None."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--set", choices=SETS, default="bgal128")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--variance", type=float, nargs="+", default=VARIANCES)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_PARTICLES} particles: only to see that it runs")
    parser.add_argument("--structure", type=Path, default=STRUCTURE, help="atomic model of β-galactosidase")
    parser.add_argument("--work", type=Path, help="keep sets and classes there, and use the sets that it has")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    if reason := SETS[options.set].missing(options.structure):
        return f"{options.set} skipped: {reason}"
    particles = QUICK_PARTICLES if options.quick else PARTICLES
    measured: dict[float, list[Point]] = {}
    with work_folder(options.work) as work:
        for seed in options.seeds:
            case = Case(options.set, seed, particles, options.structure.resolve(), work)
            for variance in sorted({DEFAULT, *options.variance}):
                measured.setdefault(variance, []).append(measure(case, variance, options.threads))
    print(f"{options.set}, {particles:,} particles, means of {len(options.seeds)} seeds; PCA of the exhaustive level")
    print(HEADING)
    default_cpu_s = mean(point.cpu_s for point in measured[DEFAULT])
    for variance, points in measured.items():
        print(line(variance, points, default_cpu_s))
    return None


@pytest.mark.benchmark
def test_variance(capsys: pytest.CaptureFixture[str]) -> None:
    """The same under ``make bench-all``."""
    with capsys.disabled():
        if reason := main([]):
            pytest.skip(reason)


if __name__ == "__main__":
    sys.exit(main())
