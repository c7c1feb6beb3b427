"""How much is held at once: fixed tiles on a CPU, a budget on a GPU, and less where that was too much."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Found = TypeVar("Found")

SCORE_BYTES = 16 * 2**20
"""Scores held at once: a tile that a CPU's last cache keeps, and that any GPU has room for."""
BATCH = 2048
"""Particles at once, at least."""
MOST_BATCH = 16_384
"""Particles at once on a GPU, at most: so few that the next are read while these are searched, so many that templates
are made rarely."""
FOR_EACH_CLASS, IMAGE_BYTES = 40, 256 * 2**20
"""Particles at once on a CPU for each class, where their images are no more bytes."""
CACHE_BYTES = 2 * 2**30
"""Prepared particles kept in the memory of a CPU's machine."""
TILES_IN_BUDGET = 8
"""A tile of scores takes one part in so many of a GPU's budget."""
LEAST_TILE_BYTES, MOST_TILE_BYTES = 2**18, 2 * 2**30
STEPS = 8
"""Budgets are rounded down to one of so many steps from a power of two to the next: the same card, the same pieces."""
COPIES = 12
"""Vectors of a particle that are alive at once while poses are refined."""
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
MOST_KEPT, LARGEST_KEPT = 2**31 - 1, 32 * 2**20
"""Bytes that glibc's allocator may keep, and the largest block that it will."""


def keep_freed_memory() -> None:
    """Have freed memory used again instead of given back, where the C library is glibc.

    Tensors of megabytes come and go all the time.  What has been given back is mapped again, page by page: up to
    a third of the time of turning images went into that.
    """
    try:
        adjust = ctypes.CDLL(None).mallopt
    except (OSError, TypeError, AttributeError):
        return
    adjust(M_MMAP_THRESHOLD, LARGEST_KEPT)
    adjust(M_TRIM_THRESHOLD, MOST_KEPT)


_budgets: dict[torch.device, int] = {}
"""Bytes that this process works with on each GPU, fixed once per run; less where that was too much."""


def free_bytes(device: torch.device) -> int:
    """Memory of a GPU that is free, or kept by torch for what comes."""
    reusable = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(torch.cuda.mem_get_info(device)[0]) + reusable


def fix_budget(device: torch.device, agreed: Callable[[int], int] = int) -> None:
    """Decide what memory of a GPU this run works with; ``agreed`` makes one number of those of all ranks."""
    if device.type == "cuda":
        free = agreed(free_bytes(device))
        step = max(1, 2 ** max(0, free.bit_length() - 1) // STEPS)
        _budgets[device] = free // step * step


def budget(device: torch.device) -> int:
    """Bytes of a GPU that this run works with."""
    if device not in _budgets:
        fix_budget(device)
    return _budgets[device]


def cache_bytes(device: torch.device) -> int:
    """Bytes of prepared particles that may be kept: half of a GPU, where reading them again would take longest."""
    return CACHE_BYTES if device.type != "cuda" else budget(device) // 2


def set_aside(device: torch.device, held: int) -> None:
    """Take from a GPU's budget what will be held there for the whole run."""
    if device.type == "cuda":
        _budgets[device] = max(0, budget(device) - held)


def tile_bytes(device: torch.device, on_cpu: int) -> int:
    """Bytes of scores or templates to hold at once."""
    if device.type != "cuda":
        return on_cpu
    return max(LEAST_TILE_BYTES, min(MOST_TILE_BYTES, budget(device) // TILES_IN_BUDGET))


def batch_size(coefficients: int, device: torch.device, box: int, classes: int) -> int:
    """Particles of so many complex coefficients to work on at once.

    On a CPU references are turned for each batch: of more classes there are more, as far as images of ``box`` allow.
    """
    if device.type != "cuda":
        return max(BATCH, min(FOR_EACH_CLASS * classes, IMAGE_BYTES // (4 * box**2)))
    return max(BATCH, min(MOST_BATCH, budget(device) // (4 * COPIES * 8 * coefficients)))


def halving(work: Callable[[slice], Found], count: int, join: Callable[[list[Found]], Found], first: int = 0) -> Found:
    """``work`` on items ``first`` to ``first + count``, in halves and their halves where the GPU's memory ends.

    Tiles are halved too, for the rest of the run.

    Raises
    ------
    torch.cuda.OutOfMemoryError
        When one item alone, in the least of tiles, is too much.
    """
    try:
        return work(slice(first, first + count))
    except torch.cuda.OutOfMemoryError:
        shrunk = _shrink()
        if count <= 1 and not shrunk:
            raise
    # Outside the handler: the traceback keeps alive what has to be freed.
    torch.cuda.empty_cache()
    if count <= 1:
        return halving(work, count, join, first)
    half = count // 2
    return join([halving(work, half, join, first), halving(work, count - half, join, first + half)])


def in_pieces(work: Callable[[slice], None], count: int, most: int) -> None:
    """``work`` on ``count`` items, at most so many at once, and in halves of these where the GPU's memory ends.

    What ``work`` does must be safe to begin again.
    """
    for first in range(0, count, most):
        halving(work, min(most, count - first), lambda _: None, first)


def _shrink() -> bool:
    """Halve the budgets; whether tiles become smaller by it."""
    smaller = any(bytes_ > LEAST_TILE_BYTES * TILES_IN_BUDGET for bytes_ in _budgets.values())
    for device in _budgets:
        _budgets[device] //= 2
    return smaller


def to_device(images: NDArray[np.float32], device: torch.device) -> Tensor:
    """Images on the device; the copy to a GPU goes on while the next are read."""
    held = torch.from_numpy(images)
    return held.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else held
