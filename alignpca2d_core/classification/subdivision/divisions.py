"""Divisions of one view: which is the nearest to a particle, and how certain that is.

They share the frame of their view, so that they are compared at the pose that a particle has in it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from ...alignment.local_search import refine
from ...alignment.matches import Matches
from ...alignment.search_grids import Level
from ...averaging.certainty import noise_between, posterior
from ...averaging.placement import Placement
from ...averaging.self_noise import without_self_noise
from ...averaging.templates import Templates
from ...averaging.usable_particles import UsableParticles
from ...fourier.band import Band
from ...preprocessing.preprocess import Vectors
from ...runtime import distributed
from ...runtime.memory import halving
from ...runtime.progress import Progress

STEP_DEG = 2.0
"""Rotations are rounded to this when divisions are compared."""


@dataclass(frozen=True)
class Divisions:
    """The classes that views were divided into.

    Attributes
    ----------
    templates : Templates
        Of the classes, (k, m), each in the frame of its view.
    band : Band
        That they are compared on.
    view_of : Tensor
        The view of each class, (k,) int64.
    """

    templates: Templates
    band: Band
    view_of: Tensor

    @cached_property
    def sizes(self) -> Tensor:
        """Classes of each view, (views,)."""
        return torch.bincount(self.view_of)

    @cached_property
    def table(self) -> Tensor:
        """Classes of each view, (views, widest) int64; where a view has fewer than the most they are named again."""
        place = torch.arange(int(self.sizes.max()), device=self.sizes.device) % self.sizes[:, None]
        return torch.argsort(self.view_of, stable=True)[(self.sizes.cumsum(0) - self.sizes)[:, None] + place]

    def compared(self, particles: Vectors, views: Tensor, poses: Matches) -> Matches:
        """Particles in all classes of their views (n,) at their poses (n, 1): (n, widest), -inf where named again."""
        classes = self.table[views]
        widest = classes.shape[1]
        angle, shift_x, shift_y = (f.expand(-1, widest).clone() for f in poses.pose())
        again = torch.arange(widest, device=views.device) >= self.sizes[views, None]
        spread = Matches(classes, angle, shift_x, shift_y, torch.zeros_like(angle).masked_fill(again, -torch.inf))
        level = Level(STEP_DEG, 1.0, self.band.radius)
        own = particles.narrowed(self.band.radius)
        return refine(own, self.templates.references, self.band, level, spread, around=0)

    def nearest(self, particles: Vectors, matches: Matches) -> Tensor:
        """The best class of the view of each particle, whose matches (n, 1) hold views; (n, 1) int64."""
        return self.compared(particles, matches.classes[:, 0], matches).best(1).classes

    def nearest_and_certainty(self, particles: Vectors, matches: Matches, mask: Tensor) -> tuple[Tensor, Tensor]:
        """:meth:`nearest`, and the :meth:`certainty` of particles there, (n,); compared once."""
        found = self.compared(particles, matches.classes[:, 0], matches)
        nearest = found.best(1).classes
        return nearest, self._certainty(found, particles, replace(matches, classes=nearest), mask)

    def certainty(self, particles: Vectors, placed: Matches, mask: Tensor) -> Tensor:
        """Posterior of the class of each particle among those of its view (:mod:`...averaging.certainty`), (n,).

        ``placed`` (n, 1) are classes and poses, ``mask`` (work_box, work_box) is that of the averages.  It is 1 where a
        view is whole.
        """
        found = self.compared(particles, self.view_of[placed.classes[:, 0]], placed)
        return self._certainty(found, particles, placed, mask)

    def _certainty(self, found: Matches, particles: Vectors, placed: Matches, mask: Tensor) -> Tensor:
        """The same from what was :meth:`compared`."""

        def told(part: slice) -> Tensor:
            own = particles.rows(part).narrowed(self.band.radius)
            return self._posterior(found.rows(part), own, placed.rows(part), mask)

        return halving(told, len(placed), torch.cat)

    def _posterior(self, found: Matches, particles: Vectors, placed: Matches, mask: Tensor) -> Tensor:
        """The same of as many as memory holds, on the band of the classes."""
        found = without_self_noise(found, particles, self.templates, placed, mask)
        two = found.best(2).classes[:, [0, -1]]
        first, second = self.templates.references[two].unbind(1)
        square = (particles.q * self.band.ring_sum((first - second).abs() ** 2)).sum(1)
        told = posterior(found.score, square, noise_between(particles, self.templates, two))
        return (told * (found.classes == placed.classes)).sum(1)

    def told_apart(self, placement: Placement, members: UsableParticles, mask: Tensor, progress: Progress) -> Placement:
        """The same places, each as certain as its view and, of the classes of this view, its class are together."""
        own = self.view_of[placement.matches.classes[:, 0]]
        positions = torch.nonzero((self.sizes[own] > 1) & (placement.certainty > 0))[:, 0].cpu().numpy()
        if not len(positions):
            return placement
        certainty = placement.certainty.clone()
        with progress.stage("Certainty", len(positions), "particles") as stage:

            def of(some: Tensor, particles: Vectors) -> Tensor:
                stage.advance(len(some) * distributed.count())
                return self.certainty(particles, placement.matches.rows(some), mask)

            told = members.told(positions, of, certainty[:0])
        certainty[torch.from_numpy(positions).to(certainty.device)] *= told
        return replace(placement, certainty=certainty)
