"""The order in which a band lists the frequencies of the half plane, in integers alone."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

RADIUS_ROUNDING = 1e-9
"""Relative error of a squared radius that counts as rounding."""


def largest_square(radius: float) -> int:
    """The largest kx² + ky² within ``radius`` Fourier pixels: the one definition of which frequencies a band holds.

    Radii come out of quotients of Å and of geometric series, so that 31 may arrive as 30.999…: a rounding error of
    double precision must not decide whether a frequency is in.
    """
    return math.floor(radius**2 * (1 + RADIUS_ROUNDING))


@lru_cache(maxsize=32)
def half_plane(most: int) -> NDArray[np.int64]:
    """kx, ky and kx² + ky² of the frequencies with squares up to ``most``, by square, then kx, then ky; (3, m)."""
    edge = math.isqrt(most)
    kx, ky = (k.ravel() for k in np.meshgrid(np.arange(edge + 1), np.arange(-edge, edge + 1), indexing="ij"))
    square = kx**2 + ky**2
    keep = (square <= most) & ((kx > 0) | (ky >= 0))
    found = np.stack((kx, ky, square))[:, keep]
    found = found[:, np.argsort(found[2], kind="stable")]
    found.setflags(write=False)
    return found


def count_within(most: int) -> int:
    """How many frequencies of the half plane have squares up to ``most``."""
    edge = math.isqrt(most)
    return edge + 1 + sum(2 * math.isqrt(most - kx * kx) + 1 for kx in range(1, edge + 1))
