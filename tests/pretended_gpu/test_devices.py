"""Which GPU a process takes, what is refused, and what a rank is told when the others are gone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from pretended_cuda import Gpus
from simulated import SimulatedSet

from alignpca2d_core.errors import InputError
from alignpca2d_core.runtime import devices
from alignpca2d_core.runtime.lost_ranks import BackendFault, LostRank, RankErrors, fault_behind

HERE = Path(__file__).resolve().parent


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> None:
    """As rank 1 of two on this machine."""
    for name, value in {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    """Setting up a device sets the number of threads."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("name", "number"), [("cuda", 0), ("auto", 0), ("cuda:0", 0), ("cuda:1", 1)])
def test_a_device_that_is_named_is_set(pretended: Gpus, name: str, number: int) -> None:
    with pretended(count=2):
        assert devices.set_up(name, 1) == torch.device("cuda", number)
        assert torch.cuda.current_device() == number


def test_ranks_have_a_gpu_each(pretended: Gpus, launched: None) -> None:
    with pretended(count=2):
        assert devices.set_up("cuda", 1) == torch.device("cuda", 1)
        assert torch.cuda.current_device() == 1


@pytest.mark.parametrize("name", ["cuda:0", "cuda:1"])
def test_ranks_cannot_share_a_gpu(pretended: Gpus, launched: None, name: str) -> None:
    with pretended(count=2), pytest.raises(InputError, match="2 processes cannot share a GPU"):
        devices.set_up(name, 1)


@pytest.mark.parametrize("name", ["cuda", "auto"])
def test_more_ranks_than_gpus_are_refused(pretended: Gpus, launched: None, name: str) -> None:
    with pretended(count=1), pytest.raises(InputError, match="2 processes on this machine, which offers 1 CUDA"):
        devices.set_up(name, 1)


@pytest.mark.parametrize("name", ["cuda:2", "mps", "cuda:", "gpu"])
def test_a_device_that_is_not_there_is_refused(pretended: Gpus, name: str) -> None:
    with pretended(count=2), pytest.raises(InputError, match=f"--device {name}"):
        devices.set_up(name, 1)


def test_products_and_convolutions_keep_all_digits_in_one_order(pretended: Gpus) -> None:
    with pretended():
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
        devices.set_up("cuda", 1)
        assert not torch.backends.cuda.matmul.allow_tf32
        assert not torch.backends.cudnn.allow_tf32
        assert torch.are_deterministic_algorithms_enabled()
    assert not torch.are_deterministic_algorithms_enabled()


GLOO, NCCL = RuntimeError, dist.DistBackendError


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (GLOO("[gloo/transport/tcp/pair.cc:534] Connection closed by peer [::1]:1"), LostRank, "has gone"),
        (GLOO("[gloo/transport/tcp/unbound_buffer.cc:81] Timed out waiting 1800000ms for recv"), LostRank, "has gone"),
        (GLOO("[enforce fail at gloo.cc:9] op.preamble.length <= op.nbytes. 8 vs 4"), BackendFault, "gloo has failed"),
        (NCCL("NCCL error: remote process exited or there was a network error"), LostRank, "has gone"),
        (NCCL("NCCL error: unhandled system error, NCCL version 2.27"), BackendFault, "NCCL has failed"),
        (NCCL("NCCL error: Cuda failure 2 'out of memory'"), torch.cuda.OutOfMemoryError, "out of memory"),
        (torch.cuda.OutOfMemoryError("CUDA out of memory."), torch.cuda.OutOfMemoryError, "out of memory"),
    ],
)
def test_what_ends_a_collective_is_told_apart(error: RuntimeError, kind: type, said: str) -> None:
    found = fault_behind(error, None)
    assert type(found) is kind
    assert said in str(found)
    assert ".cc" not in str(found).split("(")[0]


def test_a_rank_leaves_a_word_for_the_others() -> None:
    store, gone = dist.HashStore(), GLOO("Connection closed by peer")
    first, second = (RankErrors(store, rank, 2) for rank in (0, 1))
    first.leave(LostRank("another rank has gone"))
    assert second.of_others() is None
    second.leave(torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate"))
    found = fault_behind(gone, first)
    assert type(found) is LostRank
    assert "rank 1: no memory is left on its device" in str(found)


def test_a_rank_without_memory_says_so_to_the_others(pretended: Gpus, small: SimulatedSet, tmp_path: Path) -> None:
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    options = ["--classes", "3", "--resolution", "16", "--threads", "1", "--device", "cuda", "--quiet"]
    paths = os.pathsep.join(map(str, (HERE.parents[1], HERE.parent, HERE)))
    with pretended():
        pass
    done = subprocess.run(
        [*start, str(HERE / "rank_on_pretended_gpus.py"), "classify", small.metadata, "-o", tmp_path / "out", *options],
        env=os.environ | {"PYTHONPATH": paths, "RANK_1_BYTES": "1000000"},
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert "rank 1: fault: OutOfMemoryError" in done.stderr
    assert "rank 0: fault: LostRank: another rank has ended (rank 1: no memory is left" in done.stderr
