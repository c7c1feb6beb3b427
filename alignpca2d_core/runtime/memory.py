"""How much is held at once: fixed tiles on a CPU, what is free on a GPU, and less where that was too much."""

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
"""Particles at once on a CPU."""
MOST_BATCH = 65_536
TILES_IN_FREE = 8
"""A tile of scores takes one part in so many of a GPU's free memory."""
MOST_TILE_BYTES = 2 * 2**30
COPIES = 12
"""Vectors of a particle that are alive at once while poses are refined."""
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
MOST_KEPT, LARGEST_KEPT = 2**31 - 1, 32 * 2**20
"""Bytes that glibc's allocator may keep, and the largest block that it will."""


def keep_freed_memory() -> None:
    """Have freed memory used again instead of given back, where the C library is glibc.

    Tensors of megabytes come and go all the time.  The system maps what has been given back anew, page by page: up to
    a third of the time of turning images went into that.
    """
    try:
        adjust = ctypes.CDLL(None).mallopt
    except (OSError, TypeError, AttributeError):
        return
    adjust(M_MMAP_THRESHOLD, LARGEST_KEPT)
    adjust(M_TRIM_THRESHOLD, MOST_KEPT)


def free_bytes(device: torch.device) -> int:
    """Free memory of a GPU."""
    return int(torch.cuda.mem_get_info(device)[0])


def tile_bytes(device: torch.device, on_cpu: int) -> int:
    """Bytes of scores or templates to hold at once."""
    if device.type != "cuda":
        return on_cpu
    return max(on_cpu, min(MOST_TILE_BYTES, free_bytes(device) // TILES_IN_FREE))


def batch_size(coefficients: int, device: torch.device) -> int:
    """Particles of so many complex coefficients to work on at once."""
    if device.type != "cuda":
        return BATCH
    return max(BATCH, min(MOST_BATCH, free_bytes(device) // (4 * COPIES * 8 * coefficients)))


def halving(work: Callable[[slice], Found], count: int, join: Callable[[list[Found]], Found], first: int = 0) -> Found:
    """``work`` on items ``first`` to ``first + count``, in halves and their halves where the GPU's memory ends.

    Raises
    ------
    torch.cuda.OutOfMemoryError
        When one item alone is too much.
    """
    try:
        return work(slice(first, first + count))
    except torch.cuda.OutOfMemoryError:
        if count <= 1:
            raise
    # Outside the handler: the traceback keeps alive what has to be freed.
    torch.cuda.empty_cache()
    half = count // 2
    return join([halving(work, half, join, first), halving(work, count - half, join, first + half)])


def to_device(images: NDArray[np.float32], device: torch.device) -> Tensor:
    """Images on the device; the copy to a GPU goes on while the next are read."""
    held = torch.from_numpy(images)
    return held.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else held
