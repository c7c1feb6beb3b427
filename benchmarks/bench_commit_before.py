"""What the last commit has changed: a set classified by it and by another commit in turn, CPU seconds and purity.

Run from the root of the checkout: ``python benchmarks/bench_commit_before.py [--commit HEAD~1] [--particles 1000]``.
The other commit is checked out into a folder of its own.  Each runs twice, in turn; the sums are compared.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from bench_accuracy import circumstances, work_folder
from measured_run import CORE, ROOT, classify
from simulated_sets import SETS, STRUCTURE, Case

TURNS = 2
MOST_SLOWER = 1.1
PROGRAM = "import runpy, sys; sys.path.insert(0, {!r}); runpy.run_module('alignpca2d_core', run_name='__main__')"


@contextmanager
def checked_out(commit: str, folder: Path) -> Iterator[Path]:
    """Another commit of this checkout, as long as it is needed."""
    git = ["git", "-C", str(ROOT), "worktree"]
    subprocess.run([*git, "add", "--detach", str(folder), commit], check=True, capture_output=True)
    try:
        yield folder
    finally:
        subprocess.run([*git, "remove", "--force", str(folder)], check=True, capture_output=True)


def main(arguments: list[str] | None = None) -> float:
    """Print the table; returns the CPU seconds of the other commit over those of this checkout."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--set", choices=SETS, default="barrel64")
    parser.add_argument("--commit", default="HEAD~1")
    parser.add_argument("--particles", type=int, default=1000)
    parser.add_argument("--classes", type=int, default=20)
    parser.add_argument("--structure", type=Path, default=STRUCTURE, help="atomic model of β-galactosidase")
    parser.add_argument("--work", type=Path, help="keep the set there, and use the one that it has")
    options = parser.parse_args(arguments)
    options.device, options.threads = "cpu", 1
    print(f"{options.set}, {options.particles:,} particles, {options.classes} classes; {circumstances(options)}")
    with work_folder(options.work) as work:
        folder = Case(options.set, 0, options.particles, options.structure.resolve(), work).simulate(1)
        with checked_out(options.commit, work / "before") as before:
            programs = {"now": CORE, options.commit: ("-c", PROGRAM.format(str(before)))}
            spent = dict.fromkeys(programs, 0.0)
            for turn in range(TURNS):
                for name, program in programs.items():
                    wanted = ["--classes", str(options.classes)]
                    found = classify(folder, folder / f"{name}-{turn}", 1, wanted, program)
                    spent[name] += found.cost.cpu_s
                    said = f"{found.cost.cpu_s:7.1f} CPU s, purity {found.figures['purity']:.4f}"
                    print(f"{name:8s} {said}, {found.cost.peak_mb:.0f} MB", flush=True)
    ratio = spent[options.commit] / spent["now"]
    print(f"CPU seconds of {options.commit} over ours: {ratio:.2f}")
    return ratio


@pytest.mark.benchmark
def test_commit_before(capsys: pytest.CaptureFixture[str]) -> None:
    """The same under ``make bench-all``."""
    with capsys.disabled():
        assert main([]) > 1 / MOST_SLOWER


if __name__ == "__main__":
    sys.exit(0 if main() > 1 / MOST_SLOWER else 1)
