"""Where the frequencies of a band lie in the half planes that torch's FFT of real images makes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


def fast_length(at_least: int) -> int:
    """The smallest even number from ``at_least`` on with no prime factor above 5, which FFTs like."""
    length = at_least + at_least % 2
    while True:
        rest = length
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return length
        length += 2


@dataclass(frozen=True)
class Places:
    """Where the coefficients of a band lie in ``rfft2`` of images of one box.

    Attributes
    ----------
    rows, columns : Tensor
        (m,) each.
    axis, mirrored : Tensor
        The coefficients of column 0, which are there as their conjugates too, and the rows of these, (a,) each.
    factor : Tensor
        Weight and phase of the centre, (m,) complex.
    """

    rows: Tensor
    columns: Tensor
    axis: Tensor
    mirrored: Tensor
    factor: Tensor

    @staticmethod
    def make(kx: Tensor, ky: Tensor, weight: Tensor, box: int) -> Places:
        """Of frequencies (m,) in cycles per box, with their weights."""
        angle = (2 * math.pi * (box // 2) / box) * (kx + ky).double()
        phase = torch.polar(torch.ones_like(angle), angle).to(torch.complex64)
        axis = torch.nonzero(kx == 0)[:, 0]
        return Places(ky % box, kx, axis, (-ky[axis]) % box, weight * phase)
