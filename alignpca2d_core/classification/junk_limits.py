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
MOST_NOISE = 0.125
"""Share of noise among what stays in a class like noise."""
QUARTILE = 0.6745
"""Upper quartile of the normal distribution in its deviations."""
TINY = 1e-3
MOST_MISFITS = 2**20
"""Misfits that the quartiles are taken of."""


class Limits(NamedTuple):
    """Score below which an image is rather noise than a particle; the usual misfit, and deviations of its logarithm.

    Without particles to tell what is usual no misfit is far from it.
    """

    score: float = CLEAR
    usual: float = 1.0
    spread: float = math.inf

    @staticmethod
    def of(score: float, misfit: Tensor) -> Limits:
        """With what is usual among the misfits (n,) of particles."""
        some = logarithm(misfit)
        return Limits(score, math.exp(float(some.median())), misfit_deviation(some))


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


def limit_within_noise(score: Tensor) -> float:
    """Score from which on members (n,) of a class like noise are particles but for :data:`MOST_NOISE` of them.

    As much noise scores above 0 as below.  Infinite where fewer than :data:`LEAST_ASIDE` particles would stay.
    """
    falling = score.double().sort(descending=True).values
    noise = 2 * int((score < 0).sum()) * torch.special.ndtr(-falling)
    count = torch.arange(1, len(falling) + 1, device=score.device)
    enough = torch.nonzero((noise <= MOST_NOISE * count) & (falling > 0))[:, 0]
    return float(falling[enough[-1]]) if len(enough) and int(enough[-1]) + 1 >= LEAST_ASIDE else math.inf


def misfit_limit(misfit: Tensor) -> float:
    """The misfit beyond which a particle is far from what is usual among these (n,)."""
    some = logarithm(misfit)
    return math.exp(float(some.median()) + FAR_MISFIT * misfit_deviation(some))


def misfit_deviation(logarithms: Tensor) -> float:
    """Deviation of the logarithms of misfits (n,); :data:`LEAST_MISFIT` is far in any case."""
    return max(upper_deviation(logarithms), math.log(LEAST_MISFIT) / FAR_MISFIT)


def logarithm(figure: Tensor) -> Tensor:
    """Of a positive figure (n,), a finite one."""
    return figure.clamp_min(TINY).log()


def upper_deviation(values: Tensor) -> float:
    """Deviation of values (n,) as their upper quartile has it: what is far above, junk, does not count."""
    some = values[torch.from_numpy(spread(len(values), MOST_MISFITS)).to(values.device)]
    middle, upper = torch.quantile(some, some.new_tensor([0.5, 0.75])).tolist()
    return max((upper - middle) / QUARTILE, 1e-6)
