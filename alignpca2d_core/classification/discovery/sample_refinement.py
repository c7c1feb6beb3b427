"""Passes over the sample with its refined averages: particles in wrong classes are moved.

Stage 1 ends with coarse poses, and a sample of faint views with a quarter of its particles in wrong classes.  They stay
there, as the average of some hundred particles holds a share of each one's own noise, which draws it back.  What a
member finds of itself is taken off (:mod:`.self_noise`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ...alignment.matches import Matches, gathered_matches
from ...alignment.pose_search import PoseSearch
from ...averaging.band_sample import BandSample
from ...averaging.class_averages import Averages, ClassSums, averages
from ...averaging.convergence import changed_share, record_round
from ...averaging.self_noise import without_self_noise
from ...averaging.templates import Templates
from ...runtime import distributed
from ...runtime.progress import Stage
from .pruning import without_classes

MOST_PASSES = 4
STEADY = 0.015
"""Share of particles that may still move."""
SLOWER = 0.7
"""Of the share that moved before: where more move, they go to and fro between divisions of one view."""
CLEARLY = 3.0
"""Log-likelihood by which a particle must prefer its new class for its move to count."""
SURE = 12.0
"""Log-likelihood by which a particle must prefer its class to any other to be left out of further passes."""


def without(found: Matches, gone: Tensor) -> Matches:
    """The matches in the classes that stay, the best first, numbered from 0; ``gone`` is (k,) bool."""
    left = without_classes(found, gone).best_first()
    left.classes = (torch.cumsum(~gone, 0) - 1).clamp_min(0)[left.classes]
    return left


def moved_share(found: Matches, before: Tensor, gone: Tensor) -> float:
    """Share of particles that are clearly better off in another class than ``before`` (n,), where both stay."""
    best = found.classes[:, 0]
    two = found.best(2)
    clear = (two.classes != before[:, None]).all(1) | (two.score[:, 0] - two.score[:, -1] > CLEARLY)
    return float((clear & (best != before) & ~gone[best] & ~gone[before]).double().mean())


def is_unsure(found: Matches, gone: Tensor) -> Tensor:
    """Which particles (n,) may yet find themselves in another class."""
    two = found.best(2)
    return (two.score[:, 0] - two.score[:, -1] < SURE) | gone[found.classes[:, 0]]


@dataclass
class Passes:
    """What each pass has moved."""

    moved: list[float] = field(default_factory=list)

    def are_enough(self) -> bool:
        """Whether another pass is not worth its time."""
        if not self.moved:
            return False
        slow = len(self.moved) > 1 and self.moved[-1] > SLOWER * self.moved[-2]
        return slow or self.moved[-1] < STEADY or len(self.moved) == MOST_PASSES


@dataclass
class SampleRefinement:
    """Passes over a sample.

    Attributes
    ----------
    band_sample : BandSample
        The sample on the full band.
    search : PoseSearch
    templates : callable
        What particles are compared with, from averages.
    drops_empty : bool
        Whether classes that are the best of no particle go.
    """

    band_sample: BandSample
    search: PoseSearch
    templates: Callable[[Averages], Templates]
    drops_empty: bool

    def run(self, sums: ClassSums, matches: Matches, stage: Stage) -> tuple[ClassSums, Matches]:
        """New sums, and the best classes of each particle (n, kept), from sums of members with ``matches`` (n, 1)."""
        passes, unsure = Passes(), torch.arange(len(matches), device=matches.score.device)
        while len(unsure) and not passes.are_enough():
            before, average = matches.best(1), averages(sums, self.band_sample.particles.band, self.band_sample.mask)
            found = self.found(average, before, unsure)
            if passes.moved:  # the others stay as earlier passes left them
                matches.put(unsure, found)
                found = matches
            gone = self.empty(found, len(sums.sizes))
            passes.moved.append(moved_share(found, before.classes[:, 0], gone))
            unsure = torch.nonzero(is_unsure(found, gone))[:, 0]
            matches = without(found, gone)
            sums = self.band_sample.sums_together(matches.best(1), int((~gone).sum()))
            changed = changed_share(before.classes[:, 0], matches.classes[:, 0])
            record_round(stage, changed, matches, len(sums.sizes), f"{passes.moved[-1]:.1%} moved")
        return sums, matches

    def found(self, average: Averages, before: Matches, rows: Tensor) -> Matches:
        """The best matches of some particles, where all with ``before`` (n, 1) are in the averages."""
        particles, templates = self.band_sample.particles.rows(rows), self.templates(average)
        mine = distributed.part(len(rows))
        found = gathered_matches(self.search.locate(particles.rows(mine), templates.references), mine)
        found = without_self_noise(found, particles, templates, before.rows(rows), self.band_sample.mask)
        return distributed.of_first(found.best_first())

    def empty(self, found: Matches, classes: int) -> Tensor:
        """Classes that go, (k,) bool."""
        used = torch.bincount(found.best(1).classes[:, 0], minlength=classes) > 0
        return ~used if self.drops_empty else torch.zeros_like(used)
