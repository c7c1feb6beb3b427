"""Reproducibility: bit for bit with the same number of threads, and closely with another."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from particle_files import ParticleFiles, two_views
from simulated import SimulatedSet

from alignpca2d_core.commands.classify import classify
from alignpca2d_core.results.result_files import Classification, read_results
from alignpca2d_core.runtime.progress import Progress
from alignpca2d_core.runtime.thread_waiting import CHOSEN_BY, SPINS
from alignpca2d_core.settings import Settings

SAME_CLASS = 0.99
"""Share of particles in the same class: threads add up in another order, which rounds otherwise."""
SAME_AVERAGE = 0.999
"""Correlation of class averages."""


def classified(metadata: Path, out: Path, threads: int) -> Classification:
    classify(metadata, out, Settings(classes=4, resolution=12.0, threads=threads, quiet=True), Progress(quiet=True))
    return read_results(out)[1]


@pytest.fixture(scope="module")
def metadata(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ParticleFiles(tmp_path_factory.mktemp("input")).write(two_views(60))


@pytest.mark.parametrize("threads", [1, 2])
def test_the_same_run_twice_gives_the_same_bits(metadata: Path, tmp_path: Path, threads: int) -> None:
    for name in ("first", "second"):
        classified(metadata, tmp_path / name, threads)
    for name in ("particles.xmd", "classes.xmd", "classes.mrcs"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


def test_other_numbers_of_threads_agree(tmp_path: Path) -> None:
    simulated = SimulatedSet.make(tmp_path / "simulated", particles=90, seed=2)
    for threads in (1, 2):
        words = ["classify", simulated.metadata, "-o", tmp_path / str(threads), "--threads", threads, "--quiet"]
        words += ["--classes", 3, "--resolution", 16]
        subprocess.run([sys.executable, "-m", "alignpca2d_core", *map(str, words)], check=True)
    one, two = (read_results(tmp_path / str(threads))[1] for threads in (1, 2))
    assert (one.assignments == two.assignments).mean() >= SAME_CLASS
    averages = [mrcfile.read(tmp_path / str(threads) / "classes.mrcs") for threads in (1, 2)]
    assert averages[0].any()
    for first, second in zip(*averages, strict=True):
        assert np.corrcoef(first.ravel(), second.ravel())[0, 1] >= SAME_AVERAGE


@pytest.mark.skipif(sys.platform != "linux", reason="PyTorch uses GNU OpenMP on Linux only")
@pytest.mark.parametrize(
    ("chosen", "spins"), [({}, SPINS), ({"GOMP_SPINCOUNT": "77"}, "77"), ({"OMP_WAIT_POLICY": "PASSIVE"}, "0")]
)
def test_waiting_threads_spin_briefly_unless_the_environment_says_otherwise(
    tmp_path: Path, chosen: dict[str, str], spins: str
) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in CHOSEN_BY}
    command = [sys.executable, "-m", "alignpca2d_core", "classify", str(tmp_path / "none.xmd"), "-o", str(tmp_path)]
    environment |= {"OMP_DISPLAY_ENV": "VERBOSE", **chosen}
    said = subprocess.run(command, env=environment, capture_output=True, text=True).stderr
    assert f"GOMP_SPINCOUNT = '{spins}'" in said
