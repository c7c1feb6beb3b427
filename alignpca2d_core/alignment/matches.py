"""Where particles fit: class, rotation, shift and score of the poses that are kept of each."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..runtime import distributed


@dataclass
class Matches:
    """Poses of n particles, the best first: every tensor has shape (n, kept).

    Attributes
    ----------
    classes : Tensor
        Class index, int64.
    angle : Tensor
        Rotation of the class average in radians, from x towards y.
    shift_x, shift_y : Tensor
        Shift of the rotated average in pixels.
    score : Tensor
        Log-likelihood against an empty reference.
    """

    classes: Tensor
    angle: Tensor
    shift_x: Tensor
    shift_y: Tensor
    score: Tensor

    def __len__(self) -> int:
        return len(self.score)

    def _map(self, function: object) -> Matches:
        fields = (self.classes, self.angle, self.shift_x, self.shift_y, self.score)
        return Matches(*(function(f) for f in fields))  # type: ignore[operator]

    def best(self, kept: int = 1) -> Matches:
        """The ``kept`` best matches of every particle."""
        order = self.score.topk(min(kept, self.score.shape[1]), dim=1).indices
        return self._map(lambda f: f.gather(1, order))

    def best_first(self) -> Matches:
        """All of every particle, the best first."""
        return self.best(self.score.shape[1])

    def of_distinct_classes(self) -> Matches:
        """The same, best first, with -inf for all but the best match of a class."""
        ordered = self.best_first()
        same = ordered.classes[:, :, None] == ordered.classes[:, None, :]
        repeated = same.tril(-1).any(2)
        ordered.score = ordered.score.masked_fill(repeated, -torch.inf)
        return ordered

    def rows(self, index: Tensor | slice) -> Matches:
        """The matches of some particles."""
        return self._map(lambda f: f[index])

    def column(self, number: int) -> Matches:
        """One of the matches of every particle, (n, 1)."""
        return self._map(lambda f: f[:, number : number + 1])

    def put(self, index: Tensor | slice, other: Matches) -> None:
        """Give some particles (p,) other matches, (p, kept)."""
        for name in ("classes", "angle", "shift_x", "shift_y", "score"):
            getattr(self, name)[index] = getattr(other, name)

    def pose(self) -> tuple[Tensor, Tensor, Tensor]:
        """Angle, shift in x and shift in y, (n, kept) each."""
        return self.angle, self.shift_x, self.shift_y

    def clone(self) -> Matches:
        return self._map(lambda f: f.clone())

    def to(self, device: torch.device) -> Matches:
        """The same on a device."""
        return self._map(lambda f: f.to(device))

    @staticmethod
    def empty(count: int, kept: int, device: torch.device) -> Matches:
        """Zeros, to be filled, for ``count`` particles."""
        label = torch.zeros(count, kept, dtype=torch.int64, device=device)
        return Matches(label, *(torch.zeros(count, kept, device=device) for _ in range(4)))

    @staticmethod
    def at_rest(label: Tensor) -> Matches:
        """Of n particles that are neither turned nor shifted in their classes (n,), which nothing has scored."""
        still = torch.zeros(len(label), 1, device=label.device)
        return Matches(label[:, None], still, still.clone(), still.clone(), still.clone())

    @staticmethod
    def join(parts: list[Matches], dim: int) -> Matches:
        """Concatenate along particles (0) or along the kept matches (1)."""
        names = ("classes", "angle", "shift_x", "shift_y", "score")
        return Matches(*(torch.cat([getattr(p, n) for p in parts], dim) for n in names))


def wrapped(angle: Tensor) -> Tensor:
    """Radians between -π and π."""
    return torch.remainder(angle + math.pi, 2 * math.pi) - math.pi


def without_empty_classes(matches: Matches, classes: int) -> tuple[Matches, int]:
    """The best match of each particle, with empty classes left out of the numbering; and how many classes remain."""
    best = matches.best(1)
    used = torch.bincount(best.classes[:, 0], minlength=classes) > 0
    best.classes = (torch.cumsum(used, 0) - 1)[best.classes]
    return best, int(used.sum())


def gathered_matches(found: Matches, mine: slice) -> Matches:
    """The matches of all ranks, from those of this rank's part of the particles."""
    return distributed.gathered(found, np.arange(mine.start, mine.start + len(found)))


def decided_by_first_rank(matches: Matches, classes: int) -> tuple[Matches, int]:
    """Matches and a number of classes as rank 0 has them."""
    return distributed.of_first(matches), distributed.first_number(classes)
