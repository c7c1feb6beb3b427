"""Matches class by class, so that what all of a class need is made once."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

Run = tuple[Tensor, Tensor]


def class_runs(classes: Tensor, members: Tensor, together: int, rows: int) -> Iterator[tuple[Tensor, list[Run]]]:
    """Some members of n, those of up to ``together`` classes at once.

    Parameters
    ----------
    classes : (n,) int64 Tensor
    members : (p,) int64 Tensor
        Which of the n.
    together, rows : int
        Classes, and members of them, at once.

    Yields
    ------
    The classes, and their members ``rows`` at a time, with the place of each member's class among these classes.
    """
    ordered = members[torch.argsort(classes[members], stable=True)]
    used, counts = torch.unique_consecutive(classes[ordered], return_counts=True)
    place = torch.repeat_interleave(torch.arange(len(used), device=used.device), counts, output_size=len(ordered))
    ends = counts.cumsum(0)[together - 1 : len(used) - 1 : together].tolist()
    for number, (some, where) in enumerate(zip(ordered.tensor_split(ends), place.tensor_split(ends), strict=True)):
        first = number * together
        yield used[first : first + together], list(zip(some.split(rows), (where - first).split(rows), strict=True))
