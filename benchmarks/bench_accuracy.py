"""How well simulated particles are classified, at what cost, and as a share of what anyone could.

Run from the root of the checkout: ``python benchmarks/bench_accuracy.py [--seeds 0 1 2] [--quick] [--work DIR]``.
Every classification is a process of its own, counted whole.  So is the oracle (``oracle.py``), which matches the
same particles to the true views.  The exit code is 1 where a target is missed.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import pytest
from accuracy_table import Row, Verdict, heading, ratios, verdicts
from measured_run import ROOT, Cost, classify, run_python
from simulated_sets import SETS, STRUCTURE, Case

CLASSES = 20
PARTICLES, QUICK_PARTICLES = 3000, 300


def run_oracle(simulated: Path, threads: int) -> tuple[dict[str, float], Cost]:
    """The oracle's figures, and its cost."""
    log = simulated / "oracle.txt"
    cost = run_python([str(ROOT / "benchmarks" / "oracle.py"), str(simulated), "--json"], threads, log)
    return json.loads(log.read_text().splitlines()[-1]), cost


def rows_of(case: Case, options: argparse.Namespace) -> Iterator[Row]:
    """Simulate a set, match it by the oracle, and classify it with each preset."""
    folder = case.simulate(options.threads)
    oracle, oracle_cost = run_oracle(folder, options.threads)
    for preset in options.presets:
        wanted = ["--classes", str(case.kind.classes), "--seed", str(case.seed), "--preset", preset]
        wanted += ["--device", options.device]
        found = classify(folder, folder / preset, options.threads, wanted)
        figures, sizes = found.figures, found.class_sizes
        yield Row(
            set=case.name,
            seed=case.seed,
            preset=preset,
            purity=figures["purity"],
            pose_within=figures["pose_within"],
            views=int(figures["views_covered"]),
            smallest=min(sizes) if len(sizes) == case.kind.classes else 0,
            ari=figures["ari"],
            cpu_s=found.cost.cpu_s,
            peak_mb=found.cost.peak_mb,
            oracle_purity=oracle["oracle_purity"],
            oracle_pose_within=oracle["oracle_within"],
            oracle_cpu_s=oracle_cost.cpu_s,
            share=figures["purity"] / oracle["oracle_purity"],
            pose_share=figures["pose_within"] / oracle["oracle_within"],
        )


@contextmanager
def work_folder(chosen: Path | None) -> Iterator[Path]:
    """The folder that the user chose, else one that is removed."""
    if chosen is not None:
        yield chosen.resolve()
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def circumstances(options: argparse.Namespace) -> str:
    """What the figures were taken on."""
    command = ["git", "describe", "--always", "--dirty"]
    commit = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    processor = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").is_file():
        named = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
        processor = named[0].partition(": ")[2] if named else processor
    return f"commit {commit or 'unknown'}, {processor}, device {options.device}, CPU threads: {options.threads}"


def run(options: argparse.Namespace) -> list[Row]:
    """Print the table line by line as it comes."""
    particles, rows = QUICK_PARTICLES if options.quick else PARTICLES, []
    print(f"{particles:,} particles; {circumstances(options)}\n\n{heading()}", flush=True)
    for name in options.sets:
        if reason := SETS[name].missing(options.structure):
            print(f"{name:>11s} skipped: {reason}", flush=True)
            continue
        for seed in options.seeds:
            with work_folder(options.work) as work:
                for row in rows_of(Case(name, seed, particles, options.structure, work), options):
                    print(row, flush=True)
                    rows.append(row)
    return rows


def main(arguments: list[str] | None = None) -> list[Verdict]:
    """Print everything; returns the verdicts on the sets that the targets were set for, none for the quick run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of the particles and of classifying")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS), metavar="SET", help=", ".join(SETS))
    parser.add_argument("--presets", nargs="+", choices=("default", "paper"), default=["default"])
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_PARTICLES} particles: only to see that it runs")
    parser.add_argument("--structure", type=Path, default=STRUCTURE, help="atomic model of β-galactosidase")
    parser.add_argument("--work", type=Path, help="keep sets and classes there, and use the sets that it has")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    options = parser.parse_args(arguments)
    options.structure = options.structure.resolve()
    rows = run(options)
    judged = list(verdicts(rows))
    print("", *(verdict.text for verdict in judged), *ratios(rows), sep="\n", flush=True)
    if options.json is not None:
        report = {"circumstances": circumstances(options), "rows": rows, "verdicts": judged}
        options.json.write_text(json.dumps(report, default=asdict, indent=1, ensure_ascii=False), encoding="utf-8")
    return [verdict for verdict in judged if verdict.binding and not options.quick]


@pytest.mark.benchmark
def test_accuracy(capsys: pytest.CaptureFixture[str]) -> None:
    """The same under ``make bench-all``."""
    with capsys.disabled():
        binding = main([])
    if not binding:
        pytest.skip(f"no structure at {STRUCTURE}: only the held-out sets were measured")
    assert [verdict.text for verdict in binding if not verdict.met] == []


if __name__ == "__main__":
    sys.exit(0 if all(verdict.met for verdict in main()) else 1)
