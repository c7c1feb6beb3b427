"""Where particles end and junk begins, told from the scores and misfits of all images of a set."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from ..averaging.noise_scores import CLEAR, ODDS_STEPS, equal_odds
from ..averaging.usable_particles import spread

MOST_LOST = 0.01
"""Share of the particles that may be set aside as noise."""
LEAST_ASIDE = 30
"""Particles that make up a class of their own."""
FAR_MISFIT, LEAST_MISFIT = 3.0, 1.5
"""Deviations of the logarithm of the misfit from its median, and by how much it exceeds the median at least, from which
on an image holds something beside what its class shows: aggregates, contaminants, edges."""
QUARTILE = 0.6745
"""Upper quartile of the normal distribution in its deviations."""
MOST_MISFITS = 2**20
"""Misfits that the quartiles are taken of."""


class Limits(NamedTuple):
    """Misfit from which on particles are set aside, and score below which an image is rather noise than a particle.

    ``inside`` is the misfit inside the averages' mask that a particle must have too (:mod:`..averaging.inner_misfit`).
    """

    misfit: float = math.inf
    score: float = CLEAR
    inside: float = 0.0


def noise_limit(score: Tensor, kept: Tensor) -> float:
    """Score (n,) below which one of the images ``kept``, (n,) bool, is rather noise than a particle.

    As much noise scores above 0 as below, and particles hardly score below; those clear of noise say what is usual.
    """
    some = score[kept].double()
    clear = some[some >= CLEAR]
    if len(clear) < LEAST_ASIDE or not bool((some < 0).any()):
        return 0.0
    share = min(2 * float((some < 0).double().mean()), 0.5)
    odds = equal_odds(float(clear.mean()), float(clear.std()), share)
    return min(odds, limit_of_loss(some, share))


def limit_of_loss(score: Tensor, share: float) -> float:
    """Score, up to :data:`CLEAR`, below which :data:`MOST_LOST` of the particles among images (n,) lie.

    ``share`` of the images are noise, with scores N(0, 1); what else lies below are particles.
    """
    limits = torch.linspace(0, CLEAR, ODDS_STEPS, dtype=score.dtype, device=score.device)
    below = torch.searchsorted(score.sort().values, limits) / len(score)
    particles = (below - share * torch.special.ndtr(limits)) / (1 - share)
    lost = torch.nonzero(particles > MOST_LOST)[:, 0]
    return float(limits[lost[0]]) if len(lost) else CLEAR


def misfit_limit(misfit: Tensor) -> float:
    """The misfit beyond which a particle is far from what is usual among these (n,)."""
    some = misfit.clamp_min(1e-3).log()
    return math.exp(float(some.median()) + max(FAR_MISFIT * upper_deviation(some), math.log(LEAST_MISFIT)))


def upper_deviation(values: Tensor) -> float:
    """Deviation of values (n,) as their upper quartile has it: what is far above, junk, does not count."""
    some = values[torch.from_numpy(spread(len(values), MOST_MISFITS)).to(values.device)]
    middle, upper = torch.quantile(some, some.new_tensor([0.5, 0.75])).tolist()
    return max((upper - middle) / QUARTILE, 1e-6)
