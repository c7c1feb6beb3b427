"""At most so many particles of each class, and of each superclass: those that fit best."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def best_of_each(
    group: NDArray[np.int64], score: NDArray[np.float32], most: int, among: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Which particles to keep so that no group has more than ``most``: those with the highest scores, (n,).

    Parameters
    ----------
    group : (n,) int64 array
        Of each particle, from 0.
    score : (n,) float32 array
    most : int
    among : (n,) bool array
        The particles that may be kept at all.
    """
    rows = np.flatnonzero(among)
    rows = rows[np.lexsort((rows, -score[rows], group[rows]))]
    first = np.searchsorted(group[rows], group[rows])
    kept = np.zeros(len(group), dtype=bool)
    kept[rows[np.arange(len(rows)) - first < most]] = True
    return kept
