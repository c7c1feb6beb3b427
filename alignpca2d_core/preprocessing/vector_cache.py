"""Prepared particles kept in memory: as they are where all of them fit, else in half precision, else not at all.

Half precision rounds a coefficient by at most one part in two thousand, where its noise is about as large as itself.
What is handed out is what is kept, from the first time on: a run that reads a particle again, because it was resumed
or works in another process, has the same vector to the last bit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..fourier.band import Band
from ..runtime import memory
from .preprocess import Vectors

MOST_HALF = 2.0**15
"""Half precision holds twice that; vectors with larger values are divided by a power of two."""

Rows = NDArray[np.int64]


class VectorCache:
    """Vectors of the rows of a set.

    Parameters
    ----------
    count : int
        Rows of the set.
    band : Band
    most : int
        Bytes that may be kept.

    Attributes
    ----------
    halved : bool
        Whether vectors are kept, and handed out, in half precision.
    """

    def __init__(self, count: int, band: Band, most: int) -> None:
        self._band = band
        self._room: _Kept | None = None
        whole, half = (count * (each * len(band) + 4 * band.rings) for each in (8, 4))
        self.halved = half <= most < whole
        self._kept = np.zeros(count if half <= most else 0, dtype=bool)
        if half <= most:
            memory.set_aside(band.device, half if self.halved else whole)

    def holds(self, rows: Rows) -> bool:
        """Whether all of these rows are kept."""
        return len(self._kept) > 0 and bool(self._kept[rows].all())

    def keep(self, rows: Rows, vectors: Vectors) -> Vectors:
        """Keep the vectors of these rows, where there is room; returns them as they are handed out from here on."""
        if not len(self._kept):
            return vectors
        kept = _Kept.of(vectors, self.halved)
        if self._room is None:
            self._room = kept.room(len(self._kept))
        self._room.put(torch.from_numpy(rows).to(vectors.z.device), kept)
        self._kept[rows] = True
        return kept.vectors(self._band)

    def rows(self, rows: Rows) -> Vectors:
        """The vectors of rows that are kept."""
        assert self._room is not None
        return self._room.rows(torch.from_numpy(rows).to(self._band.device)).vectors(self._band)

    def rescale(self, noise: Tensor) -> None:
        """Divide the unit of each ring (rings,) by what its noise has turned out to be."""
        if self.halved:  # rounded before and after, they would be others than those that are read later
            self._kept[:] = False
        elif self._room is not None:
            for some in torch.from_numpy(np.flatnonzero(self._kept)).to(noise.device).split(512):
                self._room.z[some] /= noise[self._band.ring]


@dataclass
class _Kept:
    """Vectors: z complex (n, m), or in half precision (n, m, 2) and over ``unit`` (n,); and q (n, rings)."""

    z: Tensor
    q: Tensor
    unit: Tensor | None

    @staticmethod
    def of(vectors: Vectors, halved: bool) -> _Kept:
        if not halved:
            return _Kept(vectors.z, vectors.q, None)
        parts = torch.view_as_real(vectors.z)
        unit = torch.exp2((parts.abs().amax((1, 2)) / MOST_HALF).log2().ceil().clamp_min(0))
        return _Kept((parts / unit[:, None, None]).half(), vectors.q, unit)

    def vectors(self, band: Band) -> Vectors:
        if self.unit is None:
            return Vectors(self.z, self.q, band)
        return Vectors(torch.view_as_complex(self.z.float() * self.unit[:, None, None]), self.q, band)

    def room(self, count: int) -> _Kept:
        """Room for so many of the same kind."""
        z, q = (part.new_empty(count, *part.shape[1:]) for part in (self.z, self.q))
        return _Kept(z, q, None if self.unit is None else self.unit.new_empty(count))

    def put(self, index: Tensor, kept: _Kept) -> None:
        self.z[index], self.q[index] = kept.z, kept.q
        if self.unit is not None and kept.unit is not None:
            self.unit[index] = kept.unit

    def rows(self, index: Tensor) -> _Kept:
        return _Kept(self.z[index], self.q[index], None if self.unit is None else self.unit[index])
