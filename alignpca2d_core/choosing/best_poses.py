"""The rotation and shift at which two images agree best: on a grid that coarse rings resolve, then on finer ones."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..fourier.band import Band, as_real
from ..runtime.memory import in_pieces

COARSE_RADIUS, FINE_RADIUS = 10.0, 16.0
"""Fourier pixels that the first grid compares, and the last."""
FIRST_TURNS, LAST_TURNS = 60, 240
FIRST_SHIFT = 1 / 40
"""Of the box: moves the first band's edge by a quarter of a turn of phase."""
SHIFT_STEPS = 3
MOST_VALUES = 1 << 25
"""Products held at once."""


@dataclass(frozen=True)
class GridPoses:
    """Poses of p pairs: how many steps of the last grid the first is turned and the second moved, (p,) each."""

    turn: Tensor
    x: Tensor
    y: Tensor

    def __getitem__(self, part: slice | Tensor) -> GridPoses:
        return GridPoses(self.turn[part], self.x[part], self.y[part])

    def angle(self) -> Tensor:
        """What the first is turned by, in radians from x towards y, (p,) float64."""
        return self.turn.double() * (2 * math.pi / LAST_TURNS)

    def shift(self, box: int) -> Tensor:
        """What the second is moved by, in pixels of the box, (p, 2) float64."""
        return torch.stack((self.x, self.y), 1).double() * last_shift(box)


def last_shift(box: int) -> float:
    """Step of the last grid's shifts, pixels."""
    return FIRST_SHIFT * box * FIRST_TURNS / LAST_TURNS


def first_poses(turned: Tensor, others: Tensor, band: Band) -> tuple[Tensor, Tensor]:
    """Every pair's best agreement on the first grid, and the place of its pose for :func:`poses_at`: (k, n) each.

    Parameters
    ----------
    turned : (k, LAST_TURNS, m)
        The first images' vectors, turned all round.
    others : (n, m)
    band : Band
        Of radius FINE_RADIUS, of which the coarse rings are compared.
    """
    coarse = band.narrowed(COARSE_RADIUS)
    m, every, count = len(coarse), LAST_TURNS // FIRST_TURNS, len(turned)
    steps = _first_shifts()
    ramps = coarse.shift_ramps(*(steps.T * (FIRST_SHIFT * band.box)))
    moved = as_real(others[:, None, :m] * ramps).flatten(0, 1)
    templates = as_real(turned[:, ::every, :m])
    value = torch.empty(count, len(others))
    place = torch.empty(count, len(others), dtype=torch.int64)

    def compare(part: slice) -> None:
        products = templates[part].flatten(0, 1) @ moved.T
        products = products.view(-1, FIRST_TURNS, len(others), len(steps)).permute(0, 2, 1, 3).flatten(2)
        value[part], place[part] = products.max(2)

    in_pieces(compare, count, max(1, MOST_VALUES // (FIRST_TURNS * len(moved))))
    return value, place


def _first_shifts() -> Tensor:
    """Steps of the first grid in x and y, (s, 2)."""
    axis = torch.arange(-SHIFT_STEPS, SHIFT_STEPS + 1)
    return torch.cartesian_prod(axis, axis)


def poses_at(place: Tensor) -> GridPoses:
    """The poses of the first grid at places (p,) of it."""
    steps = _first_shifts()
    x, y = (steps[place % len(steps)] * round(LAST_TURNS / FIRST_TURNS)).T
    return GridPoses(place // len(steps) * (LAST_TURNS // FIRST_TURNS), x, y)


def refined(turned: Tensor, others: Tensor, band: Band, pairs: Tensor, poses: GridPoses) -> tuple[Tensor, GridPoses]:
    """The largest agreement of each pair (2, p) near its pose, on grids that halve twice, (p,), and where it is."""
    best = torch.empty(pairs.shape[1])
    turn, x, y = (torch.empty(pairs.shape[1], dtype=torch.int64) for _ in range(3))

    def refine(part: slice) -> None:
        best[part], found = _refined(turned, others, band, pairs[:, part], poses[part])
        turn[part], x[part], y[part] = found.turn, found.x, found.y

    in_pieces(refine, pairs.shape[1], max(1, MOST_VALUES // (8 * len(band))))
    return best, GridPoses(turn, x, y)


def _refined(turned: Tensor, others: Tensor, band: Band, pairs: Tensor, poses: GridPoses) -> tuple[Tensor, GridPoses]:
    first, other = pairs
    unit, best = last_shift(band.box), torch.full((len(first),), -math.inf)
    step = LAST_TURNS // FIRST_TURNS // 2
    while step:
        moved = others[other] * band.shift_ramps(poses.x * unit, poses.y * unit)
        steps = torch.tensor([-step, 0, step])
        near = torch.cartesian_prod(steps, steps)
        ramps = band.shift_ramps(*(near.T * unit))
        turns = [(poses.turn + turn) % LAST_TURNS for turn in steps.tolist()]
        scores = torch.cat([((turned[first, turn].conj() * moved) @ ramps.T).real for turn in turns], dim=1)
        best, place = scores.max(1)
        turn = torch.stack(turns, 1).gather(1, (place // len(near))[:, None])[:, 0]
        x, y = near[place % len(near)].T
        poses = GridPoses(turn, poses.x + x, poses.y + y)
        step //= 2
    return best, poses
