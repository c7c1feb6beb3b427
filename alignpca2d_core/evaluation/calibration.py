"""Whether a stated certainty is how often it is right."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BINS = 10


def expected_calibration_error(certainty: NDArray[np.float64], right: NDArray[np.bool_], bins: int = BINS) -> float:
    """Mean over the bins of |mean certainty − share right|, weighted by their sizes (Naeini et al., 2015).

    Parameters
    ----------
    certainty : (n,) from 0 to 1
    right : (n,)
    bins : equally wide, of certainty

    Returns
    -------
    0 to 1; NaN of nothing.
    """
    if not len(certainty):
        return float("nan")
    own = np.clip((certainty * bins).astype(int), 0, bins - 1)
    size = np.bincount(own, minlength=bins)
    gap = np.bincount(own, certainty, minlength=bins) - np.bincount(own, right, minlength=bins)
    return float(np.abs(gap[size > 0]).sum() / len(certainty))
