"""Quantiles of what particles have, class by class, for all classes at once."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Ordered:
    """Values in ascending order, class by class.

    Attributes
    ----------
    values : Tensor
        (n,)
    first, sizes : Tensor
        Where each class begins, and how many values it has, (count,) int64.
    """

    values: Tensor
    first: Tensor
    sizes: Tensor

    @staticmethod
    def of(values: Tensor, classes: Tensor, count: int, counted: Tensor) -> Ordered:
        """Of values (n,) in classes (n,), those that are counted (n,)."""
        group = torch.where(counted, classes, count)
        order = torch.argsort(values, stable=True)
        order = order[torch.argsort(group[order], stable=True)]
        sizes = torch.bincount(group, minlength=count + 1)[:count]
        return Ordered(values[order], sizes.cumsum(0) - sizes, sizes)

    def at(self, place: Tensor) -> Tensor:
        """The value at a place from 0 in each class, (count,); NaN where it has none."""
        found = self.values[(self.first + place).clamp(0, len(self.values) - 1)]
        return torch.where(self.sizes > 0, found, torch.nan)

    def medians(self) -> Tensor:
        """The lower median of each class, (count,)."""
        return self.at((self.sizes - 1) // 2)

    def quantiles(self, share: float) -> Tensor:
        """The value that a share of each class lies below, between two of them where it must be, (count,)."""
        rank = share * (self.sizes - 1).clamp_min(0).to(self.values.dtype)
        below = rank.long()
        return self.at(below).lerp(self.at(torch.minimum(below + 1, self.sizes - 1)), rank - below)


def medians(values: Tensor, classes: Tensor, count: int) -> Tensor:
    """Median of the values (n,) in each class, (count,); NaN where a class has no members."""
    return Ordered.of(values, classes, count, ~values.isnan()).medians()
