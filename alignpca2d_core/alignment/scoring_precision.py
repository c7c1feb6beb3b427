"""What first scores are computed in: bfloat16 where the processor multiplies it faster than float32, as it is found."""

from __future__ import annotations

import os
import time
from functools import cache

import torch

from ..errors import InputError

SCORING, KINDS = "ALIGNPCA2D_SCORING", {"float32": torch.float32, "bfloat16": torch.bfloat16}
"""The environment variable that says what first scores are computed in, and what it may be."""
FAST = 0.3
"""Time of a multiplication in bfloat16 where it is fast, over that in float32; a constant, so that a search is the same
in every run."""
LEAST_GAIN = 0.7
"""Share of float32's time that bfloat16 may take: instructions for it take 0.3, without them it takes 30 and more."""
TRIED = 128, 128, 256
"""Sides of the products that are timed, particles times templates: 0.1 ms in float32."""
TIMES = 7
"""So often; the fastest counts, as other work only adds to the time."""


@cache
def bfloat16_is_faster() -> bool:
    """Whether one thread of this processor is found to multiply bfloat16 faster than float32, in some milliseconds."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _time_of_product(torch.bfloat16) <= LEAST_GAIN * _time_of_product(torch.float32)
    finally:
        torch.set_num_threads(threads)


def _time_of_product(kind: torch.dtype) -> float:
    """CPU seconds of this thread for a product."""
    rows, inner, columns = TRIED
    left, right, least = torch.ones(rows, inner, dtype=kind), torch.ones(inner, columns, dtype=kind), float("inf")
    for _ in range(TIMES):
        start = time.thread_time()
        torch.mm(left, right)
        least = min(least, time.thread_time() - start)
    return least


def scoring_type(device: torch.device) -> torch.dtype:
    """bfloat16 where the processor multiplies it faster than float32: the best few are then scored again.

    Raises
    ------
    InputError
        When the environment asks for anything but these two.
    """
    wanted = os.environ.get(SCORING)
    if wanted:
        if wanted not in KINDS:
            raise InputError(f"{SCORING}={wanted}: set it to {' or '.join(KINDS)}, or not at all")
        return KINDS[wanted]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.get_device_capability(device) >= (8, 0) else torch.float32
    return torch.bfloat16 if bfloat16_is_faster() else torch.float32


def scoring_time(device: torch.device) -> float:
    """Of a multiplication of first scores, over that in float32."""
    return 1.0 if scoring_type(device) == torch.float32 else FAST
