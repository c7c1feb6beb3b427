"""First scores are computed in what the processor is found to multiply faster."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch

from alignpca2d_core.alignment import scoring_precision as module
from alignpca2d_core.alignment.scoring_precision import FAST, SCORING, bfloat16_is_faster, scoring_time, scoring_type
from alignpca2d_core.errors import InputError

CPU = torch.device("cpu")
NO_INSTRUCTIONS = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}


@pytest.fixture
def asked_again(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What was found out stays no longer than a test; the environment asks for nothing."""
    monkeypatch.delenv(SCORING, raising=False)
    bfloat16_is_faster.cache_clear()
    yield
    bfloat16_is_faster.cache_clear()


def test_what_the_environment_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, kind in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        monkeypatch.setenv(SCORING, name)
        assert scoring_type(CPU) is kind
    monkeypatch.setenv(SCORING, "int8")
    with pytest.raises(InputError, match="ALIGNPCA2D_SCORING=int8: set it to float32 or bfloat16"):
        scoring_type(CPU)


@pytest.mark.usefixtures("asked_again")
@pytest.mark.parametrize(("share", "kind"), [(0.3, torch.bfloat16), (1.0, torch.float32), (40.0, torch.float32)])
def test_what_is_measured_decides(monkeypatch: pytest.MonkeyPatch, share: float, kind: torch.dtype) -> None:
    monkeypatch.setattr(module, "_time_of_product", lambda tried: share if tried is torch.bfloat16 else 1.0)
    assert scoring_type(CPU) is kind
    assert scoring_time(CPU) == (FAST if kind is torch.bfloat16 else 1.0)


@pytest.mark.usefixtures("asked_again")
def test_threads_are_left_as_they_were() -> None:
    before = torch.get_num_threads()
    assert isinstance(bfloat16_is_faster(), bool)
    assert torch.get_num_threads() == before


@pytest.mark.skipif(platform.machine() != "x86_64", reason="bars instructions of x86")
def test_without_instructions_float32_is_taken() -> None:
    code = "import torch; from alignpca2d_core.alignment import scoring_type; print(scoring_type(torch.device('cpu')))"
    environment = {name: value for name, value in os.environ.items() if name != SCORING} | NO_INSTRUCTIONS
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "torch.float32"
