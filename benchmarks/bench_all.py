"""All comparisons with rivals in small sizes, in under an hour, as one table: ``docs/benchmarks/comparisons.csv``.

Run from the root of the checkout: ``python benchmarks/bench_all.py [--minutes 55] [--only reading] [--again]``.  Each
row is a benchmark of its own, run as a process with a limit of time, and a ratio to a rival that ran beside it.  A row
that has been measured at this commit is not run again, so that an interrupted table goes on where it ended.
"""

from __future__ import annotations

import argparse
import csv
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timezone

from measured_run import ROOT

sys.path.insert(0, str(ROOT))

from alignpca2d_core.io.atomic_files import atomic_path

TABLE = ROOT / "docs" / "benchmarks" / "comparisons.csv"
TAIL = 400
"""Characters of what a benchmark that failed has printed last."""


@dataclass(frozen=True)
class Comparison:
    """One row to be measured.

    Attributes
    ----------
    name, rival, unit : str
        What is compared, with what, and in what.
    command : str
        Script and options.
    pattern : str
        The ratio in what the script prints, as group 1 of a regular expression.
    minutes : float
        Most time that it may take.
    needs : str
        A program that must be there.
    """

    name: str
    rival: str
    unit: str
    command: str
    pattern: str
    minutes: float
    needs: str = ""


COMPARISONS = (
    Comparison(
        "search",
        "eq. 10 as one dense product",
        "CPU time, rival over ours",
        "bench_cost.py --set barrel64 --particles 1000 --sample 200",
        r"^ratio ([\d.]+),",
        12,
    ),
    Comparison(
        "screening",
        "all poses by eq. 10",
        "multiplications, rival over ours",
        "bench_screening.py --set antibody-64 --particles 1800",
        r"^([\d.]+) times fewer",
        10,
    ),
    Comparison(
        "whole run",
        "the commit before",
        "CPU time, rival over ours",
        "bench_commit_before.py --particles 500",
        r"over ours: ([\d.]+)",
        8,
    ),
    Comparison(
        "metadata",
        "starfile",
        "CPU time, rival over ours",
        "bench_metadata.py --rows 100000 --ratio-rows 30000",
        r"starfile +[\d.]+ s +([\d.]+) times",
        4,
    ),
    Comparison(
        "reading",
        "dd",
        "images a second, ours over rival",
        "bench_reading.py --images 1500",
        r"reading over dd: ([\d.]+)",
        4,
    ),
    Comparison(
        "stream",
        "two cores at 25 particles a second",
        "share of them that is used",
        "bench_stream.py --rate 25 --hours 0.0333 --classes 100",
        r"^then ([\d.]+%)",
        8,
    ),
    Comparison(
        "RELION",
        "relion_refine",
        "CPU time, rival over ours",
        "bench_relion.py --seeds 0 --particles 300",
        r"over ours: ([\d.]+)",
        22,
        "relion_refine",
    ),
)


@dataclass(frozen=True)
class Result:
    """One row of the table, as text."""

    compared: str
    rival: str
    unit: str
    ratio: str
    minutes: str
    command: str
    date: str
    commit: str


def commit() -> str:
    """The checkout's, and whether the program or a benchmark differs from it."""

    def git(*words: str) -> str:
        told = subprocess.run(["git", "-C", str(ROOT), *words], check=True, capture_output=True, text=True)
        return told.stdout.strip()

    changed = git("status", "--porcelain", "alignpca2d_core", "benchmarks")
    return git("rev-parse", "--short=7", "HEAD") + ("-changed" if changed else "")


def known() -> dict[str, Result]:
    """The rows of the table as it stands, by what is compared."""
    if not TABLE.is_file():
        return {}
    with TABLE.open(newline="", encoding="utf-8") as file:
        return {row["compared"]: Result(**row) for row in csv.DictReader(file)}


def write(rows: dict[str, Result]) -> None:
    """The table, in the order of the comparisons."""
    lines = [[field.name for field in fields(Result)]]
    lines += [list(asdict(rows[one.name]).values()) for one in COMPARISONS if one.name in rows]
    with atomic_path(TABLE) as path, path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(lines)


def missing(one: Comparison) -> str:
    """What stands in the table where the program that a comparison needs is not there."""
    return f"{one.needs} is not installed"


def measured(one: Comparison, seconds: float) -> tuple[str, float]:
    """The ratio that a benchmark prints, or why there is none, and the minutes it took."""
    if one.needs and shutil.which(one.needs) is None:
        return missing(one), 0.0
    script, *options = one.command.split()
    begun = time.monotonic()
    command = [sys.executable, str(ROOT / "benchmarks" / script), *options]
    # A group of its own: what it has started ends with it.
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as child:
        try:
            said, _ = child.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            return f"not done in {seconds / 60:.0f} minutes", seconds / 60
        except BaseException:
            os.killpg(child.pid, signal.SIGKILL)
            raise
    minutes = (time.monotonic() - begun) / 60
    found = re.search(one.pattern, said, re.MULTILINE)
    if found is None:
        print(said[-TAIL:])
    return found[1] if found else "failed", minutes


def main(arguments: list[str] | None = None) -> bool:
    """Measure what is missing; whether every row that could be run has a ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=55.0, help="for all rows; the others stay for the next time")
    parser.add_argument("--only", choices=[one.name for one in COMPARISONS], action="append")
    parser.add_argument("--again", action="store_true", help="rows of this commit too")
    options = parser.parse_args(arguments)
    # A benchmark that runs ends with this, however this is ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    ends, now, rows = time.monotonic() + 60 * options.minutes, commit(), known()
    well = True
    for one in COMPARISONS:
        there = one.name in rows and rows[one.name].commit == now and not options.again
        if there or (options.only and one.name not in options.only):
            continue
        left = min(60 * one.minutes, ends - time.monotonic())
        if left <= 0:
            print(f"{one.name}: no time left; run this again")
            well = False
            continue
        ratio, minutes = measured(one, left)
        today = datetime.now(timezone.utc).date().isoformat()
        rows[one.name] = Result(one.name, one.rival, one.unit, ratio, f"{minutes:.1f}", one.command, today, now)
        write(rows)
        well &= ratio[0].isdigit() or ratio == missing(one)
        print(f"{one.name:10s} against {one.rival}: {ratio} ({one.unit}; {minutes:.1f} minutes)", flush=True)
    return well


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
