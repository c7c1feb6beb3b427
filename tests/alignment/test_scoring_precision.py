"""First scores are computed in what the processor multiplies faster."""

from __future__ import annotations

import pytest
import torch

from alignpca2d_core.alignment.scoring_precision import (
    FAST,
    FAST_BFLOAT16,
    SCORING,
    scoring_time,
    scoring_type,
)
from alignpca2d_core.errors import InputError

CPU = torch.device("cpu")


def test_what_the_environment_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, kind in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        monkeypatch.setenv(SCORING, name)
        assert scoring_type(CPU) is kind
    monkeypatch.setenv(SCORING, "int8")
    with pytest.raises(InputError, match="ALIGNPCA2D_SCORING=int8: set it to float32 or bfloat16"):
        scoring_type(CPU)


@pytest.mark.parametrize("has", [(False, False), (True, False), (False, True)])
def test_instructions_decide(monkeypatch: pytest.MonkeyPatch, has: tuple[bool, bool]) -> None:
    monkeypatch.delenv(SCORING, raising=False)
    for name, there in zip(FAST_BFLOAT16, has, strict=True):
        monkeypatch.setattr(torch.cpu, name, lambda there=there: there, raising=False)
    assert scoring_type(CPU) is (torch.bfloat16 if any(has) else torch.float32)
    assert scoring_time(CPU) == (FAST if any(has) else 1.0)
