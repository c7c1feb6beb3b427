"""References turned to one angle of a grid for each particle, where few of all angles are asked for.

:meth:`.Band.rotate_round` turns every reference to all angles.  Of a hundred references at five hundred angles two
thousand particles need four in a hundred.  Those with the same angle within a quarter turn are read together.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .band import Band, interpolated

FEWER = 0.5
"""Angles that are asked for over those that would be interpolated, below which turning one by one is faster."""


def is_faster(band: Band, wanted: int, references: int, rotations: int) -> bool:
    """Whether so many turned references are made faster one by one than by turning all; never on a GPU."""
    return band.device.type == "cpu" and wanted < FEWER * references * interpolated(rotations)


def turned_singly(band: Band, references: Tensor, which: Tensor, turns: Tensor, rotations: int) -> Tensor:
    """References (k, m) ``which`` (p,), each by so many steps ``turns`` (p,) of ``rotations`` to a full turn: (p, m).

    Rings that do not count are 0, as in :meth:`.Band.rotate_round`.
    """
    steps = interpolated(rotations)
    index, weights = (one.view(steps, len(band), -1) for one in band.even_taps(rotations))
    nodes = band.nodes(references)
    turned = references.new_empty(len(which), len(band))
    order = torch.argsort(turns % steps, stable=True)
    used, counts = torch.unique_consecutive((turns % steps)[order], return_counts=True)
    for step, rows in zip(used.tolist(), order.split(counts.tolist()), strict=True):
        table = torch.view_as_real(nodes[:, which[rows]]).flatten(1)
        read = F.embedding_bag(index[step], table, per_sample_weights=weights[step], mode="sum")
        turned[rows] = torch.view_as_complex(read.view(len(band), len(rows), 2)).T
    turned *= band.read_unit
    return band.compared(band.quarter_turned(turned, turns // steps) if steps < rotations else turned)
