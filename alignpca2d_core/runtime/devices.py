"""Where a process computes: the device that is asked for, and what it is told before the first tensor."""

from __future__ import annotations

import os

import torch

from ..errors import InputError
from . import distributed
from .memory import fix_budget, keep_freed_memory

CHOICES = "choose auto, cpu, cuda or cuda:N"
WORKSPACE = ("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
"""With a workspace of this size cuBLAS adds up in the same order each time."""


def set_up(name: str, threads: int | None) -> torch.device:
    """The device called ``name``, made ready, and the number of threads set; by default this process's share of cores.

    Several ranks on one machine have a GPU each.

    Raises
    ------
    InputError
        When there is no such device, or not one for each rank.
    """
    keep_freed_memory()
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    torch.set_num_threads(threads or max(1, available // distributed.per_machine()))
    device = _chosen(name)
    if device.type == "cuda":
        _set_up_gpu(device)
    return device


def _chosen(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(f"--device {name}: {CHOICES}") from error
    if device.type not in ("cpu", "cuda"):
        raise InputError(f"--device {name}: {CHOICES}")
    return device if device.type == "cpu" else _own_gpu(device)


def _own_gpu(device: torch.device) -> torch.device:
    """The GPU that is meant: the one that is named, or the one that is this rank's."""
    gpus, ranks = torch.cuda.device_count(), distributed.per_machine()
    if (device.index or 0) >= gpus:
        raise InputError(f"--device {device}: this machine offers {gpus} CUDA devices")
    if distributed.launched() == 1:
        return torch.device("cuda", torch.cuda.current_device() if device.index is None else device.index)
    if device.index is not None and ranks > 1:
        raise InputError(f"--device {device}: {ranks} processes cannot share a GPU; --device cuda gives each its own")
    if ranks > gpus:
        raise InputError(
            f"--device cuda: {ranks} processes on this machine, which offers {gpus} CUDA devices; "
            f"start {gpus}, or give --device cpu"
        )
    return torch.device("cuda", distributed.local() if device.index is None else device.index)


def _set_up_gpu(device: torch.device) -> None:
    os.environ.setdefault(*WORKSPACE)
    torch.cuda.set_device(device)
    # TF32 keeps 10 bits of the mantissa: enough to lose the difference between two poses.
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    # The same bits each time.  What has no such way in torch is not used: the tests refuse it.
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    fix_budget(device, distributed.least)
