"""Memory: what a GPU has no room for is done in halves, without loss or repetition."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from alignpca2d_core.fourier.band import Band
from alignpca2d_core.runtime import memory
from alignpca2d_core.runtime.memory import batch_size, halving, tile_bytes, to_device


def joined(parts: list[list[int]]) -> list[int]:
    return [number for part in parts for number in part]


@pytest.mark.parametrize("room", [1, 3, 10, 1000])
def test_halves_until_there_is_room(room: int) -> None:
    attempts: list[int] = []

    def work(part: slice) -> list[int]:
        attempts.append(part.stop - part.start)
        if attempts[-1] > room:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return list(range(part.start, part.stop))

    assert halving(work, 100, joined) == list(range(100))


def test_one_item_that_does_not_fit_is_an_error() -> None:
    def work(part: slice) -> list[int]:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.cuda.OutOfMemoryError):
        halving(work, 4, joined)


def test_other_errors_are_not_swallowed() -> None:
    def work(part: slice) -> list[int]:
        raise ValueError("something else")

    with pytest.raises(ValueError, match="something else"):
        halving(work, 4, joined)


@pytest.mark.parametrize(
    ("free", "tile"), [(80 * 2**30, memory.MOST_TILE_BYTES), (2**30, 2**27), (0, memory.LEAST_TILE_BYTES)]
)
def test_sizes_follow_a_budget(monkeypatch: pytest.MonkeyPatch, free: int, tile: int) -> None:
    device = torch.device("cuda")
    monkeypatch.setattr(memory, "_budgets", {})
    monkeypatch.setattr(memory, "free_bytes", lambda device: free)
    assert tile_bytes(device, 2**20) == tile
    monkeypatch.setattr(memory, "free_bytes", lambda device: 5)
    assert tile_bytes(device, 2**20) == tile, "it is fixed once"


def test_ranks_agree_on_a_budget_that_small_differences_do_not_change(monkeypatch: pytest.MonkeyPatch) -> None:
    device = torch.device("cuda")
    monkeypatch.setattr(memory, "_budgets", {})
    found = set()
    for free in (61 * 2**30, 61 * 2**30 + 12345, 63 * 2**30):
        monkeypatch.setattr(memory, "free_bytes", lambda device, free=free: free)
        memory.fix_budget(device, lambda own: min(own, 90 * 2**30))
        found.add(memory.budget(device))
    assert found == {60 * 2**30}
    memory.fix_budget(device, lambda own: min(own, 7 * 2**30))
    assert memory.budget(device) == 7 * 2**30


def test_what_is_kept_for_the_run_is_no_longer_in_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    device = torch.device("cuda")
    monkeypatch.setattr(memory, "_budgets", {device: 2**30})
    assert memory.cache_bytes(device) == 2**29
    memory.set_aside(device, 3 * 2**28)
    assert tile_bytes(device, 0) == 2**28 // memory.TILES_IN_BUDGET
    memory.set_aside(torch.device("cpu"), 2**40)
    assert memory.cache_bytes(torch.device("cpu")) == memory.CACHE_BYTES


def test_tiles_are_halved_too_until_one_item_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    device = torch.device("cuda")
    monkeypatch.setattr(memory, "_budgets", {device: 2**30})

    def work(part: slice) -> list[int]:
        if tile_bytes(device, 0) > 2**22:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return list(range(part.start, part.stop))

    assert halving(work, 3, joined) == [0, 1, 2]
    assert tile_bytes(device, 0) == 2**22


def test_pieces_cover_everything_once() -> None:
    done: list[int] = []

    def work(part: slice) -> None:
        if part.stop - part.start > 3:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        done.extend(range(part.start, part.stop))

    memory.in_pieces(work, 25, 7)
    memory.in_pieces(work, 0, 7)
    assert done == list(range(25))


def test_a_cpu_has_tiles_and_batches_of_its_own() -> None:
    assert tile_bytes(torch.device("cpu"), 123) == 123
    assert batch_size(len(Band.make(32, 9.0)), torch.device("cpu"), 32, 3) == memory.BATCH
    images = np.ones((2, 4, 4), dtype=np.float32)
    assert torch.equal(to_device(images, torch.device("cpu")), torch.ones(2, 4, 4))


def test_freed_memory_is_kept_where_the_c_library_can_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[int, int]] = []
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda _: SimpleNamespace(mallopt=lambda *pair: told.append(pair)))
    memory.keep_freed_memory()
    assert [number for number, _ in told] == [-3, -1]
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda _: SimpleNamespace())
    memory.keep_freed_memory()
    assert len(told) == 2
