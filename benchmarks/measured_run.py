"""The program as a process of its own, and what that cost: everything included, the import of torch too."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
CORE = ("-m", "alignpca2d_core")


@dataclass(frozen=True)
class Cost:
    """CPU seconds of a process and its children, user and system, and the peak of its resident memory in MB."""

    cpu_s: float
    peak_mb: float


@dataclass(frozen=True)
class Classified:
    """A classification: its cost, what ``evaluate`` says of it against the truth, and its own summary."""

    cost: Cost
    figures: dict[str, float]
    class_sizes: list[int]
    summary: dict[str, Any]


def run_python(arguments: list[str], threads: int, log: Path) -> Cost:
    """Run this Python with ``arguments`` on this checkout; what it prints goes to ``log``."""
    return run_command([sys.executable, *arguments], threads, log)


def run_command(command: list[str], threads: int, log: Path) -> Cost:
    """Run any program; what it prints goes to ``log``.

    Raises
    ------
    RuntimeError
        When it fails; the message ends with the last line that it printed.
    """
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "PYTHONPATH": str(ROOT)}
    with log.open("w", encoding="utf-8") as file:
        child = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=file, stderr=subprocess.STDOUT)
        # The usage of this child alone: that of RUSAGE_CHILDREN keeps the largest memory of all children so far.
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        said = log.read_text(encoding="utf-8").strip().rpartition("\n")[2]
        raise RuntimeError(f"{' '.join(command)}: exit code {child.returncode}: {said}")
    unit = 1e6 if sys.platform == "darwin" else 1e3
    return Cost(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / unit)


def classify(
    simulated: Path, output: Path, threads: int, options: list[str], program: tuple[str, ...] = CORE
) -> Classified:
    """Classify a simulated set into ``output`` and evaluate it; only the first of the two is counted."""
    output.mkdir(parents=True, exist_ok=True)
    log, threading = output / "log.txt", ["--threads", str(threads), "--quiet"]
    particles, truth = str(simulated / "particles.xmd"), str(simulated / "truth.csv")
    cost = run_python([*program, "classify", particles, "-o", str(output), *threading, *options], threads, log)
    run_python([*CORE, "evaluate", str(output), "--truth", truth], threads, output / "evaluation.txt")
    found = json.loads((output / "evaluation.json").read_text())["truth"]
    summary = json.loads((output / "summary.json").read_text())
    return Classified(cost, found["figures"], [row["particles"] for row in found["table"]], summary)
