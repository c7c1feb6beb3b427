"""What a classification has learned."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..alignment.fourier_pca import FourierPCA
from ..alignment.matches import Matches
from ..alignment.search_grids import Schedule
from ..fourier.band import Band
from ..preprocessing.mask_shape import MaskShape
from .beyond_band import Shown, beyond_band
from .class_averages import Averages, ClassSums, average_mask, averages
from .independent_halves import IndependentHalves
from .usable_particles import Members, spread_of_each

MOST_OF_EACH, MOST_READ = 1000, 100_000
"""Members of a class that are read, up to five times, for what its average shows: the larger of the first and of the
second over the classes."""


@dataclass
class Model:
    """What a classification has learned: enough to assign any further particle.

    Attributes
    ----------
    sums : ClassSums
        Of all particles, (2, k, m), each class centred on its density.
    view_of : Tensor
        The distinct class that each class is a division of, (k,) int64.
    offsets : Tensor
        Where the search has the centre of each class, (k, 2) pixels: there the search window serves all alike.
    basis : FourierPCA
    schedule : Schedule
    band : Band
    mask_shape : MaskShape
    noise : int or None
        The view of what was set aside as noise.
    """

    sums: ClassSums
    view_of: Tensor
    offsets: Tensor
    basis: FourierPCA
    schedule: Schedule
    band: Band
    mask_shape: MaskShape
    noise: int | None = None

    @property
    def is_aside(self) -> Tensor:
        """Which classes are of what was set aside, (k,) bool."""
        return self.view_of == (-1 if self.noise is None else self.noise)

    def averages(self) -> Averages:
        """Averages of all particles."""
        return averages(self.sums, self.band, average_mask(self.band, self.mask_shape))

    def shown(self, members: Members, matches: Matches) -> Shown:
        """What the averages of members at their final matches (n, 1) show, as far as halves tell.

        Of large classes some members are read, spread over the set: what is stated is what averages of so many show.
        Poses that are kept were not found here: halves know nothing of each other as they are.
        """
        some = spread_of_each(matches.classes[:, 0], max(MOST_OF_EACH, MOST_READ // len(self.view_of)))
        if len(some) < len(matches):
            members, matches = members.subset(some), matches.rows(torch.from_numpy(some).to(matches.classes.device))
        if self.schedule.is_still:
            return beyond_band(self.averages().frc, members, matches, self.mask_shape)
        levels = self.schedule.local[-2:] or (self.schedule.exhaustive,)
        halves = IndependentHalves(members, matches, self.view_of, levels, self.mask_shape)
        return beyond_band(halves.frc(self.averages()), members, matches, self.mask_shape)
