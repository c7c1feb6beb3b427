"""The FRC between halves that know nothing of each other, which states what a class average shows of its particles.

Poses are found against averages of both halves.  A particle's noise has a say in its pose, and turns towards the noise
of these averages: so both halves come to agree in what is no signal.  Here each half finds its poses again by itself.
They start from poses that are blurred by a share of the detail that the usual class shows, so that what the halves have
in common beyond it is forgotten.  A particle is then compared with the average of the other quarter of its own half,
which holds none of its noise, on one grid after the other.  The poses that are delivered stay as they are.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..alignment.local_search import refine
from ..alignment.matches import Matches
from ..alignment.search_grids import Level
from ..fourier.band import Band
from ..fourier.ring_correlation import cutoff_ring, smoothed, wiener_shrinkage
from ..preprocessing.mask_shape import MaskShape
from ..preprocessing.preprocess import Vectors
from .class_averages import PRIOR, Averages, BinnedSums, ClassSums, average_mask, averages, masked
from .usable_particles import Members

BLUR = 0.2
"""Standard deviation of the poses that halves start from, over the detail that the usual class shows."""
RIM = 0.6
"""Where in the mask a rotation moves by as much, over the mask's radius."""
BLUR_SEED = 0
JOINED_BYTES = 256 * 2**20
"""Particles' vectors that are aligned at once on a CPU: for each batch references are turned to all angles."""


@dataclass(frozen=True)
class IndependentHalves:
    """Halves of classes, to be aligned by themselves.

    Parameters
    ----------
    members : Members
        n particles.
    matches : Matches
        Their classes and poses, (n, 1).
    view_of : Tensor
        The distinct view that each class is a division of, (k,) int64: poses are those in the views.
    levels : tuple of Level
        The grids on which poses are looked for again, one after the other.
    mask_shape : MaskShape
        Of the averages.
    """

    members: Members
    matches: Matches
    view_of: Tensor
    levels: tuple[Level, ...]
    mask_shape: MaskShape

    @property
    def band(self) -> Band:
        return self.members.band

    @property
    def mask(self) -> Tensor:
        """Of the averages, (work_box, work_box)."""
        return average_mask(self.band, self.mask_shape)

    def frc(self, found: Averages) -> Tensor:
        """FRC of the halves, (k, rings), smoothed, of classes whose averages at the given poses are ``found``."""
        classes = len(found.frc)
        blurred = self._averages(self._quarter_sums(self._blurred(found.frc), classes))
        poses = self._blurred(blurred.frc)
        quarters = self._quarter_sums(poses, classes)
        for level in self.levels:
            quarters = self._aligned(quarters, poses, level)
        return smoothed(smoothed(self._averages(quarters).frc))

    def _aligned(self, quarters: ClassSums, poses: Matches, level: Level) -> ClassSums:
        """Sums of quarters after each particle was aligned to the other quarter of its half; ``poses`` are renewed."""
        classes = len(self.view_of)
        views, count = self.view_of, int(self.view_of.max()) + 1
        references = self._references(quarters.grouped(torch.cat((views, views + count))))
        sums = BinnedSums(2 * classes, self.band)
        for chosen, particles in joined(self.members.batches()):
            halves, quarter = self.members.halves(chosen)[:, None], self.members.quarters(chosen)[:, None]
            own = poses.rows(chosen)
            found = replace(own, classes=views[own.classes] + count * (2 * halves + 1 - quarter))
            found = refine(particles, references, self.band, level, found)
            poses.put(chosen, replace(found, classes=own.classes))
            sums.add(particles, replace(found, classes=own.classes + classes * quarter), halves[:, 0])
        return sums.total_together()

    def _blurred(self, frc: Tensor) -> Matches:
        """The poses, blurred by a share of the detail that FRCs (k, rings) state of the usual particle's class."""
        detail = self.band.box / cutoff_ring(smoothed(frc)).clamp_min(1.0)
        deviation = BLUR * detail[self.matches.classes].median()
        draws = torch.randn(3, len(self.matches), 1, generator=torch.Generator().manual_seed(BLUR_SEED))
        x, y, turn = draws.to(self.band.device)
        # By whole steps: what is turned alike is added up before it is turned.
        step = 2 * math.pi / self.levels[-1].rotations
        steps = torch.round(turn * deviation / (RIM * self.mask_shape.radius * step))
        return replace(
            self.matches,
            angle=self.matches.angle + steps * step,
            shift_x=self.matches.shift_x + x * deviation,
            shift_y=self.matches.shift_y + y * deviation,
        )

    def _quarter_sums(self, matches: Matches, classes: int) -> ClassSums:
        """Sums of quarters, (2, 2k, m): of each half, the classes of its first quarter, then those of its second."""
        sums = BinnedSums(2 * classes, self.band)
        for chosen, particles in self.members.batches():
            own = matches.rows(chosen)
            quarter = self.members.quarters(chosen)[:, None]
            sums.add(particles, replace(own, classes=own.classes + classes * quarter), self.members.halves(chosen))
        return sums.total_together()

    def _averages(self, quarters: ClassSums) -> Averages:
        """Averages of halves from the sums of their quarters."""
        classes = torch.arange(quarters.total.shape[1] // 2, device=self.band.device)
        return averages(quarters.grouped(classes.repeat(2)), self.band, self.mask)

    def _references(self, quarters: ClassSums) -> Tensor:
        """The average of each quarter of each view, (4v, m), each ring shrunk to its share of signal."""
        mean = masked(quarters.total / (quarters.weight + PRIOR)[..., self.band.ring], self.band, self.mask)
        share = wiener_shrinkage(self._averages(quarters).frc).repeat(2, 1)[:, self.band.ring]
        return self.band.compared(mean * share).flatten(0, 1)


def joined(batches: Iterable[tuple[Tensor, Vectors]]) -> Iterator[tuple[Tensor, Vectors]]:
    """Positions and vectors of batches, several in one on a CPU, up to :data:`JOINED_BYTES`."""
    positions: list[Tensor] = []
    held: list[Vectors] = []
    for chosen, particles in batches:
        size = sum(one.z.nbytes for one in (*held, particles))
        if held and (size > JOINED_BYTES or particles.z.device.type != "cpu"):
            yield torch.cat(positions), Vectors.join(held)
            positions, held = [], []
        positions.append(chosen)
        held.append(particles)
    if held:
        yield torch.cat(positions), Vectors.join(held)
