"""GPUs for tests: pretended ones everywhere, real ones where there are any."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest
import torch
from pretended_cuda import TORCH, Gpus, pretended_gpus
from simulated import SimulatedSet

from alignpca2d_core.alignment.scoring_precision import scoring_type

AMPERE, VOLTA = 8, 7


def pretence() -> Gpus:
    """Pretended GPUs that score in the type that this CPU scores in."""
    if torch.__version__.split("+")[0] != TORCH or torch.version.cuda is not None:
        pytest.skip(f"GPUs can be pretended in the CPU build of PyTorch {TORCH}, not in {torch.__version__}")
    fast = scoring_type(torch.device("cpu")) is torch.bfloat16
    return lambda **settings: pretended_gpus(**{"capability": AMPERE if fast else VOLTA, **settings})


@pytest.fixture
def pretended() -> Gpus:
    """What makes pretended GPUs: so many, of a compute capability, with so many bytes of memory."""
    return pretence()


def real(count: int = 1, **_: Any) -> AbstractContextManager[Any]:
    """Real GPUs, where there are so many."""
    if torch.cuda.device_count() < count:
        pytest.skip(f"needs {count} CUDA devices; {torch.cuda.device_count()} found")
    return nullcontext()


@pytest.fixture
def real_gpus() -> Gpus:
    """What makes real GPUs."""
    real()
    return real


@pytest.fixture(params=["pretended", pytest.param("real", marks=pytest.mark.gpu)])
def gpus(request: pytest.FixtureRequest) -> Gpus:
    """What makes the GPUs that a test asks for."""
    if request.param == "pretended":
        return pretence()
    real()
    return real


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> SimulatedSet:
    """150 particles of three views."""
    return SimulatedSet.make(tmp_path_factory.mktemp("gpu") / "set", particles=150)
