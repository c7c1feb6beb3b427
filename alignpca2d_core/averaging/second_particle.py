"""Whether an image holds a second particle: what its fit leaves is searched for one.

Aggregates fit some class about as well as a single particle does, and their misfit (:mod:`.noise_scores`) is little
beyond the usual where a second molecule is faint.  The matched filter for it is the search itself: of the residual

    r = z − q·x(pose)

the best match with any class, some way from the first, is scored as a particle is, against noise.  A second particle
has the contrast of the first.  What an average has not of its member fits some class too where views are many, but is
fainter: so the ratio is that of the likelihoods with a second particle at full contrast and without,

    t² = 2 (Re<r, x(pose)> − ½ sum_ring q |x|²_ring) / v.

At full strength this is the matched filter's own t² (:mod:`.noise_scores`), at half of it nothing.
"""

from __future__ import annotations

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
from .noise_scores import NoiseScores, matched_filter, posed_averages
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

    What only residuals need is made when the first come.
    """

    templates: Templates
    search: PoseSearch
    noise: NoiseScores
    band: Band

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


def second_scores(particles: Vectors, matches: Matches, comparison: Comparison) -> Tensor:
    """How much likelier images (n) are with a second particle than without, in deviations beyond noise, (n,).

    0 where they are no likelier than images of noise are.  ``matches`` (n, kept) are those of the first particles, the
    best first.
    """
    scores = particles.q.new_zeros(len(particles))
    if not len(particles):
        return scores
    left = residuals(particles, comparison.templates, comparison.search, matches)
    chosen = may_hold_second(left, matches, comparison)
    if not len(chosen):
        return scores
    left, first = left.rows(chosen), matches.rows(chosen)
    found = comparison.wider.locate_in(comparison.bank, left)
    far = is_apart(found.shift_x, found.shift_y, first, left.band.box)
    found.score = found.score.masked_fill(~far, -torch.inf)
    second = found.best(1)
    variance = matched_filter(left, comparison.templates.bare, comparison.wider.schedule.final, second)[:, 1]
    ratio = (2 * second.score[:, 0].clamp_min(0) / variance.clamp_min(1.0)).sqrt()
    scores[chosen] = comparison.noise.normal(ratio).clamp_min(0)
    return scores
