"""Stage 2 of the paper: references that move with every batch (eqs. 11 to 13)."""

from __future__ import annotations

import torch
from torch import Tensor

LEARNING_RATE = 0.01
DECAY = 0.9
EPSILON = 1e-8
"""eta, rho and epsilon of eqs. 12 and 13, on whitened features (noise 1, references about 0.2).

In 13 batches of 200 particles (beta-galactosidase, 64 px, SNR 0.05) references come as near to the averages of all
particles as 0.66 of their own size with eta = 0.001, 0.32 with 0.01 and with 0.03, and get lost with 0.1 (1.1).
"""


class RmsProp:
    """Eqs. 11 to 13: C moves against the gradient C - W^(1/2)·mean, each element by its own recent size.

    The paper gives no numbers.  With a constant step a reference moves by at most about
    ``rate / sqrt(1 - decay)`` per batch and element, whatever the particles say.

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
