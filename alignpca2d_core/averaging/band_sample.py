"""Particles of a sample on one band, and the averages that they make there."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..alignment.matches import Matches
from ..preprocessing.mask_shape import MaskShape
from ..preprocessing.preprocess import Vectors
from ..runtime import distributed
from .class_averages import Averages, ClassSums, accumulate, average_mask, averages


@dataclass
class BandSample:
    """Particles on one band, with what averaging them needs.

    Attributes
    ----------
    particles : Vectors
    halves : Tensor
        0 or 1 for each particle, (n,) int64.
    mask : Tensor
        Of the averages, (work_box, work_box).
    """

    particles: Vectors
    halves: Tensor
    mask: Tensor

    @staticmethod
    def make(particles: Vectors, halves: Tensor, mask_shape: MaskShape) -> BandSample:
        return BandSample(particles, halves, average_mask(particles.band, mask_shape))

    def rows(self, index: Tensor | slice) -> BandSample:
        """The same of some particles."""
        return BandSample(self.particles.rows(index), self.halves[index], self.mask)

    def sums(self, matches: Matches, classes: int) -> ClassSums:
        return accumulate(self.particles, matches, classes, self.halves)

    def sums_together(self, matches: Matches, classes: int) -> ClassSums:
        """The same, each rank adding up some of the classes: for steps that all ranks are sure to take alike."""
        mine = distributed.rows_of_groups(matches.classes[:, 0], classes)
        return distributed.total(self.rows(mine).sums(matches.rows(mine), classes))

    def average_together(self, matches: Matches, classes: int) -> Averages:
        return averages(self.sums_together(matches, classes), self.particles.band, self.mask)

    def average(self, matches: Matches, classes: int) -> Averages:
        return averages(self.sums(matches, classes), self.particles.band, self.mask)
