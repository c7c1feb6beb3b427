"""The same seed, the same files: bit by bit, in processes that know nothing of each other."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from simulated import SimulatedSet

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import sys, torch
from alignpca2d_core.__main__ import main
torch.use_deterministic_algorithms(True)
for words in sys.argv[1:]:
    assert main(words.split()) == 0, words
"""
OPTIONS = "--classes 4 --resolution 16 --threads 1 --device cpu --quiet"
RUNS = [
    "classify {set} -o classified",
    "classify {set} -o paper --preset paper --iterations 3",
    "update {set} -o stream --initial-particles 100",
    "update -o stream --last --initial-particles 100",
    "assign {set} -o assigned --references classified",
]
OF_THE_RUN = re.compile(rb'"(wall_s|cpu_s|seconds|time|history|working_directory)": ?("[^"]*"|[-+.e\d]+)')
"""When it was, where, and how long it took; ``history`` is the length of the file that says so."""


def files_of_a_process(particles: Path, folder: Path, seed: str) -> dict[str, bytes]:
    """What a process makes of the particles, by name of the file; without when and where."""
    folder.mkdir()
    lines = [f"{run.format(set=particles)} {OPTIONS}" for run in RUNS]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *lines],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    paths = [path for path in folder.rglob("*") if path.is_file() and path.name != ".lock"]
    return {str(path.relative_to(folder)): OF_THE_RUN.sub(b"", path.read_bytes()) for path in paths}


def test_two_runs_write_the_same_bits(tmp_path: Path) -> None:
    particles = SimulatedSet.make(tmp_path / "set", particles=200, views=4, snr=0.1).metadata
    one, other = (files_of_a_process(particles, tmp_path / seed, seed) for seed in ("1", "2"))
    for folder in ("classified", "paper", "stream", "assigned"):
        assert {f"{folder}/{name}" for name in ("classes.mrcs", "classes.xmd", "particles.xmd")} <= set(one)
    assert sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name)) == []
