"""Particles as they come: continuous views, ice, junk by kind, neighbours, errors of the CTF; the oracle beside them.

Run from the root of the checkout: ``python benchmarks/bench_realistic.py [--sets bgal-64] [--seeds 0 1 2]
[--particles 5000] [--classes 50] [--batches 6] [--relion] [--quick] [--work DIR]``.  Each row is a set of
``realistic_sets.py`` with a seed: classified by a process of its own (with ``--batches`` by one for each update),
scored by ``evaluate``, and matched to its true projections by ``view_oracle.py`` on as many views.  With ``--relion`` a
second row is RELION's of the same particles (``relion_run.py``), by the same figures.  Exit code 1: a target is missed.
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest
from bench_accuracy import circumstances, work_folder
from bench_stream import cut
from measured_run import CORE, ROOT, Classified, Cost, classify, run_python
from realistic_rows import HEADING, OURS, RELION, Row, row_of, worst_figures, worst_kinds
from realistic_sets import SETS, STRUCTURES, RealisticCase
from relion_run import PROGRAM, Search, run_relion, write_as_ours

PARTICLES, CLASSES, ORACLE_PARTICLES = 5000, 50, 600
QUICK_PARTICLES, QUICK_CLASSES, QUICK_ORACLE = 800, 10, 150
RELION_REACH = 0.12
"""Share of the box: the shifts of all particles but those far off centre.  RELION searches about the offset before."""


def run_oracle(folder: Path, views: int, options: argparse.Namespace) -> tuple[dict[str, float], Cost]:
    """The oracle's figures on as many views as there are classes, and its cost; those of an earlier run serve."""
    kept = folder / f"oracle-{views}-{options.oracle_particles}.json"
    if kept.is_file():
        found = json.loads(kept.read_text())
        return found["oracle"], Cost(**found["cost"])
    command = [str(ROOT / "benchmarks" / "view_oracle.py"), str(folder), "--views", str(views), "--json"]
    log = folder / "oracle.txt"
    cost = run_python([*command, "--limit", str(options.oracle_particles)], options.threads, log)
    oracle = json.loads(log.read_text().splitlines()[-1])["oracle"]
    kept.write_text(json.dumps({"oracle": oracle, "cost": asdict(cost)}))
    return oracle, cost


def stream(folder: Path, output: Path, options: argparse.Namespace, wanted: list[str]) -> Classified:
    """The set in batches, micrograph after micrograph, each taken in by an update; the last ends the stream."""
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    cpu_s, peak_mb, log = 0.0, 0.0, output.with_suffix(".log")
    threading = ["--threads", str(options.threads), "--quiet"]
    for path in [*cut(folder, folder, options.batches), None]:
        words = ["--last"] if path is None else [str(path)]
        cost = run_python([*CORE, "update", *words, "-o", str(output), *threading, *wanted], options.threads, log)
        cpu_s, peak_mb = cpu_s + cost.cpu_s, max(peak_mb, cost.peak_mb)
    truth = str(folder / "truth.csv")
    run_python([*CORE, "evaluate", str(output), "--truth", truth], options.threads, log)
    found = json.loads((output / "evaluation.json").read_text())["truth"]
    summary = json.loads((output / "summary.json").read_text())
    sizes = [row["particles"] for row in found["table"]]
    return Classified(Cost(cpu_s, peak_mb), found["figures"], sizes, summary)


def by_relion(folder: Path, seed: int, options: argparse.Namespace) -> tuple[Path, Cost]:
    """RELION's classes, scored, in a folder as ours are in, and what they cost; those of an earlier run serve."""
    output = folder / f"relion-{options.classes}"
    kept = output / "cost.json"
    if not kept.is_file():
        output.mkdir(exist_ok=True)
        box = json.loads((folder / "simulation.json").read_text())["settings"]["box"]
        search = Search.covering(RELION_REACH, box, 2 * box // 64)
        # RELION takes the particles in their order where its seed is 0.
        found = run_relion(folder, output, options.classes, seed + 1, search)
        write_as_ours(folder, output, found)
        kept.write_text(json.dumps(asdict(found.cost)))
    truth = str(folder / "truth.csv")
    run_python([*CORE, "evaluate", str(output), "--truth", truth], options.threads, output / "evaluation.txt")
    return output, Cost(**json.loads(kept.read_text()))


def measure(case: RealisticCase, options: argparse.Namespace) -> Iterator[Row]:
    """Simulate, match by the oracle, classify, score."""
    folder = case.simulate(options.threads)
    oracle, oracle_cost = run_oracle(folder, options.classes, options)
    output = folder / (f"classes-{options.classes}" + (f"-in-{options.batches}" if options.batches else ""))
    wanted = ["--classes", str(options.classes), "--seed", str(case.seed), "--device", options.device]
    wanted += shlex.split(options.classify)
    if options.batches:
        cost = stream(folder, output, options, wanted).cost
    else:
        cost = classify(folder, output, options.threads, wanted).cost
    yield row_of(case, OURS, output, cost, (oracle, oracle_cost))
    if options.relion:
        output, cost = by_relion(folder, case.seed, options)
        yield row_of(case, RELION, output, cost, (oracle, oracle_cost))


def run(options: argparse.Namespace) -> Iterator[Row | str]:
    """Rows as they come; a text where a set cannot be made or the program fails on it."""
    for name in options.sets:
        for seed in options.seeds:
            with work_folder(options.work) as work:
                case = RealisticCase(name, seed, options.particles, options.structures, work)
                if reason := case.missing():
                    yield f"{name:>16s} {seed:4d} skipped: {reason}"
                    continue
                try:
                    yield from measure(case, options)
                except RuntimeError as error:
                    yield f"{name:>16s} {seed:4d} FAILED: {str(error).rpartition(': exit code ')[2]}"


def main(arguments: list[str] | None = None) -> list[str]:
    """Print the table; returns what misses its target, nothing for the quick run but what failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS), metavar="SET", help=", ".join(SETS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of the particles and of classifying")
    parser.add_argument("--particles", type=int, help=f"by default {PARTICLES}, {QUICK_PARTICLES} with --quick")
    parser.add_argument("--classes", type=int, help=f"by default {CLASSES}, {QUICK_CLASSES} with --quick")
    parser.add_argument("--oracle-particles", type=int, help="real particles that the oracle matches")
    parser.add_argument("--quick", action="store_true", help="small sets, one seed: only to see that it runs")
    parser.add_argument("--classify", default="", metavar="OPTIONS", help="further options of classify, in quotes")
    parser.add_argument("--batches", type=int, default=0, help="as a stream of so many batches instead of at once")
    parser.add_argument("--relion", action="store_true", help=f"{PROGRAM} on the same particles too")
    parser.add_argument("--structures", type=Path, default=STRUCTURES, help="folder of the maps")
    parser.add_argument("--work", type=Path, help="keep sets and classes there, and use the sets that it has")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    options = parser.parse_args(arguments)
    small = options.quick
    options.particles = options.particles or (QUICK_PARTICLES if small else PARTICLES)
    options.classes = options.classes or (QUICK_CLASSES if small else CLASSES)
    options.oracle_particles = options.oracle_particles or (QUICK_ORACLE if small else ORACLE_PARTICLES)
    options.seeds = options.seeds[:1] if small else options.seeds
    options.structures = options.structures.resolve()
    if options.relion and shutil.which(PROGRAM) is None:
        parser.error(f"--relion: {PROGRAM} is not installed (Debian's package relion)")
    print(
        f"{options.particles:,} particles, {options.classes} classes; {circumstances(options)}\n\n{HEADING}", flush=True
    )
    rows, missed = [], []
    for row in run(options):
        print(row, flush=True)
        if isinstance(row, Row):
            rows.append(row)
            missed += [] if small else [f"{row.set} seed {row.seed}: {name}" for name in row.misses()]
        elif "FAILED" in row:
            missed.append(row.strip())
    ours = [row for row in rows if row.program == OURS]
    print("", *worst_kinds(ours), *worst_figures(ours), sep="\n", flush=True)
    if options.json is not None:
        report = {"circumstances": circumstances(options), "rows": [asdict(row) for row in rows], "missed": missed}
        options.json.write_text(json.dumps(report, indent=1), encoding="utf-8")
    return missed


@pytest.mark.benchmark
def test_realistic(capsys: pytest.CaptureFixture[str]) -> None:
    """The same under ``make bench-all``."""
    with capsys.disabled():
        missed = main([])
    assert missed == []


if __name__ == "__main__":
    sys.exit("\n".join(main()) or 0)
