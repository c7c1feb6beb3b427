"""The members of each class: which agree with it best and worst, and how they are turned and moved."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..fourier.rigid_transforms import invert
from ..results.result_files import Classification

MOST_SHOWN, LEAST_SHOWN = 8, 3
PICTURE_BUDGET = 3200
"""Particles shown on one page, best and worst of all classes together."""
ANGLE_BINS, OFFSET_BINS = 36, 17


@dataclass(frozen=True)
class Examples:
    """Rows of the particles to show of each class, best first and worst first; disjoint."""

    best: list[NDArray[np.int64]]
    worst: list[NDArray[np.int64]]

    @property
    def parts(self) -> list[NDArray[np.int64]]:
        """All of them, class by class, the best of each before the worst."""
        return [part for pair in zip(self.best, self.worst, strict=True) for part in pair]


def examples(classification: Classification) -> Examples:
    """The members with the highest and the lowest scores; fewer of each where there are many classes."""
    classes = len(classification)
    most = min(MOST_SHOWN, max(LEAST_SHOWN, PICTURE_BUDGET // (2 * max(1, classes))))
    order = np.lexsort((-classification.score, classification.assignments))
    edges = np.searchsorted(classification.assignments[order], np.arange(classes + 1))
    best, worst = [], []
    for first, last in pairwise(edges):
        count = min(most, (last - first + 1) // 2)
        best.append(order[first : first + count])
        worst.append(order[max(first + count, last - count) : last][::-1])
    return Examples(best, worst)


@dataclass(frozen=True)
class Spread:
    """How members are turned and where they lie in their boxes.

    Attributes
    ----------
    angle : (k, ANGLE_BINS) int64 array
        Members by in-plane angle ψ, from −180°.
    offset : (k, OFFSET_BINS, OFFSET_BINS) int64 array
        Members by where the middle of the average lies in their image, rows are y; the edges hold what is beyond.
    reach_px : float
        Offset at the outer edge of the outermost bins, pixels.
    """

    angle: NDArray[np.int64]
    offset: NDArray[np.int64]
    reach_px: float


def spread(classification: Classification, counted: NDArray[np.bool_] | None = None) -> Spread:
    """Count the members of every class by angle and by offset; the classes ``counted``, (k,), set the reach."""
    used = classification.assignments >= 0
    number, poses = classification.assignments[used], classification.poses[used]
    lying = invert(poses)
    x, y = lying.shift_x_px, lying.shift_y_px
    among = np.ones(len(x), dtype=bool) if counted is None or not counted.any() else counted[number]
    far = np.abs(np.concatenate((x[among], y[among])))
    reach = float(np.ceil(max(1.0, np.percentile(far, 99.5)))) if len(far) else 1.0
    angle = np.floor((poses.psi_deg + 180.0) / 360.0 * ANGLE_BINS).astype(np.int64) % ANGLE_BINS
    column, row = (_bin(values, reach) for values in (x, y))
    classes = len(classification)
    return Spread(
        _count(number * ANGLE_BINS + angle, (classes, ANGLE_BINS)),
        _count((number * OFFSET_BINS + row) * OFFSET_BINS + column, (classes, OFFSET_BINS, OFFSET_BINS)),
        reach,
    )


def _bin(values: NDArray[np.float64], reach: float) -> NDArray[np.int64]:
    place = np.floor((values + reach) / (2 * reach) * OFFSET_BINS).astype(np.int64)
    return place.clip(0, OFFSET_BINS - 1)


def _count(index: NDArray[Any], shape: tuple[int, ...]) -> NDArray[np.int64]:
    return np.bincount(index, minlength=int(np.prod(shape))).reshape(shape)
