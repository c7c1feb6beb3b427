"""Whether an image holds a second particle: what its fit leaves is searched for one.

Aggregates fit some class about as well as a single particle does, and their misfit (:mod:`.noise_scores`) is little
beyond the usual where a second molecule is faint.  The matched filter for it is the search itself: of the residual

    r = z − q·x(pose)

the best match with any class, some way from the first, is scored as a particle is, against noise.  Where views are
many and noise is little, what an average has not of its member is as clear as a second particle.  But it is fainter: it
is no second particle unless the image is likelier with it, at full contrast, than without,

    Re<r, x(pose)> > ½ sum_ring q |x|²_ring.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from ..alignment.exhaustive_search import LEAST_LOSS
from ..alignment.matches import Matches
from ..alignment.pose_search import PoseSearch
from ..alignment.screening import ROWS, Screening
from ..alignment.search_grids import Screen
from ..alignment.template_bank import Bank
from ..fourier.band import Band
from ..preprocessing.preprocess import Vectors
from .noise_scores import CLEAR, NoiseScores, matched_filter_ratio, posed_averages
from .templates import Templates

APART = 0.1
"""Distance from the first particle, in boxes, from which on a match is another particle: nearer ones are what a class
average, which is no projection of this very view, has left of the first."""
KEPT = 16
"""Poses of a residual that are compared: the best are often near the first particle."""
FIRST = Screen(64, True, 0.0)
"""What residuals are compared by first."""


@dataclass(frozen=True)
class Comparison:
    """What particles are compared with, how they are searched for, and what images of noise reach there.

    ``mask`` is that of averages, (work_box, work_box).

    What only residuals need is made when the first come.
    """

    templates: Templates
    search: PoseSearch
    noise: NoiseScores
    band: Band
    mask: Tensor

    @cached_property
    def bare(self) -> Templates:
        """The templates to a particle that is no member of any."""
        return Templates.given(self.templates.references, self.band)

    @cached_property
    def wider(self) -> PoseSearch:
        """How residuals are searched."""
        return replace(self.search.wider(), keep=tuple(max(kept, KEPT) for kept in self.search.keep))

    @cached_property
    def bank(self) -> Bank:
        """What residuals are compared with."""
        return self.wider.bank(self.templates.references, self.band)

    @cached_property
    def screening(self) -> Screening:
        """The same by few components."""
        return Screening(self.bank, self.wider.schedule, FIRST)


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


def is_apart(x: Tensor, y: Tensor, first: Matches, box: int, hidden: float = 0.0) -> Tensor:
    """Which shifts in pixels, (n, s) or (s,), are far enough from the first particles, (n, s) bool.

    ``hidden`` is how far a shift may be from the best of its neighbourhood.
    """
    return torch.hypot(x - first.shift_x[:, :1], y - first.shift_y[:, :1]) > APART * box - hidden


def may_hold_second(left: Vectors, matches: Matches, comparison: Comparison) -> Tensor:
    """Residuals (n) that few components do not rule out, to be searched in full: their positions."""
    screening, gains = comparison.screening, []
    x, y = screening.shifts.unbind(1)
    for start in range(0, len(left), ROWS):
        some = slice(start, start + ROWS)
        far = is_apart(x, y, matches.rows(some), left.band.box, screening.bank.level.shift_step)
        gain = screening.first_scores(left.rows(some)).shifts
        gains.append(gain.masked_fill(~far, -torch.inf).amax(1))
    return torch.nonzero(torch.cat(gains) > -LEAST_LOSS)[:, 0]


def holds_second(particles: Vectors, matches: Matches, comparison: Comparison) -> Tensor:
    """Whether each image (n) holds a second particle: likelier with it than without, and clear of noise.

    At least as clear as :data:`.noise_scores.CLEAR` says.  ``matches`` (n, kept) are those of the first particles,
    the best first.
    """
    left = residuals(particles, comparison.templates, comparison.search, matches)
    told = torch.zeros(len(left), dtype=torch.bool, device=left.z.device)
    chosen = may_hold_second(left, matches, comparison) if len(left) else torch.nonzero(told)[:, 0]
    if not len(chosen):
        return told
    left, first = left.rows(chosen), matches.rows(chosen)
    found = comparison.wider.locate_in(comparison.bank, left)
    far = is_apart(found.shift_x, found.shift_y, first, left.band.box)
    found.score = found.score.masked_fill(~far, -torch.inf)
    second = found.best(1)
    ratio = matched_filter_ratio(left, comparison.bare, comparison.wider.schedule.final, second)
    told[chosen] = (comparison.noise.normal(ratio) >= CLEAR) & (second.score[:, 0] > 0)
    return told


def aggregates_among(
    particles: Vectors, matches: Matches, misfit: Tensor, limit: float, comparison: Comparison
) -> Tensor:
    """Which particles (n), crowded by their misfits (n,) and the limit, hold a second one: their positions."""
    doubted = torch.nonzero(crowded(misfit, limit))[:, 0]
    if not len(doubted):
        return doubted
    return doubted[holds_second(particles.rows(doubted), matches.rows(doubted), comparison)]
