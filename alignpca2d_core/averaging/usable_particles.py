"""The particles that a classification has found usable: which rows they are, and which rank reads which of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..fourier.band import Band
from ..preprocessing.particle_source import Source
from ..preprocessing.preprocess import Vectors
from ..runtime import distributed


class Members(Protocol):
    """Particles that are in classes, to be read again by their positions."""

    @property
    def band(self) -> Band:
        """Of the vectors."""

    def to_nyquist(self) -> Members:
        """The same particles up to Nyquist, in grey values."""

    def subset(self, positions: NDArray[np.int64]) -> Members:
        """Those at some positions, ascending."""

    def batches(self, among: NDArray[np.int64] | None = None) -> Iterator[tuple[Tensor, Vectors]]:
        """Positions, ascending (among some), and the vectors there, batch by batch."""

    def halves(self, positions: Tensor) -> Tensor:
        """The half, 0 or 1, of each particle at positions (p,)."""

    def quarters(self, positions: Tensor) -> Tensor:
        """Which quarter of its half, 0 or 1, each particle at positions (p,) is in."""


class UsableParticles:
    """Reads particles by their positions; of several ranks each reads its own.

    Parameters
    ----------
    source : Source
    rows : (n,) int64 array
        Rows of the source, ascending; a position is a place among these.
    batch : int
        Particles that are read at once.
    """

    def __init__(self, source: Source, rows: NDArray[np.int64], batch: int) -> None:
        self.source, self.rows, self.batch = source, rows, batch

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def band(self) -> Band:
        return self.source.band

    def to_nyquist(self) -> UsableParticles:
        """The same particles up to Nyquist, in grey values."""
        return UsableParticles(self.source.to_nyquist(), self.rows, self.batch)

    def subset(self, positions: NDArray[np.int64]) -> UsableParticles:
        """Those at some positions, ascending."""
        return UsableParticles(self.source, self.rows[positions], self.batch)

    def own_positions(self, among: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
        """Positions of the particles that this rank works on (among some), ascending."""
        own = distributed.part_of_batches(len(self), self.batch)
        return own if among is None else np.intersect1d(own, among)

    def batches(self, among: NDArray[np.int64] | None = None) -> Iterator[tuple[Tensor, Vectors]]:
        """This rank's own positions (among some), and the vectors there, batch by batch."""
        position = np.full(len(self.source.usable), -1)
        position[self.rows] = np.arange(len(self))
        return (
            (torch.from_numpy(position[part]).to(self.band.device), particles)
            for part, particles in self.source.batches(self.rows[self.own_positions(among)], self.batch)
        )

    def weights(self, positions: NDArray[np.int64]) -> Tensor:
        """CTF² by ring of the particles at positions (p,), ascending, whichever rank reads them; (p, rings)."""
        none = torch.zeros(0, self.band.rings, device=self.band.device)
        return self.told(positions, lambda _, particles: particles.q, none)

    def told(self, positions: NDArray[np.int64], of: Callable[[Tensor, Vectors], Tensor], none: Tensor) -> Tensor:
        """What a function tells of the particles at positions (p,), ascending, whichever rank reads them; (p, ...).

        ``of`` is given positions and vectors, batch by batch; ``none`` is what it tells of no particles.
        """
        own = torch.cat([none, *(of(some, particles) for some, particles in self.batches(positions))])
        return distributed.gathered_tensor(own, self.own_positions(positions))

    def halves(self, positions: NDArray[np.int64] | Tensor) -> Tensor:
        """The half of each particle at positions (p,), as :func:`halves_of` its row."""
        chosen = positions.cpu().numpy() if isinstance(positions, Tensor) else positions
        return halves_of(self.rows[chosen], self.band.device)

    def quarters(self, positions: Tensor) -> Tensor:
        """Which quarter of its half, 0 or 1, each particle at positions (p,) is in."""
        return quarters_of(self.rows[positions.cpu().numpy()], self.band.device)


def halves_of(rows: NDArray[np.int64], device: torch.device) -> Tensor:
    """The half, 0 or 1, of each row (n,), for the FRC: as good as random, yet the same whenever the row is met."""
    return torch.from_numpy((rows * 2654435761 >> 16) % 2).to(device)


def quarters_of(rows: NDArray[np.int64], device: torch.device) -> Tensor:
    """Which quarter of its half, 0 or 1, each row (n,) is in."""
    return torch.from_numpy((rows * 2654435761 >> 17) % 2).to(device)


def spread(length: int, most: int) -> NDArray[np.int64]:
    """Positions all over a sequence, at most so many, ascending: its beginning may be unlike the rest."""
    return np.unique(np.linspace(0, length - 1, min(length, most)).astype(np.int64))


def spread_of_each(classes: Tensor, most: int) -> NDArray[np.int64]:
    """Positions, ascending, of at most so many members of each class, all over a sequence; ``classes`` (n,) int64."""
    label = classes.cpu().numpy()
    order = np.argsort(label, kind="stable")
    sizes = np.bincount(label)
    rank = np.arange(len(label)) - np.repeat(sizes.cumsum() - sizes, sizes)
    size = sizes[label[order]]
    chosen = (size <= most) | ((rank + 1) * most // size > rank * most // size)
    return np.sort(order[chosen])
