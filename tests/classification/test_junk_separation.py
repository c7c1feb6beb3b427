"""What is usual in each class: worked out for all classes at once, as it is for one alone."""

from __future__ import annotations

import torch
from torch import Tensor

from alignpca2d_core.averaging.noise_scores import CLEAR
from alignpca2d_core.classification.class_quantiles import medians
from alignpca2d_core.classification.junk_separation import LEAST_ASIDE, to_set_aside

CLASSES = 9


def scores(seed: int) -> tuple[Tensor, Tensor]:
    """Scores and classes (n,) of particles; the last class is empty, and some have few members."""
    drawn = torch.Generator().manual_seed(seed)
    classes = torch.randint((CLASSES - 1) ** 2, (500,), generator=drawn).sqrt().long()
    return 6 + 3 * torch.randn(500, generator=drawn), classes


def test_medians_are_those_of_each_class_alone() -> None:
    values, classes = scores(0)
    values[::7] = torch.nan
    found = medians(values, classes, CLASSES)
    for k in range(CLASSES - 1):
        assert found[k] == values[classes == k].nanmedian()
    assert found[-1].isnan()


def test_strays_are_those_of_each_class_alone() -> None:
    score, classes = scores(1)
    noise_like = torch.zeros(CLASSES, dtype=torch.bool)
    noise_like[2] = True
    aside = to_set_aside(score, classes, noise_like)
    for k in range(CLASSES - 1):
        own = score[classes == k]
        clear = own[own >= CLEAR]
        limit = -torch.inf
        if len(clear) >= LEAST_ASIDE:
            middle, upper = (float(clear.quantile(share)) for share in (0.5, 0.84))
            limit = min(CLEAR, middle - 3 * (upper - middle))
        expected = torch.ones_like(own).bool() if noise_like[k] else own < limit
        assert torch.equal(aside[classes == k], expected)
    assert 0 < int((aside & (classes != 2)).sum()) < len(score)
