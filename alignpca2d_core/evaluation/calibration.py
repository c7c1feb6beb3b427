"""Whether a stated certainty is how often it is right."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BINS = 10
"""Equally wide, of certainty."""


def expected_calibration_error(certainty: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """Mean over the bins of |mean certainty − share right|, weighted by their sizes (Naeini et al., 2015).

    Parameters
    ----------
    certainty : (n,) from 0 to 1
    right : (n,)

    Returns
    -------
    0 to 1; NaN of nothing.
    """
    if not len(certainty):
        return float("nan")
    own = np.clip((certainty * BINS).astype(int), 0, BINS - 1)
    size = np.bincount(own, minlength=BINS)
    gap = np.bincount(own, certainty, minlength=BINS) - np.bincount(own, right, minlength=BINS)
    return float(np.abs(gap[size > 0]).sum() / len(certainty))
