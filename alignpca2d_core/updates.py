"""Stage 2: references that move with every batch (eqs. 11 to 13), and the sums that do so without a rate."""

from __future__ import annotations

import torch
from torch import Tensor

from .classes import Averages, ClassSums, averages
from .fourier import Band

LEARNING_RATE = 0.001
DECAY = 0.9
EPSILON = 1e-8
"""eta, rho and epsilon of eqs. 12 and 13 as the paper's preset uses them, on real-space grey values."""


class RunningSums:
    """References as the averages of all that has come so far: the exact minimiser, with no rate to choose."""

    def __init__(self, sums: ClassSums) -> None:
        self.sums = sums

    def add(self, batch: ClassSums) -> None:
        """Take a batch in."""
        self.sums = self.sums + batch

    def averages(self, band: Band, mask: Tensor) -> Averages:
        return averages(self.sums, band, mask)


class RmsProp:
    """Eqs. 11 to 13: C moves against the gradient C - W^(1/2)·mean, each element by its own recent size.

    The paper gives no numbers.  With its kind of constant step a reference moves by at most about
    ``rate / sqrt(1 - decay)`` per batch and element, whatever the particles say; see the benchmarks.

    Parameters
    ----------
    references : Tensor
        C_0, the filtered averages (k, m) complex; real and imaginary parts are elements of their own.
    """

    def __init__(
        self, references: Tensor, rate: float = LEARNING_RATE, decay: float = DECAY, epsilon: float = EPSILON
    ) -> None:
        self.references = references.clone()
        self.rate, self.decay, self.epsilon = rate, decay, epsilon
        self.square = torch.zeros_like(torch.view_as_real(self.references))

    def step(self, batch_means: Tensor, present: Tensor) -> Tensor:
        """Move towards W^(1/2)·mean of a batch (k, m) where a class has members (k,) bool; returns C."""
        current = torch.view_as_real(self.references)
        gradient = current - torch.view_as_real(batch_means.resolve_conj())
        square = self.decay * self.square + (1 - self.decay) * gradient**2
        moved = current - self.rate * gradient / (square + self.epsilon).sqrt()
        here = present[:, None, None]
        self.square = torch.where(here, square, self.square)
        self.references = torch.view_as_complex(torch.where(here, moved, current).contiguous())
        return self.references
