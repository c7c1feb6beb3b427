"""What first scores are computed in: bfloat16 where the processor has instructions for it.

Timing a product at the start does not tell: beside other work it often says float32, and the same command would
give other classes in another run.
"""

from __future__ import annotations

import os

import torch

from ..errors import InputError

SCORING, KINDS = "ALIGNPCA2D_SCORING", {"float32": torch.float32, "bfloat16": torch.bfloat16}
"""The environment variable that says what first scores are computed in, and what it may be."""
FAST_BFLOAT16 = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
"""What ``torch.cpu`` calls the instructions that multiply bfloat16 several times faster than float32."""
FAST = 0.6
"""Time of a pose in bfloat16 with these instructions, over that in float32: the product takes a third, the maximum over
shifts as long."""


def bfloat16_is_faster() -> bool:
    """Whether this processor has instructions that multiply bfloat16 faster than float32."""
    return any(getattr(torch.cpu, name, lambda: False)() for name in FAST_BFLOAT16)


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
    """Of a pose by first scores, over that in float32."""
    return 1.0 if scoring_type(device) == torch.float32 else FAST
