"""Prepared particles in batches: from memory where they fit, from the stacks again where they do not."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import InputError
from ..fourier.band import Band
from ..io.particle_set import ParticleSet
from ..io.stacks import StackReader
from ..runtime import distributed
from .preprocess import Preparation, Vectors, Whitening

CACHE_BYTES = 2 * 2**30
READ_BATCH_BYTES = 32 * 2**20


class Source:
    """The particles of a set as whitened vectors.

    Parameters
    ----------
    reader : StackReader
    particles : ParticleSet
    preparation : Preparation
    cache_bytes : int
        Vectors are kept when all of them fit into this.

    Attributes
    ----------
    usable : (n,) bool array
        Enabled rows whose image is not constant and has no NaN; rows are found out as they are read.
    """

    def __init__(
        self, reader: StackReader, particles: ParticleSet, preparation: Preparation, cache_bytes: int = CACHE_BYTES
    ) -> None:
        self._reader, self._particles, self._preparation = reader, particles, preparation
        self.usable = particles.enabled.astype(bool).copy()
        band = preparation.band
        size = len(particles) * (8 * len(band) + 4 * band.rings)
        self._cache: Vectors | None = None
        self._cached = np.zeros(len(particles) if size <= cache_bytes else 0, dtype=bool)
        self.read_batch = max(16, READ_BATCH_BYTES // (4 * reader.box**2))

    @property
    def band(self) -> Band:
        """Of the vectors."""
        return self._preparation.band

    @property
    def whitening(self) -> Whitening:
        """Learned from the first sample, or restored."""
        assert self._preparation.whitening is not None
        return self._preparation.whitening

    @whitening.setter
    def whitening(self, learned: Whitening) -> None:
        self._preparation.whitening = learned

    def rescale(self, noise: Tensor) -> None:
        """Divide the unit of each ring (rings,) by what its noise has turned out to be."""
        self.whitening = self.whitening.corrected(noise)
        if self._cache is not None:
            for some in torch.from_numpy(np.flatnonzero(self._cached)).to(noise.device).split(512):
                self._cache.z[some] /= noise[self._cache.band.ring]

    @property
    def rows(self) -> NDArray[np.int64]:
        """Rows that can be used, as far as is known."""
        return np.flatnonzero(self.usable)

    def spectra(self, rows: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], Tensor, Tensor]]:
        """Usable rows, their CTF·y (b, m) and CTF² (b, rings), before whitening; bad rows are set aside."""
        optics = self._particles.ctf
        for part, images in self._reader.batches(rows, self.read_batch):
            z, q, usable = self._preparation.spectra(images, None if optics is None else optics[part])
            good = usable.cpu().numpy()
            self.usable[part[~good]] = False
            yield part[good], z[usable], q[usable]

    def learn(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], Vectors]:
        """Learn the whitening from a sample; returns the rows that could be used and their vectors."""
        band = self._preparation.band
        nothing = torch.zeros(0, len(band), dtype=torch.complex64, device=band.device)
        none = (rows[:0], nothing, nothing.real.new_zeros(0, band.rings))
        kept, z, q = zip(none, *self.spectra(rows[distributed.part(len(rows))]), strict=True)
        mine = np.concatenate(kept)
        sample, weights = (distributed.gathered_tensor(torch.cat(values), mine) for values in (z, q))
        self.usable = distributed.everywhere(self.usable)
        good = rows[self.usable[rows]]
        if not len(good):
            raise InputError(f"{self._particles.source}: no image can be used: all are constant or hold NaN")
        learned = self._preparation.learn(sample, weights)
        self._preparation.whitening = distributed.of_first(learned)
        vectors = self._preparation.whiten(sample, weights)
        self._keep(good, vectors)
        return good, vectors

    def batches(self, rows: NDArray[np.int64], size: int) -> Iterator[tuple[NDArray[np.int64], Vectors]]:
        """Rows and whitened vectors, about ``size`` at a time; rows that turn out unusable are left out."""
        for start in range(0, len(rows), size):
            part = rows[start : start + size]
            if len(self._cached) and self._cached[part].all():
                yield part, self._from_cache(part)
                continue
            fresh = [(r, self._preparation.whiten(z, q)) for r, z, q in self.spectra(part)]
            good = np.concatenate([r for r, _ in fresh])
            vectors = Vectors.join([v for _, v in fresh])
            self._keep(good, vectors)
            if len(good):
                yield good, vectors

    def _keep(self, rows: NDArray[np.int64], vectors: Vectors) -> None:
        if not len(self._cached):
            return
        if self._cache is None:
            z, q = vectors.z, vectors.q
            self._cache = Vectors(
                z.new_empty(len(self._cached), z.shape[1]), q.new_empty(len(self._cached), q.shape[1]), vectors.band
            )
        index = torch.from_numpy(rows).to(vectors.z.device)
        self._cache.z[index], self._cache.q[index] = vectors.z, vectors.q
        self._cached[rows] = True

    def _from_cache(self, rows: NDArray[np.int64]) -> Vectors:
        assert self._cache is not None
        return self._cache.rows(torch.from_numpy(rows).to(self._cache.z.device))
