"""Superclasses: classes that show nearly one view, grouped by the distances between their averages.

Average linkage (UPGMA, Sokal & Michener 1958): the two groups whose members are nearest to each other on average are
joined, again and again.  Groups that are joined below a cut are one superclass.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..results.result_files import Classification
from .class_distances import class_distances

CUT = 0.2
"""Distance up to which classes are one superclass; on realistic sets that of views some 15° apart (docs/choosing)."""


@dataclass(frozen=True)
class Superclasses:
    """The groups of k classes.

    Attributes
    ----------
    joins : tuple of (int, int, float)
        What is joined, in order, and at which distance: classes from 0, and k + i for what the i-th join made.
    order : (k,) int64 array
        The classes such that those of a group stand side by side, larger groups first.
    label : (k,) int64 array
        Superclass of each class, from 0, in that order.
    """

    joins: tuple[tuple[int, int, float], ...]
    order: NDArray[np.int64]
    label: NDArray[np.int64]

    @property
    def count(self) -> int:
        """Number of superclasses."""
        return int(self.label.max(initial=-1)) + 1


def superclasses_of(result: Classification, mirror: bool = False) -> Superclasses:
    """The superclasses of a classification; ``mirror``: mirror images are one view."""
    return superclasses(class_distances(result.averages, result.frc, mirror), result.sizes)


def superclasses(distances: NDArray[np.float64], sizes: NDArray[np.int64], cut: float = CUT) -> Superclasses:
    """Group classes by their distances.

    Parameters
    ----------
    distances : (k, k)
        Symmetric.
    sizes : (k,)
        Particles of each class: the larger of two groups comes first.
    cut : float
    """
    joins = average_linkage(distances)
    count = len(distances)
    members: list[list[int]] = [[k] for k in range(count)]
    group = list(range(count))
    for first, second, height in joins:
        pair = sorted((members[first], members[second]), key=lambda some: -int(sizes[some].sum()))
        members.append([*pair[0], *pair[1]])
        if height <= cut:
            for k in members[-1]:
                group[k] = count + len(members)
    roots = [members[-1]] if joins else members
    order = np.array([k for root in roots for k in root], dtype=np.int64)
    _, first_place, label = np.unique(np.array(group)[order], return_index=True, return_inverse=True)
    rank = np.empty(len(first_place), dtype=np.int64)
    rank[np.argsort(first_place)] = np.arange(len(first_place))
    labels = np.empty(count, dtype=np.int64)
    labels[order] = rank[label.reshape(-1)]
    return Superclasses(tuple(joins), order, labels)


def average_linkage(distances: NDArray[np.float64]) -> list[tuple[int, int, float]]:
    """The joins of k items with distances (k, k), nearest first, as :class:`Superclasses` names them."""
    count = len(distances)
    table = np.array(distances, dtype=np.float64)
    np.fill_diagonal(table, np.inf)
    number, weight = np.arange(count), np.ones(count)
    joins: list[tuple[int, int, float]] = []
    for made in range(count - 1):
        i, j = sorted(divmod(int(table.argmin()), count))
        joins.append((int(number[i]), int(number[j]), float(table[i, j])))
        table[i] = (weight[i] * table[i] + weight[j] * table[j]) / (weight[i] + weight[j])
        table[:, i] = table[i]
        table[i, i] = np.inf
        table[j] = table[:, j] = np.inf
        weight[i] += weight[j]
        number[i] = count + made
    return joins
