"""The whole way on a GPU: every tensor where it belongs, and the classes of the CPU.

Pretended GPUs compute as the CPU does, so that every label is the same.  Real ones add up in another order.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pretended_cuda import Gpus
from simulated import QUICK, SimulatedSet, one_thread, run, same_partition

from alignpca2d_core.commands.classify import assign
from alignpca2d_core.io.particle_reading import read_particles
from alignpca2d_core.io.particle_set import write_particles
from alignpca2d_core.results.result_files import read_results
from alignpca2d_core.runtime.progress import Progress
from alignpca2d_core.settings import Settings
from alignpca2d_core.streaming.update import update

HERE = Path(__file__).resolve().parent
TESTS, REPOSITORY = HERE.parent, HERE.parents[1]
ON_REAL_ONE = 0.98
"""Share of particles in the same class where sums are rounded differently."""


ATOMIC = {
    "averaging/class_averages.py": "sums of particles, of bins, of families",
    "classification/discovery/initialization.py": "means of k-means",
    "classification/discovery/pruning.py": "what a class is worth",
    "classification/discovery/split_search.py": "the size of a half: whole numbers",
}
"""Modules with sums by ``index_add``, which torch sorts on CUDA when it is told to keep one order."""


@pytest.fixture(scope="module")
def on_cpu(small: SimulatedSet) -> Path:
    """What the CPU makes of it."""
    run(small.metadata, small.folder / "cpu", device="cpu")
    return small.folder / "cpu"


def assert_as_on_cpu(cpu: Path, folder: Path, gpu: Any) -> None:
    one, other = (read_results(each)[1].assignments for each in (cpu, folder))
    if gpu is not None:
        assert np.array_equal(one, other)
        assert {line.partition(":")[0] for line in gpu.atomics} <= ATOMIC.keys(), gpu.atomics
    else:
        assert same_partition(one, other) >= ON_REAL_ONE


@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_classify(gpus: Gpus, small: SimulatedSet, on_cpu: Path, tmp_path: Path, device: str) -> None:
    with gpus(count=2 if ":" in device else 1) as gpu:
        run(small.metadata, tmp_path / "gpu", device=device)
        assert torch.cuda.current_device() == int(device[5:] or 0)
        assert torch.are_deterministic_algorithms_enabled()
    assert_as_on_cpu(on_cpu, tmp_path / "gpu", gpu)
    if gpu is not None:
        assert sum(gpu.launches.values()) > 1000, "the GPU was hardly used"
        assert gpu.memory.allocated == 0, "something is left in the GPU's memory"


@pytest.mark.gpu
def test_the_same_bits_twice(real_gpus: Gpus, small: SimulatedSet, tmp_path: Path) -> None:
    """Two runs on one GPU; those of a CPU are in ``tests/runtime``."""
    with real_gpus():
        for name in ("one", "other"):
            run(small.metadata, tmp_path / name, device="cuda")
    for name in ("classes.mrcs", "classes.xmd", "particles.xmd"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()


SETS = {
    "ten views": ({"particles": 200, "views": 10, "view_selection": "distinct", "snr": 0.3}, {"classes": 10}),
    "realistic": (
        {"realistic": True, "views": 10, "view_selection": "distinct", "particles": 240, "snr": 0.3},
        {"classes": 12, "resolution": 14.0},
    ),
}
"""What they are simulated with, and classified."""


@pytest.mark.parametrize("name", SETS)
def test_sets_of_the_benchmarks(gpus: Gpus, tmp_path: Path, name: str) -> None:
    simulated, chosen = SETS[name]
    metadata = SimulatedSet.make(tmp_path / "set", **simulated).metadata
    run(metadata, tmp_path / "cpu", device="cpu", **chosen)
    with gpus() as gpu:
        run(metadata, tmp_path / "gpu", device="cuda", **chosen)
    assert_as_on_cpu(tmp_path / "cpu", tmp_path / "gpu", gpu)


def test_assign(gpus: Gpus, small: SimulatedSet, on_cpu: Path, tmp_path: Path) -> None:
    def on(device: str) -> Path:
        settings = Settings(**QUICK, references=str(on_cpu), device=device)
        with one_thread():
            assign(small.metadata, tmp_path / device, settings, Progress(quiet=True))
        return tmp_path / device

    with gpus() as gpu:
        on("cuda")
    assert_as_on_cpu(on("cpu"), tmp_path / "cuda", gpu)


def test_update(gpus: Gpus, small: SimulatedSet, tmp_path: Path) -> None:
    particles, paths = read_particles(small.metadata), [small.folder / "first.xmd", small.folder / "second.xmd"]
    for path, rows in zip(paths, (np.arange(100), np.arange(100, 150)), strict=True):
        write_particles(path, particles.subset(rows))

    def on(device: str) -> Path:
        settings = Settings(**QUICK, initial_particles=90, device=device)
        with one_thread():
            for path in (*paths, None):
                update(path, tmp_path / device, settings, Progress(quiet=True), path is None)
        return tmp_path / device

    with gpus() as gpu:
        on("cuda")
    assert_as_on_cpu(on("cpu"), tmp_path / "cuda", gpu)


def test_the_papers_preset(gpus: Gpus, small: SimulatedSet, tmp_path: Path) -> None:
    # A CPU turns what is turned alike together, which rounds otherwise: after so few rounds some seeds follow that.
    chosen = {"preset": "paper", "iterations": 4, "seed": 1}
    with gpus() as gpu:
        run(small.metadata, tmp_path / "gpu", device="cuda", **chosen)
    run(small.metadata, tmp_path / "cpu", device="cpu", **chosen)
    assert_as_on_cpu(tmp_path / "cpu", tmp_path / "gpu", gpu)


def test_two_ranks_on_two_gpus(gpus: Gpus, small: SimulatedSet, on_cpu: Path, tmp_path: Path) -> None:
    with gpus(count=2) as gpu:
        pass
    program = ["-m", "alignpca2d_core"] if gpu is None else [str(HERE / "rank_on_pretended_gpus.py")]
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *program]
    options = ["--classes", "3", "--resolution", "16", "--threads", "1", "--device", "cuda", "--quiet"]
    done = subprocess.run(
        [*start, "classify", str(small.metadata), "-o", str(tmp_path / "out"), *options],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (REPOSITORY, TESTS, HERE)))},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = [read_results(folder)[1].assignments for folder in (on_cpu, tmp_path / "out")]
    assert same_partition(*found) >= ON_REAL_ONE
