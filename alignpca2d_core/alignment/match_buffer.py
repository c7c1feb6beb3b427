"""Matches that are found batch by batch, in tensors that are allocated for all particles beforehand.

Small tensors that stay among large ones that go break up the heap: kept one by one until the end, they cost 3 KB a
particle where they hold 100 bytes.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .matches import Matches


class MatchBuffer:
    """Matches of at most ``most`` particles, with ``kept`` poses and ``figures`` numbers each."""

    def __init__(self, most: int, kept: int, device: torch.device, figures: int = 0) -> None:
        self.count = 0
        self._numbers = np.zeros(most, dtype=np.int64)
        self._matches = Matches.empty(most, kept, device)
        self._figures = torch.zeros(most, figures, device=device)

    def add(self, numbers: NDArray[np.int64], matches: Matches, figures: Tensor | None = None) -> None:
        """Those of a batch: rows or positions (p,), matches (p, kept), figures (p, figures) if known."""
        new = slice(self.count, self.count + len(numbers))
        self._numbers[new] = numbers
        self._matches.put(new, matches)
        if figures is not None:
            self._figures[new] = figures
        self.count = new.stop

    @property
    def numbers(self) -> NDArray[np.int64]:
        """In the order in which they came, (n,)."""
        return self._numbers[: self.count]

    @property
    def matches(self) -> Matches:
        """Of these, (n, kept)."""
        return self._matches.rows(slice(self.count))

    @property
    def figures(self) -> Tensor:
        """Of these, (n, figures); zero where none were given."""
        return self._figures[: self.count]
