"""Images that hold more than a particle: aggregates, contaminants, edges.

Three things tell them: what the fit leaves, the power of the coarsest rings, and how much likelier the image is with a
second particle (:mod:`..averaging.second_particle`).  Each alone is weak; together they count, in deviations of what is
usual.  What the fit leaves and coarse power also depend on how thick the ice is and on the CTF, which all images of a
micrograph share: both are held against the median of their micrograph.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from ..alignment.matches import Matches
from ..averaging.second_particle import Comparison, second_scores
from ..averaging.usable_particles import UsableParticles
from ..preprocessing.preprocess import Vectors
from .class_quantiles import medians
from .junk_limits import FAR_MISFIT, Limits, logarithm, misfit_deviation, upper_deviation

COARSE = slice(1, 4)
"""Rings whose power counts."""
FEWEST = 8
"""Images of a micrograph that its medians are taken of; where there are fewer, those of all images are."""


class CoarsePower(NamedTuple):
    """Power of the coarsest rings of particles over that of noise, (n,), and the number of their micrograph, (n,)."""

    power: Tensor
    micrograph: Tensor


def coarse_power(particles: Vectors) -> Tensor:
    """Power of the coarsest rings over that of noise, (n,)."""
    band = particles.band
    noise = particles.q[:, COARSE] @ band.ring_sizes[COARSE]
    return band.ring_sum(particles.z.abs() ** 2)[:, COARSE].sum(1) / noise.clamp_min(1e-6)


def fullness(misfit: Tensor, coarse: CoarsePower | None) -> Tensor:
    """How far images are above what is usual, in deviations: by their misfits (n,), and by coarse power where it is
    known; (n,).
    """
    left = logarithm(misfit)
    if coarse is None:
        return (left - left.median()) / misfit_deviation(left)
    left, power = (beside_others(figure, coarse.micrograph) for figure in (left, logarithm(coarse.power)))
    return left / misfit_deviation(left) + power / upper_deviation(power)


def fullness_by(limits: Limits, misfit: Tensor) -> Tensor:
    """The same of images that come later, (n,), by their misfits and what was usual before."""
    return (logarithm(misfit) - math.log(limits.usual)) / limits.spread


def beside_others(figure: Tensor, micrograph: Tensor) -> Tensor:
    """A figure (n,) less the median of the images of the same micrograph, (n,)."""
    count = int(micrograph.max()) + 1
    enough = torch.bincount(micrograph, minlength=count) >= FEWEST
    usual = torch.where(enough, medians(figure, micrograph, count), figure.median())
    return figure - usual[micrograph]


def overfull(full: Tensor, spread: float, second: Callable[[Tensor], Tensor]) -> Tensor:
    """Which images are far above what is usual, together with the score of a second particle: their positions.

    Parameters
    ----------
    full : Tensor
        :func:`fullness`, (n,); -inf for images that are not asked about.
    spread : float
        Its deviation.
    second : callable
        :func:`.second_scores` of the images at some positions (p,).  Those that are no fuller than usual are not
        searched, nor those that are too full as they are.
    """
    limit = FAR_MISFIT * math.hypot(spread, 1.0)
    told = full > limit
    doubted = torch.nonzero((full > spread) & ~told)[:, 0]
    told[doubted] = full[doubted] + second(doubted) > limit
    return torch.nonzero(told)[:, 0]


def overfull_members(
    full: Tensor, asked: Tensor, matches: Matches, members: UsableParticles, comparison: Comparison
) -> Tensor:
    """Which of the members that are ``asked`` about, (n,) bool, are overfull, of all ranks: their positions."""
    none = full[:0]

    def second(some: Tensor) -> Tensor:
        return members.told(
            some.cpu().numpy(), lambda chosen, own: second_scores(own, matches.rows(chosen), comparison), none
        )

    return overfull(full.masked_fill(~asked, -torch.inf), upper_deviation(full), second)


def overfull_among(
    particles: Vectors, matches: Matches, misfit: Tensor, limits: Limits, comparison: Comparison
) -> Tensor:
    """Which particles (n) that come later are overfull, by their misfits (n,): their positions."""

    def second(some: Tensor) -> Tensor:
        return second_scores(particles.rows(some), matches.rows(some), comparison)

    return overfull(fullness_by(limits, misfit), 1.0, second)
