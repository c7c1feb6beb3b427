"""Several processes at one classification: the classes of one process, one writer, and an end when one of them dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from particle_files import ParticleFiles, two_views
from simulated import SimulatedSet

from alignpca2d_core.results.result_files import read_results
from alignpca2d_core.runtime import distributed

OPTIONS = (
    "--classes",
    "6",
    "--resolution",
    "16",
    "--threads",
    "1",
    "--initial-particles",
    "300",
    "--batch-size",
    "300",
)
SAME_CLASS = 0.99
"""Share of particles in the same class with two ranks as with one: they add up in another order.

Which number a class has may differ: classes are numbered by size, and those of one size as they were divided.
"""


def command(count: int, *arguments: object) -> list[str]:
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
    return [*start, "-m", "alignpca2d_core", *map(str, arguments)]


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> SimulatedSet:
    """As many views as classes: where one view is divided, it hangs on rounding."""
    return SimulatedSet.make(tmp_path_factory.mktemp("simulated"), particles=600, views=6, snr=0.3, seed=1)


@pytest.fixture(scope="module")
def alone(simulated: SimulatedSet) -> Path:
    """What one process makes of it."""
    out = simulated.folder / "alone"
    done = subprocess.run(
        [sys.executable, "-m", "alignpca2d_core", "classify", simulated.metadata, "-o", out, *OPTIONS, "--quiet"]
    )
    assert done.returncode == 0
    return out


def test_two_ranks_make_the_classes_of_one(simulated: SimulatedSet, alone: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        command(2, "classify", simulated.metadata, "-o", tmp_path / "out", *OPTIONS), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(" particles, ") <= 1, "only the first rank speaks"
    one, two = read_results(alone)[1], read_results(tmp_path / "out")[1]
    together = one.assignments == numbered_as(one.assignments, two.assignments)[two.assignments]
    assert together.mean() >= SAME_CLASS
    turned = np.abs((one.poses.psi_deg - two.poses.psi_deg + 180) % 360 - 180)
    assert np.median(turned[together]) < 0.1
    assert simulated.figures(tmp_path / "out")["purity"] >= simulated.figures(alone)["purity"] - 0.01


def numbered_as(first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each class of the second the one of the first that it shares most particles with: another for each."""
    shared = np.zeros((second.max() + 1, first.max() + 1), dtype=int)
    np.add.at(shared, (second, first), 1)
    partner = shared.argmax(1)
    assert len(set(partner.tolist())) == len(partner)
    return partner


def test_two_ranks_assign_as_one(simulated: SimulatedSet, alone: Path, tmp_path: Path) -> None:
    rest = ("assign", simulated.metadata, "--references", alone, *OPTIONS, "--quiet")
    for count, name in ((1, "one"), (2, "two")):
        assert subprocess.run(command(count, *rest, "-o", tmp_path / name)).returncode == 0
    one, two = (read_results(tmp_path / name)[1] for name in ("one", "two"))
    assert (one.assignments == two.assignments).mean() >= SAME_CLASS


def test_a_rank_that_dies_ends_the_run_which_can_be_resumed(tmp_path: Path) -> None:
    metadata = ParticleFiles(tmp_path / "input").write(two_views(900))
    rest = ("classify", metadata, "--classes", "6", "--resolution", "12", "--threads", "1", "--batch-size", "50")
    rest += ("--initial-particles", "200")
    with subprocess.Popen(
        command(2, *rest, "-o", tmp_path / "out"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        while process.poll() is None and not (tmp_path / "out" / "state" / "references.safetensors").exists():
            time.sleep(0.02)
        os.kill(second_rank_of(process.pid), signal.SIGKILL)
        _, said = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "--resume continues" in said
    assert not (tmp_path / "out" / "classes.xmd").exists()
    resumed = subprocess.run(
        command(1, *rest, "-o", tmp_path / "out", "--resume"), capture_output=True, text=True, check=True
    )
    assert "Continuing after stage 1" in resumed.stderr
    assert len(read_results(tmp_path / "out")[1].sizes) == 6


def second_rank_of(launcher: int) -> int:
    """The process of rank 1, among the children of torchrun."""
    children = [folder for folder in Path("/proc").glob("[0-9]*") if _is_rank_1(folder, launcher)]
    assert len(children) == 1
    return int(children[0].name)


def _is_rank_1(folder: Path, launcher: int) -> bool:
    try:
        is_child = f"PPid:\t{launcher}\n" in (folder / "status").read_text()
        return is_child and b"\0RANK=1\0" in b"\0" + (folder / "environ").read_bytes()
    except OSError:
        return False


@pytest.mark.parametrize("subcommand", ["update", "simulate", "evaluate"])
def test_what_is_done_by_one_process_is_refused(
    run_cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, subcommand: str
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    output = [] if subcommand == "evaluate" else ["-o", tmp_path / "out"]
    outcome = run_cli(subcommand, *([] if subcommand == "simulate" else [tmp_path / "a.xmd"]), *output)
    assert outcome.code == 2
    assert "torchrun" in outcome.err
    assert "rank 1" in outcome.err


# ------------------------------------------------------------------------------------------- without other ranks


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize(("length", "batch"), [(0, 4), (1, 4), (7, 4), (8, 4), (100, 7)])
def test_every_position_is_some_ranks(monkeypatch: pytest.MonkeyPatch, count: int, length: int, batch: int) -> None:
    monkeypatch.setattr(distributed, "count", lambda: count)
    parts = []
    for rank in range(count):
        monkeypatch.setattr(distributed.dist, "get_rank", lambda rank=rank: rank)
        parts.append(distributed.part_of_batches(length, batch))
        assert (np.diff(parts[-1]) > 0).all()
    assert sorted(np.concatenate(parts).tolist()) == list(range(length))


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("sizes", [[5], [9, 1, 1, 7, 2, 0, 3], [4, 4, 4, 4]])
def test_every_class_is_some_ranks(monkeypatch: pytest.MonkeyPatch, count: int, sizes: list[int]) -> None:
    monkeypatch.setattr(distributed, "count", lambda: count)
    members = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes)).flip(0)
    items, rows, loads = [], [], []
    for rank in range(count):
        monkeypatch.setattr(distributed.dist, "get_rank", lambda rank=rank: rank)
        items.append(distributed.dealt(sizes))
        loads.append(sum(sizes[item] for item in items[-1]))
        rows.append(torch.arange(len(members))[distributed.rows_of_groups(members, len(sizes))])
        assert set(members[rows[-1]].tolist()) <= set(items[-1])
        mine = distributed.part_or_first(len(sizes))
        assert mine.stop > mine.start
    assert sorted(item for own in items for item in own) == list(range(len(sizes)))
    assert sorted(torch.cat(rows).tolist()) == list(range(len(members)))
    assert max(loads) - min(loads) <= max(sizes)


def test_alone_everything_stays_as_it_is() -> None:
    values = torch.randn(4, 3)
    assert distributed.count() == 1
    assert distributed.is_first()
    assert distributed.gathered_tensor(values, np.arange(4)) is values
    assert distributed.first_tensor(values) is values
    assert distributed.part(7) == slice(0, 7)


SUMS = """
import math
import torch
from alignpca2d_core.runtime import distributed
from alignpca2d_core.averaging.class_averages import BinnedSums
from alignpca2d_core.fourier.band import Band
from alignpca2d_core.preprocessing.preprocess import Vectors
from alignpca2d_core.alignment.matches import Matches

band, drawn = Band.make(32, 10.0), torch.Generator().manual_seed(0)
z = torch.view_as_complex(torch.randn(90, len(band), 2, generator=drawn))
particles = Vectors(z, torch.ones(90, band.rings), band)
angle = torch.randint(0, 30, (90, 1), generator=drawn) * (math.pi / 15)
classes, still = torch.randint(0, 3, (90, 1), generator=drawn), torch.zeros(90, 1)
matches, halves = Matches(classes, angle, still, still, still), torch.arange(90) % 2
whole = BinnedSums(3, band)
whole.add(particles, matches, halves)
with distributed.together():
    mine, own = distributed.part(90), BinnedSums(3, band)
    own.add(particles.rows(mine), matches.rows(mine), halves[mine])
    sums, wanted = own.total_together(), whole.total()
    for name in ("total", "weight", "count"):
        torch.testing.assert_close(getattr(sums, name), getattr(wanted, name), rtol=1e-4, atol=1e-4)
    owner = (torch.arange(90) * 7 % 5 % distributed.count())[mine]
    rows = torch.arange(90)[mine]
    come = distributed.handed_over_tensor(rows, owner)
    assert come.tolist() == [row for row in range(90) if row * 7 % 5 % distributed.count() == distributed.local()]
"""


@pytest.mark.parametrize("count", [2, 3])
def test_ranks_add_up_and_hand_over_what_one_would_have(tmp_path: Path, count: int) -> None:
    (tmp_path / "sums.py").write_text(SUMS)
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
    here = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(distributed.__file__).parents[2])}
    subprocess.run([*start, str(tmp_path / "sums.py")], check=True, env={**os.environ, **here})


UNEQUAL = """
import sys
from alignpca2d_core.classification import method
from alignpca2d_core.runtime import distributed
from alignpca2d_core.__main__ import main

method.batch_size = lambda *rest: 170 + 37 * distributed.local()
sys.exit(main(sys.argv[1:]))
"""


def test_ranks_of_unequal_memory_divide_the_particles_alike(tmp_path: Path) -> None:
    """Each would take another number at once, and some particles would be missed and others taken twice."""
    metadata = ParticleFiles(tmp_path / "input").write(two_views(500))
    (tmp_path / "unequal.py").write_text(UNEQUAL)
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    rest = ["--classes", "4", "--resolution", "12", "--threads", "1", "--initial-particles", "200", "--quiet"]
    here = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(distributed.__file__).parents[2])}
    words = [*start, tmp_path / "unequal.py", "classify", metadata, "-o", tmp_path / "out", *rest]
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, env={**os.environ, **here})
    assert done.returncode == 0, done.stderr
    result = read_results(tmp_path / "out")[1]
    assert (result.assignments >= 0).all()
    assert result.sizes.sum() == 500
