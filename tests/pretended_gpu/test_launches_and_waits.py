"""How often stage 1 starts a kernel, and how often the host waits for the GPU."""

from __future__ import annotations

from pathlib import Path

from counted_stage import counted_stage_1
from pretended_cuda import Gpus

MOST_LAUNCHES, MOST_WAITS = 20_000, 500
"""On 3,000 particles of 20 views at K = 100, where it was 168,800 and 8,800."""


def test_stage_1_hardly_waits(pretended: Gpus, tmp_path: Path) -> None:
    gpu = counted_stage_1(tmp_path, pretended)
    assert sum(gpu.launches.values()) <= MOST_LAUNCHES, gpu.launches.most_common(5)
    assert sum(gpu.waits.values()) <= MOST_WAITS, gpu.waits.most_common(5)
