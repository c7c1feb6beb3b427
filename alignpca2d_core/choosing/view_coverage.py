"""How many views a classification shows and how evenly, from its averages alone: without a map or angles.

Views are superclasses.  How many there are is known as far as the noise of the averages lets one tell how far they are
apart.  Averages do not say how large a part of all directions a view is: where the specimen is
symmetric, or round about an axis, many directions look alike.  So one view that holds many particles is a warning only
where it holds a large share of them and far more than the usual view; docs/choosing states how often that is so of sets
with even views.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .superclasses import CUT, superclasses

DEVIATIONS = 2.0
"""Standard errors of the distances that the number of views is uncertain by."""
LARGE_SHARE, TIMES_USUAL, FEWEST_VIEWS = 0.25, 6.0, 5
"""A view with more than that share of the particles, and so many times the median view's, is preferred."""


@dataclass(frozen=True)
class ViewCoverage:
    """What the averages say of views.

    Attributes
    ----------
    views, fewest, most : int
        Number of distinct views, and the interval that it is uncertain by.
    share : (views,) float64 array
        Of the particles that each view holds, largest first.
    classes : tuple of (classes of a view) from 0
        In that order, the largest class first.
    """

    views: int
    fewest: int
    most: int
    share: NDArray[np.float64]
    classes: tuple[tuple[int, ...], ...]

    @property
    def times_usual(self) -> float:
        """Share of the largest view over that of the median view."""
        return float(self.share[0] / np.median(self.share))

    @property
    def is_preferred(self) -> bool:
        """Whether one view holds so much that the specimen seems to prefer it."""
        many = self.views >= FEWEST_VIEWS
        return many and bool(self.share[0] >= LARGE_SHARE) and self.times_usual >= TIMES_USUAL


def view_coverage(
    distances: NDArray[np.float64],
    errors: NDArray[np.float64],
    sizes: NDArray[np.int64],
    counted: NDArray[np.bool_],
) -> ViewCoverage | None:
    """The views of some of k classes; None where none of them shows enough to tell.

    Parameters
    ----------
    distances, errors : (k, k)
        Of :func:`.class_distances.distances_and_errors`.
    sizes : (k,) particles
    counted : (k,) bool
        Classes to leave in: those that are not junk.
    """
    others = distances + 2.0 * np.eye(len(distances))
    rows = np.flatnonzero(counted & (sizes > 0) & (others < 1.0).any(axis=1))
    if not len(rows):
        return None
    kept, error, held = distances[np.ix_(rows, rows)], errors[np.ix_(rows, rows)], sizes[rows]
    off = DEVIATIONS * error
    fewest, most = (superclasses(np.clip(kept + sign * off, 0.0, 1.0), held).count for sign in (-1, 1))
    found = superclasses(kept, held, CUT)
    share = np.bincount(found.label, weights=held) / held.sum()
    order = np.argsort(-share, kind="stable")
    by_size = np.argsort(-held, kind="stable")
    classes = tuple(tuple(rows[by_size[found.label[by_size] == view]].tolist()) for view in order)
    return ViewCoverage(found.count, min(fewest, found.count), max(most, found.count), share[order], classes)
