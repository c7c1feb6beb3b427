"""Prepared particles in batches: from memory where they fit, from the stacks again where they do not."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from copy import copy
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import InputError
from ..fourier.band import Band
from ..io.given_poses import given_poses
from ..io.particle_set import ParticleSet
from ..runtime import distributed, memory
from .given_frames import GivenFrames
from .image_feed import ImageFeed, ImageReader
from .image_sieve import NAMES, Sieve
from .micrograph_scales import MicrographScales
from .preprocess import Preparation, Vectors, Whitening
from .vector_cache import VectorCache

READ_BATCH_BYTES, CACHED_BATCH_BYTES = 32 * 2**20, 4 * 2**20
"""Images read at a time; on a CPU no more than its cache holds, since preparing goes over them some twenty times."""

Rows = NDArray[np.int64]


@dataclass
class _Prepared:
    """Images as spectra: CTF·y (b, m), CTF² (b, rings), whether usable, repaired, damaged (3, b), and the sieve's
    figures (b, 5) if there is one."""

    z: Tensor
    q: Tensor
    flags: Tensor
    figures: Tensor | None

    @staticmethod
    def join(parts: list[_Prepared]) -> _Prepared:
        figures = [part.figures for part in parts if part.figures is not None]
        return _Prepared(
            torch.cat([part.z for part in parts]),
            torch.cat([part.q for part in parts]),
            torch.cat([part.flags for part in parts], 1),
            torch.cat(figures) if figures else None,
        )


class Source:
    """The particles of a set as whitened vectors.

    Parameters
    ----------
    reader : ImageReader
    particles : ParticleSet
    preparation : Preparation
    cache_bytes : int, optional
        Vectors are kept when all of them fit into this; by default :func:`.memory.cache_bytes`.

    Attributes
    ----------
    usable : (n,) bool array
        Enabled rows whose image is not constant, has no NaN and is not damaged; rows are found out as they are read.
    sieved : (n,) bool array
        Rows whose image holds something else than a particle, found out as they are read; see :mod:`.image_sieve`.
    scales : MicrographScales or None
        What vectors are scaled by.
    repaired, damaged : (n,) bool array
        Rows with pixels that were replaced; rows that are not usable because too many would have been.
    """

    def __init__(
        self, reader: ImageReader, particles: ParticleSet, preparation: Preparation, cache_bytes: int | None = None
    ) -> None:
        self._particles, self._preparation = particles, preparation
        self._feed = ImageFeed(reader, preparation.band.device)
        treatment = preparation.treatment
        given = given_poses(particles, treatment.poses, treatment.sampling_rate)
        self._frames = None if given is None else GivenFrames.of(given, reader.pixels_per_grid_pixel, self.band.device)
        self.usable = particles.enabled.astype(bool).copy()
        self.sieved, self._judged = np.zeros((2, len(particles)), dtype=bool)
        self.repaired, self.damaged = np.zeros((2, len(particles)), dtype=bool)
        band = preparation.band
        most = memory.cache_bytes(band.device) if cache_bytes is None else cache_bytes
        self._cache = VectorCache(len(particles), band, most)
        self.scales, self._learns = MicrographScales.of(particles), True
        at_once = CACHED_BATCH_BYTES if band.device.type == "cpu" else READ_BATCH_BYTES
        self.read_batch = max(16, at_once // (4 * reader.box**2))

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

    @property
    def sieve(self) -> Sieve | None:
        """Learned from the first sample, or restored."""
        return self._preparation.sieve

    @sieve.setter
    def sieve(self, learned: Sieve | None) -> None:
        self._preparation.sieve = learned

    def among(self, rows: Rows) -> Source:
        """The same with no other rows, all of which pass as particles, and with nothing more to learn."""
        part = copy(self)
        part.usable = np.zeros_like(self.usable)
        part.usable[rows] = self.usable[rows]
        part.sieved = np.zeros_like(self.sieved)
        part._preparation = copy(self._preparation)
        part.sieve, part._learns = None, False
        return part

    def to_nyquist(self) -> Source:
        """The same particles as vectors up to Nyquist, in grey values; none are kept."""
        whole = copy(self)
        whole._preparation, whole._learns = self._preparation.to_nyquist(), False
        whole._cache = VectorCache(0, whole.band, 0)
        return whole

    def rescale(self, noise: Tensor) -> None:
        """Divide the unit of each ring (rings,) by what its noise has turned out to be."""
        if not self._learns:
            return
        self.whitening = self.whitening.corrected(noise)
        self._cache.rescale(noise)

    @property
    def rows(self) -> Rows:
        """Rows that can be used and are no junk, as far as is known."""
        return np.flatnonzero(self.usable & ~self.sieved)

    @property
    def sieved_rows(self) -> Rows:
        """Rows that the sieve has set aside so far."""
        return np.flatnonzero(self.usable & self.sieved)

    def _spectra(self, batches: Sequence[Rows]) -> Generator[tuple[Rows, Tensor, Tensor], None, None]:
        """Of each batch of rows those that can be used, their CTF·y (b, m) and CTF² (b, rings), before whitening.

        Left out are rows that turn out unusable, and those that the sieve sets aside now; what it has set aside
        before is read if it is asked for.
        """
        for part, z, q, figures in self._read(batches):
            sieve = self._preparation.sieve
            new = np.zeros(len(part), dtype=bool)
            if sieve is not None and figures is not None:
                new = sieve.rejects(figures).cpu().numpy() & ~self.sieved[part]
                self.sieved[part[new]] = True
                self._judged[part] = True
            yield part[~new], _those(z, ~new), _those(q, ~new)

    def _read(self, batches: Sequence[Rows]) -> Iterator[tuple[Rows, Tensor, Tensor, Tensor | None]]:
        """Usable rows of each batch, their CTF·y, CTF², and the sieve's figures (b, 5) if there is one."""
        preparation = self._preparation
        sieving = preparation.treatment.sieves and (preparation.sieve is not None or preparation.whitening is None)
        for part, images in self._feed.batches(batches):
            found = self._prepared(part, images, sieving and not self._judged[part].all())
            good, repaired, damaged = found.flags.cpu().numpy()
            self.usable[part[~good]] = False
            self.repaired[part[repaired]] = True
            self.damaged[part[damaged]] = True
            figures = None if found.figures is None else _those(found.figures, good)
            yield part[good], _those(found.z, good), _those(found.q, good), figures

    def _prepared(self, rows: Rows, images: Tensor, sieving: bool) -> _Prepared:
        """Images (b, box, box) of these rows, in smaller pieces where the GPU's memory ends."""
        optics, preparation = self._particles.ctf, self._preparation

        def prepared(some: slice) -> _Prepared:
            cleaned = preparation.cleaned(images[some])
            frames = None if self._frames is None else self._frames.rows(rows[some])
            z, q = preparation.spectra_of(cleaned, None if optics is None else optics[rows[some]], frames)
            flags = torch.stack((cleaned.usable, cleaned.repaired, cleaned.damaged))
            return _Prepared(z, q, flags, preparation.figures(cleaned.images) if sieving else None)

        return memory.halving(prepared, len(rows), _Prepared.join)

    def agree(self) -> None:
        """What any rank has found out of the particles is known to all."""
        self.usable = distributed.everywhere(self.usable)
        self.repaired = ~distributed.everywhere(~self.repaired)
        self.damaged = ~distributed.everywhere(~self.damaged)
        self.sieved = ~distributed.everywhere(~self.sieved)

    def learn(self, rows: Rows) -> tuple[Rows, Vectors]:
        """Learn sieve and whitening from a sample; returns the rows that hold particles and their vectors."""
        if not self._learns:
            found = list(self.batches(rows, self.read_batch))
            return np.concatenate([part for part, _ in found]), Vectors.join([vectors for _, vectors in found])
        mine, z, q, figures = self._sample(rows[distributed.part(len(rows))])
        sample, weights, seen = (distributed.gathered_tensor(values, mine) for values in (z, q, figures))
        self.agree()
        good = rows[self.usable[rows]]
        if not len(good):
            why = "all are constant, hold NaN, or lie under borders, gold or dust too far"
            raise InputError(f"{self._particles.source}: no image can be used: {why}")
        kept = self._learn_sieve(good, seen)
        learned = self._preparation.learn(sample[kept], weights[kept])
        self._preparation.whitening = distributed.of_first(learned)
        vectors = self._preparation.whiten(sample, weights)
        vectors = self._cache.keep(good, vectors)
        return good[kept.cpu().numpy()], vectors if bool(kept.all()) else vectors.rows(kept)

    def _sample(self, rows: Rows) -> tuple[Rows, Tensor, Tensor, Tensor]:
        """This rank's part of a sample: rows, CTF·y, CTF² and figures."""
        band = self._preparation.band
        nothing = torch.zeros(0, len(band), dtype=torch.complex64, device=band.device)
        none = (rows[:0], nothing, nothing.real.new_zeros(0, band.rings), nothing.real.new_zeros(0, len(NAMES)))
        read = (
            (r, z, q, z.real.new_zeros(len(r), len(NAMES)) if f is None else f)
            for r, z, q, f in self._read(self._to_read(rows))
        )
        kept, z, q, figures = zip(none, *read, strict=True)
        return np.concatenate(kept), torch.cat(z), torch.cat(q), torch.cat(figures)

    def _learn_sieve(self, rows: Rows, figures: Tensor) -> Tensor:
        """Learn the sieve from a sample's figures (n, 5), and say which of its rows (n,) hold particles, (n,) bool."""
        everything = torch.ones(len(rows), dtype=torch.bool, device=figures.device)
        if not self._preparation.treatment.sieves:
            return everything
        sieve = Sieve.learned(figures)
        self._preparation.sieve = None if sieve is None else distributed.of_first(sieve)
        if self._preparation.sieve is None:
            return everything
        self._judged[rows] = True
        rejected = self._preparation.sieve.rejects(figures)
        self.sieved[rows[rejected.cpu().numpy()]] = True
        return ~rejected

    def batches(self, rows: Rows, size: int) -> Iterator[tuple[Rows, Vectors]]:
        """Rows and whitened vectors, about ``size`` at a time; rows that turn out unusable are left out.

        What is not kept is read, beyond the batch that is asked for, while the caller works.
        """
        parts = [rows[start : start + size] for start in range(0, len(rows), size)]
        reads = [[] if self._cache.holds(part) else self._to_read(part) for part in parts]
        with closing(self._spectra([one for read in reads for one in read])) as spectra:
            for part, read in zip(parts, reads, strict=True):
                if not read:
                    yield part, self.scaled(part, self._cache.rows(part))
                    continue
                fresh = [(r, self._preparation.whiten(z, q)) for r, z, q in islice(spectra, len(read))]
                good = np.concatenate([r for r, _ in fresh])
                vectors = self._cache.keep(good, Vectors.join([v for _, v in fresh]))
                if len(good):
                    yield good, self.scaled(good, vectors)

    def scaled(self, rows: Rows, vectors: Vectors) -> Vectors:
        """Vectors of some rows in the contrast of their micrographs."""
        if self.scales is None or not self.scales.are_learned:
            return vectors
        return vectors.scaled(self.scales.of_rows(rows).to(vectors.z.device))

    def _to_read(self, rows: Rows) -> list[Rows]:
        """Rows in the batches that are read at once."""
        return [rows[start : start + self.read_batch] for start in range(0, len(rows), self.read_batch)]


def _those(values: Tensor, wanted: NDArray[np.bool_]) -> Tensor:
    """The wanted rows of values (n, ...); usually these are all."""
    return values if wanted.all() else values[torch.from_numpy(np.flatnonzero(wanted)).to(values.device)]
