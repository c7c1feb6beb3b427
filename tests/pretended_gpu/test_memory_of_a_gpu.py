"""A GPU with too little memory: work is done in smaller pieces, and comes to the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from pretended_cuda import Gpus
from simulated import SimulatedSet, run

from alignpca2d_core.results.result_files import read_results

MEGABYTES = 40
"""The run takes 109 where it can."""


def test_classes_are_the_same_where_memory_ends(pretended: Gpus, small: SimulatedSet, tmp_path: Path) -> None:
    run(small.metadata, tmp_path / "cpu", device="cpu")
    with pretended(memory=MEGABYTES * 2**20) as gpu:
        run(small.metadata, tmp_path / "gpu", device="cuda")
    assert gpu.memory.refusals > 0, "there was enough for all"
    found = [read_results(tmp_path / name)[1].assignments for name in ("cpu", "gpu")]
    assert np.array_equal(*found)


def test_far_too_little_is_an_error(pretended: Gpus, small: SimulatedSet, tmp_path: Path) -> None:
    with pretended(memory=2**20), pytest.raises(torch.cuda.OutOfMemoryError):
        run(small.metadata, tmp_path / "gpu", device="cuda")
