"""How particles are searched for: the grids, the PCA of the first, the poses kept, and the mask on the particles."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from ..fourier.band import Band
from ..preprocessing.preprocess import Vectors
from .exhaustive_search import locate_in
from .fourier_pca import FourierPCA
from .matches import Matches
from .search_grids import Schedule
from .template_bank import Bank

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
        return self.locate_in(self.bank(references, particles.band), particles)

    def bank(self, references: Tensor, band: Band) -> Bank:
        """References (k, m) made ready for the search of many batches of particles on their band."""
        return Bank.make(references, band, self.schedule.exhaustive, self.basis)

    def locate_in(self, bank: Bank, particles: Vectors) -> Matches:
        """The best poses of particles (n) in the references of a bank, (n, kept)."""
        return locate_in(bank, particles, self.schedule, self.keep)
