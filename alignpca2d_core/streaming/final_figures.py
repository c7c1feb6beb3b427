"""What averages show at the end of a stream, as of a whole run: by halves aligned by themselves, and up to Nyquist.

While particles come, the stated resolution rests on the halves at the delivered poses, and averages end with the band:
no batch reads again what has come before it.  At the end the images are read for it, as :mod:`..averaging.model` says.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..alignment.matches import Matches
from ..averaging.beyond_band import Shown
from ..averaging.usable_particles import halves_of, quarters_of
from ..fourier.band import Band
from ..io.stacks import StackReader
from ..preprocessing.particle_source import Source
from ..preprocessing.preprocess import Preparation, Vectors
from .assignment_updates import AssignmentUpdates
from .batch_contrast import in_contrast
from .store.stream_store import StreamStore


class PlacedParticles:
    """The particles of a stream that are in classes, read batch by batch.

    Parameters
    ----------
    journal : StreamStore
    rows : (n,) int64 array
        Their numbers in the order of arrival, ascending; a position is a place among these.
    preparation : Preparation
    """

    def __init__(self, journal: StreamStore, rows: NDArray[np.int64], preparation: Preparation) -> None:
        self.journal, self.rows, self.preparation = journal, rows, preparation

    @property
    def band(self) -> Band:
        return self.preparation.band

    def to_nyquist(self) -> PlacedParticles:
        """The same particles up to Nyquist, in grey values."""
        return PlacedParticles(self.journal, self.rows, self.preparation.to_nyquist())

    def subset(self, positions: NDArray[np.int64]) -> PlacedParticles:
        """Those at some positions, ascending."""
        return PlacedParticles(self.journal, self.rows[positions], self.preparation)

    def batches(self, among: NDArray[np.int64] | None = None) -> Iterator[tuple[Tensor, Vectors]]:
        """Positions (among some), and the vectors there, batch by batch."""
        positions = np.arange(len(self.rows)) if among is None else among
        rows = self.rows[positions]
        for batch in self.journal.record.batches:
            first, end = np.searchsorted(rows, (batch.first, batch.first + batch.count))
            if first == end:
                continue
            here = rows[first:end] - batch.first
            particles, scale = self.journal.particles(batch).subset(here), self.journal.assignments(batch).scale[here]
            with StackReader(particles, self.journal.grid) as reader:
                everything = np.arange(len(particles))
                source = Source(reader, particles, self.preparation, cache_bytes=0).among(everything)
                for part, vectors in in_contrast(source.batches(everything, len(particles)), scale):
                    yield torch.from_numpy(positions[first:end][part]).to(self.band.device), vectors

    def halves(self, positions: Tensor) -> Tensor:
        """The half of each particle, by its number in the order of arrival."""
        return halves_of(self.rows[positions.cpu().numpy()], self.band.device)

    def quarters(self, positions: Tensor) -> Tensor:
        """Which quarter of its half each particle is in."""
        return quarters_of(self.rows[positions.cpu().numpy()], self.band.device)


def shown_at_the_end(members: AssignmentUpdates) -> Shown | None:
    """What the delivered averages show; None where particles of theirs cannot be read again."""
    journal, classes = members.journal, members.classes
    found: list[tuple[NDArray[np.int64], Matches]] = []
    for batch in members.record.batches:
        assigned = journal.assignments(batch)
        placed = assigned.classes.numpy() >= 0
        if not (members.unchanged(batch) | ~placed).all():
            return None
        rows = np.flatnonzero(placed)
        found.append((rows + batch.first, assigned.matches(rows)))
    rows = np.concatenate([part for part, _ in found])
    matches = Matches.join([part for _, part in found], 0).to(classes.band.device)
    read = PlacedParticles(journal, rows, members.preparation)
    with members.run.progress.stage("Resolution"):
        model = replace(classes.model(), sums=classes.delivered())
        return model.shown(read, classes.delivered_poses(matches))
