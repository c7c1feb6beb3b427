"""Whether an image holds a second particle: what its fit leaves is searched for one.

Aggregates fit some class about as well as a single particle does, and their misfit (:mod:`.noise_scores`) is little
beyond the usual where a second molecule is faint.  The matched filter for it is the search itself: of the residual

    r = z − q·x(pose)

the best match with any class, some way from the first, is scored as a particle is, against noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..alignment.matches import Matches
from ..alignment.pose_search import PoseSearch
from ..preprocessing.preprocess import Vectors
from .noise_scores import CLEAR, NoiseScores, matched_filter_ratio, posed_averages
from .templates import Templates

APART = 0.1
"""Distance from the first particle, in boxes, from which on a match is another particle: nearer ones are what a class
average, which is no projection of this very view, has left of the first."""
KEPT = 16
"""Poses of a residual that are compared: the best are often near the first particle."""


@dataclass(frozen=True)
class Comparison:
    """What particles are compared with, how they are searched for, and what images of noise reach there."""

    templates: Templates
    search: PoseSearch
    noise: NoiseScores


def residuals(particles: Vectors, templates: Templates, search: PoseSearch, matches: Matches) -> Vectors:
    """Particles (n) less the averages of their classes at their best poses."""
    left = particles.z.clone()
    for some, posed in posed_averages(particles.band, templates, search.schedule.final, matches):
        left[some] -= particles.q[some][:, particles.band.ring] * posed
    return Vectors(left, particles.q, particles.band)


def crowded(misfit: Tensor, limit: float) -> Tensor:
    """Images that leave enough to be searched for a second particle, (n,) bool.

    On a scale of logarithms they are nearer to the limit, beyond which an image is set aside as it is, than to noise.
    """
    return (misfit > math.sqrt(limit)) & (misfit <= limit)


def holds_second(particles: Vectors, matches: Matches, comparison: Comparison) -> Tensor:
    """Whether each image (n) holds a second particle, at least as clear of noise as :data:`.noise_scores.CLEAR`.

    ``matches`` (n, kept) are those of the first particles, the best first.
    """
    templates, search = comparison.templates, comparison.search
    left = residuals(particles, templates, search, matches)
    wider = replace(search.wider(), keep=tuple(max(kept, KEPT) for kept in search.keep))
    found = wider.locate(left, templates.references)
    apart = torch.hypot(found.shift_x - matches.shift_x[:, :1], found.shift_y - matches.shift_y[:, :1])
    found.score = found.score.masked_fill(apart <= APART * particles.band.box, -torch.inf)
    second = found.best(1)
    # The second particle is no member of the class that it is found in.
    bare = Templates.given(templates.references, particles.band)
    ratio = matched_filter_ratio(left, bare, search.schedule.final, second)
    return (comparison.noise.normal(ratio) >= CLEAR) & second.score[:, 0].isfinite()


def aggregates_among(
    particles: Vectors, matches: Matches, misfit: Tensor, limit: float, comparison: Comparison
) -> Tensor:
    """Which particles (n), crowded by their misfits (n,) and the limit, hold a second one: their positions."""
    doubted = torch.nonzero(crowded(misfit, limit))[:, 0]
    if not len(doubted):
        return doubted
    return doubted[holds_second(particles.rows(doubted), matches.rows(doubted), comparison)]
