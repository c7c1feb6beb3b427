"""The numbers of classes that are made again: a choice of classes, and the eye, go by them."""

from __future__ import annotations

import torch
from torch import Tensor


def in_numbers_of(before: Tensor, now: Tensor, order: Tensor) -> Tensor:
    """An order of new classes in which each stands where the old one that it shares most particles with stood.

    Parameters
    ----------
    before, now : (n,) int64 Tensor
        Old and new class of the same particles, from 0; -1 for none.
    order : (k,) int64 Tensor
        The new classes; those that share nothing with an old one fill what is free in this order.

    Returns
    -------
    (k,) int64
    """
    count = len(order)
    both = (before >= 0) & (before < count) & (now >= 0)
    shared = torch.bincount(now[both] * count + before[both], minlength=count * count).reshape(count, count)
    found = torch.full((count,), -1, dtype=torch.int64)
    for _ in range(count):
        new, old = divmod(int(shared.argmax()), count)
        if not shared[new, old]:
            break
        found[old] = new
        shared[new], shared[:, old] = 0, 0
    left = order[~torch.isin(order, found)]
    found[found < 0] = left
    return found
