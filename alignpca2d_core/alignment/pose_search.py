"""How particles are searched for: the grids, the PCA of the first, the poses kept, and the mask on the particles."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from ..preprocessing.preprocess import Vectors
from .exhaustive_search import locate
from .fourier_pca import FourierPCA
from .matches import Matches
from .search_grids import Schedule

WIDER = 2.0
"""How much wider the second look's window is: ±24 % of the box where the first had ±12 %."""


@dataclass(frozen=True)
class PoseSearch:
    """One way of searching, for particles and for images of noise alike.

    Attributes
    ----------
    schedule : Schedule
    basis : FourierPCA
        Of the schedule's first grid.
    keep : tuple of int
        Poses kept after the exhaustive level and after each local one.
    mask : Tensor
        What the preparation leaves of a particle's background, (work_box, work_box).
    """

    schedule: Schedule
    basis: FourierPCA
    keep: tuple[int, ...]
    mask: Tensor

    def wider(self) -> PoseSearch:
        """The same in a wider window of shifts."""
        return replace(self, schedule=replace(self.schedule, reach=WIDER * self.schedule.reach))

    def locate(self, particles: Vectors, references: Tensor) -> Matches:
        """The best poses of particles (n) in references (k, m), (n, kept)."""
        return locate(particles, references, self.schedule, self.basis, self.keep)
