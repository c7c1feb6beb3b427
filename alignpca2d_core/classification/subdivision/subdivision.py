"""From the distinct classes of all particles to the classes asked for.

Those that look alike are brought into one frame and separated again; then those whose members differ most are divided.
Both are done on a sample; particles beyond it go to the nearest division of their view.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...alignment.matches import Matches, without_empty_classes
from ...averaging.band_sample import BandSample
from ...averaging.class_averages import averages, filtered
from ...averaging.templates import Templates
from ...averaging.usable_particles import UsableParticles
from ...preprocessing.mask_shape import MaskShape
from ...preprocessing.preprocess import Vectors
from ...runtime import distributed
from ...runtime.progress import Progress
from .divisions import Divisions
from .median_cuts import divide_most_varied
from .similar_views import Families, FamilyClasses, SimilarPair, in_common_frame, separated_views, similar_pairs

DIVISION_SAMPLE = 12_000
DIVIDED_PER_CLASS = 100
"""Particles that divisions are made from: in all, or for each class where that is more."""


@dataclass(frozen=True)
class Division:
    """How particles are divided into the classes asked for.

    Attributes
    ----------
    members : UsableParticles
    classes : int
        Not more than there are particles.
    mask_shape : MaskShape
    generator : torch.Generator
    progress : Progress
    """

    members: UsableParticles
    classes: int
    mask_shape: MaskShape
    generator: torch.Generator
    progress: Progress

    def of(self, matches: Matches, refined: Matches, noise: int | None) -> tuple[Matches, Tensor, int | None]:
        """Divide the views into the number of classes asked for; none is left empty, and noise is left whole.

        Parameters
        ----------
        matches : Matches
            The view of each particle, (n, 1).
        refined : Matches
            The two best views of each, (n, 2), before noise was set aside.
        noise : int or None
            The view of what was set aside as noise.

        Returns the matches with their new classes, the view of each class, (classes,) int64, and the number
        that the view of noise has got.
        """
        device = matches.classes.device
        used = torch.unique(matches.classes)
        if noise is not None:
            noise = int((used < noise).sum())
        matches, views = without_empty_classes(matches, int(used[-1]) + 1)
        joined = in_common_frame(matches, similar_views(matches, refined, used, noise), views)
        sample = self.sample()
        index = torch.from_numpy(sample).to(device)
        families = joined.family[joined.matches.classes[index, 0]]
        # Each rank divides some of the families; it gets their particles: separating several classes again is costly.
        parts = torch.bincount(joined.family)
        costs = torch.bincount(families, minlength=len(parts)) * parts**2
        with self.progress.stage("Dividing classes"):
            band_sample, held = self.band_sample(
                sample, torch.tensor(distributed.owners(costs.tolist()), device=device)[families]
            )
            own = Families(
                band_sample, FamilyClasses(joined.matches.rows(torch.from_numpy(held).to(device)), joined.family)
            )
            separated = separated_views(own, self.classes, self.generator, noise)
            child, view_of = divide_most_varied(own, separated, self.classes, noise)
        matches = joined.matches
        if len(sample) < len(matches):
            divisions = separated.matches.clone()
            divisions.classes = child[:, None]
            matches.classes = joined.family[matches.classes]
            matches.classes = self.nearest(matches, band_sample, divisions, separated.family[view_of])
        matches.classes[index, 0] = distributed.gathered_tensor(child, held)
        return matches, view_of, noise

    def nearest(self, matches: Matches, band_sample: BandSample, divisions: Matches, family: Tensor) -> Tensor:
        """The best division of the family of each particle, (n, 1) int64.

        ``matches`` (n, 1) hold families, ``divisions`` the classes of the particles in the sample, and ``family``
        is that of each class.
        """
        members = self.members
        total = distributed.total(band_sample.sums(divisions, self.classes))
        average = filtered(averages(total, members.band, band_sample.mask), members.band)
        candidates = Divisions(Templates.given(average, members.band), members.band, family)
        mine = members.own_positions()
        near = torch.full_like(matches.classes, -1)
        with self.progress.stage("Nearest divisions", len(members), "particles") as stage:
            for chosen, particles in members.batches():
                near[chosen] = candidates.nearest(particles, matches.rows(chosen))
                stage.advance(len(chosen) * distributed.count())
        return distributed.gathered_tensor(near[torch.from_numpy(mine).to(near.device)], mine)

    def sample(self) -> NDArray[np.int64]:
        """Positions of the particles that are held at once to be divided, ascending."""
        count, most = len(self.members), max(DIVISION_SAMPLE, DIVIDED_PER_CLASS * self.classes)
        if count <= most:
            return np.arange(count)
        order = torch.randperm(count, generator=self.generator)[:most]
        return np.sort(order.numpy())

    def band_sample(self, sample: NDArray[np.int64], owner: Tensor) -> tuple[BandSample, NDArray[np.int64]]:
        """The particles at the positions of a sample that this rank is to have, and these positions, ascending.

        ``owner`` is the rank that each position's particle goes to, (positions,).
        """
        members = self.members
        mine = members.own_positions(sample)
        own = Vectors.join([particles for _, particles in members.batches(sample)])
        to = owner[torch.from_numpy(np.searchsorted(sample, mine)).to(owner.device)]
        held = distributed.handed_over_tensor(torch.from_numpy(mine), to.cpu()).numpy()
        order = np.argsort(held)
        particles = distributed.handed_over(own, to).rows(torch.from_numpy(order).to(owner.device))
        held = held[order]
        return BandSample.make(particles, members.halves(held), self.mask_shape), held


def similar_views(matches: Matches, refined: Matches, used: Tensor, noise: int | None) -> list[SimilarPair]:
    """Views that are hard to tell apart, in the numbers that ``matches`` have got; ``used`` are the old ones."""
    number = torch.full((int(max(refined.classes.max(), used[-1])) + 1,), -1, device=used.device)
    number[used] = torch.arange(len(used), device=used.device)
    found = refined.best(2)
    found.classes = number[found.classes]
    certain = (found.classes >= 0).all(1) & (found.classes[:, 0] == matches.classes[:, 0])
    if noise is not None:
        certain &= (found.classes != noise).all(1)
    sizes = torch.bincount(matches.classes[:, 0], minlength=len(used))
    return list(similar_pairs(found.rows(certain), sizes))
