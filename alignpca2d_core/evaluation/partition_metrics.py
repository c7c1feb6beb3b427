"""How far two labellings of the same particles agree: purity, ARI, NMI, matched classes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[Any]


def contingency(first: Labels, second: Labels) -> NDArray[np.int64]:
    """How many items have each pair of labels: (distinct in ``first``, distinct in ``second``), labels sorted.

    Raises
    ------
    ValueError
        When the labellings are not of one length.
    """
    if len(first) != len(second):
        raise ValueError(f"{len(first)} labels cannot be compared with {len(second)}")
    rows, row_of = np.unique(first, return_inverse=True)
    columns, column_of = np.unique(second, return_inverse=True)
    flat = np.bincount(row_of * len(columns) + column_of, minlength=len(rows) * len(columns))
    return flat.reshape(len(rows), len(columns)).astype(np.int64)


def purity(classes: Labels, truth: Labels) -> float:
    """Share of the items that carry the truth of the majority of their class; NaN without items."""
    counts = contingency(classes, truth)
    return float(counts.max(axis=1).sum() / counts.sum()) if counts.size else float("nan")


def adjusted_rand_index(first: Labels, second: Labels) -> float:
    """Hubert & Arabie (1985): 1 for equal partitions, 0 on average for independent ones."""
    counts = contingency(first, second).astype(np.float64)
    together = _pairs(counts).sum()
    in_first, in_second = _pairs(counts.sum(axis=1)).sum(), _pairs(counts.sum(axis=0)).sum()
    expected = in_first * in_second / max(float(_pairs(counts.sum())), 1.0)
    most = 0.5 * (in_first + in_second)
    return float((together - expected) / (most - expected)) if most != expected else 1.0


def _pairs(counts: NDArray[np.float64] | np.float64) -> NDArray[np.float64]:
    return np.asarray(counts * (counts - 1.0) / 2.0)


def normalised_mutual_information(first: Labels, second: Labels) -> float:
    """Mutual information over the mean of the two entropies; 1 when both are constant."""
    joint = contingency(first, second).astype(np.float64)
    joint /= max(joint.sum(), 1.0)
    entropies = _entropy(joint.sum(axis=1)) + _entropy(joint.sum(axis=0))
    information = entropies - _entropy(joint.ravel())
    return float(np.clip(2.0 * information / entropies, 0.0, 1.0)) if entropies > 0 else 1.0


def _entropy(probabilities: NDArray[np.float64]) -> float:
    some = probabilities[probabilities > 0]
    return float(-(some * np.log(some)).sum())


def matched_classes(counts: NDArray[np.int64]) -> list[tuple[int, int]]:
    """The pairing of rows with columns that has most particles in common, empty pairs left out.

    The Hungarian algorithm with potentials (Jonker & Volgenant 1987), O(n³).

    Parameters
    ----------
    counts : (r, c) from :func:`contingency`

    Returns
    -------
    list of (row, column), sorted by row.
    """
    if counts.shape[0] > counts.shape[1]:
        return sorted((row, column) for column, row in matched_classes(counts.T))
    cost = counts.max(initial=0) - counts.astype(np.float64)
    row_count, column_count = cost.shape
    of_column = np.full(column_count, -1)
    row_price, column_price = np.zeros(row_count), np.zeros(column_count)
    for row in range(row_count):
        _augment(cost, row, of_column, row_price, column_price)
    pairs = [(int(row), column) for column, row in enumerate(of_column) if row >= 0]
    return sorted((row, column) for row, column in pairs if counts[row, column] > 0)


def _augment(
    cost: NDArray[np.float64],
    new_row: int,
    of_column: NDArray[np.int64],
    row_price: NDArray[np.float64],
    column_price: NDArray[np.float64],
) -> None:
    """Give ``new_row`` a column along the cheapest alternating path; changes the last three arguments."""
    distance = cost[new_row] - row_price[new_row] - column_price
    reached_from = np.full(len(distance), -1)
    done = np.zeros(len(distance), dtype=bool)
    while True:
        column = int(np.where(done, np.inf, distance).argmin())
        done[column] = True
        if of_column[column] < 0:
            break
        through = distance[column] + cost[of_column[column]] - row_price[of_column[column]] - column_price
        shorter = ~done & (through < distance)
        distance[shorter], reached_from[shorter] = through[shorter], column
    shortest = distance[column]
    row_price[new_row] += shortest
    row_price[of_column[done & (of_column >= 0)]] += (shortest - distance)[done & (of_column >= 0)]
    column_price[done] -= shortest - distance[done]
    while reached_from[column] >= 0:
        of_column[column] = of_column[reached_from[column]]
        column = reached_from[column]
    of_column[column] = new_row
