"""Rotation x shift grids and the coarse-to-fine schedule that visits them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ..preprocessing.preprocess import SHIFT_RANGE

ROTATION_STEP_DEG = 8.0
SHIFT_STEP = 5 / 128
"""The paper's first grid (section 2.1): 8 degrees, and 5 pixels in a box of 128."""
LEAST_HALVINGS = 3
EXACT_DEG = 1e-6
"""What rounding may add to a rotation."""
RESOLVED_DEG = 45.0
"""Half a rotation step of this over the radius, the most that a grid is off, moves the band's edge by an eighth of a
turn of phase at 0.32 of the box from the centre."""
GRID_BAND = 11.35
"""Fourier pixels that a grid of that step resolves: 20 Å in the paper's box of 227 Å."""


@dataclass(frozen=True)
class Level:
    """One grid of the schedule.

    Attributes
    ----------
    rotation_step : float
        In degrees; divides 360.
    shift_step : float
        In pixels of the box.
    radius : float
        Band that is compared, in Fourier pixels.
    within : float or None
        Rotations of the level are those within so many degrees of none and of half a turn; None is all.
    still : bool
        Whether poses stay as they are where they are looked at more closely.
    """

    rotation_step: float
    shift_step: float
    radius: float
    within: float | None = None
    still: bool = False

    @property
    def rotations(self) -> int:
        """Of a full turn."""
        return round(360 / self.rotation_step)

    @property
    def searched(self) -> int:
        """Rotations of the level."""
        return len(self.turns())

    def turns(self, device: torch.device | str = "cpu") -> Tensor:
        """Rotations of the level, in steps, (searched,) int64."""
        every = torch.arange(self.rotations, device=device)
        return every if self.within is None else every[self.admits(every)]

    def admits(self, turns: Tensor) -> Tensor:
        """Which rotations (...), in steps, are of the level, (...) bool."""
        if self.within is None:
            return torch.ones_like(turns, dtype=torch.bool)
        off = (turns * self.rotation_step + 90) % 180 - 90
        return off.abs() <= self.within + EXACT_DEG

    def angles(self, device: torch.device | str = "cpu") -> Tensor:
        """Rotations of the level, in radians, (searched,)."""
        return self.turns(device) * math.radians(self.rotation_step)

    def places(self, angles: Tensor) -> Tensor:
        """The rotations of the level that are nearest to angles (...) in radians, counted among them, int64."""
        turn = torch.round(angles / math.radians(self.rotation_step)).long() % self.rotations
        if self.within is None:
            return turn
        order = torch.cumsum(self.admits(torch.arange(self.rotations, device=angles.device)), 0) - 1
        return order.clamp_min(0)[turn]

    def shifts(self, reach: float, device: torch.device | str = "cpu") -> Tensor:
        """The square grid of shifts up to ``reach`` pixels: (s, 2), x before y."""
        steps = math.floor(reach / self.shift_step + 1e-6)
        axis = torch.arange(-steps, steps + 1, device=device) * self.shift_step
        return torch.cartesian_prod(axis, axis)


@dataclass(frozen=True)
class Screen:
    """A first comparison by few components (:mod:`.screening`).

    Attributes
    ----------
    components : int
        Of the PCA, the leading ones.
    sparse : bool
        Whether every other shift is left out.
    margin : float
        How far behind the best a pose may be to be compared with all components.
    """

    components: int
    sparse: bool
    margin: float


@dataclass(frozen=True)
class Schedule:
    """An exhaustive level and the local levels that refine its best poses.

    Attributes
    ----------
    exhaustive : Level
    local : tuple of Level
    reach : float
        Largest shift in x and in y, in pixels.
    screen : Screen or None
        Rules out poses by few components before the others are compared; None compares all.
    learns : bool
        Whether a search of many particles learns a screen of its own where there is none.
    """

    exhaustive: Level
    local: tuple[Level, ...]
    reach: float
    screen: Screen | None = None
    learns: bool = False

    @property
    def is_still(self) -> bool:
        """Whether particles stay where they are."""
        return self.exhaustive.still

    @property
    def final(self) -> Level:
        return self.local[-1] if self.local else self.exhaustive

    @property
    def is_free(self) -> bool:
        """Whether all rotations and shifts are searched."""
        return self.exhaustive.within is None and not self.is_still

    def along(self, degrees: float) -> Schedule:
        """The same with rotations within so many degrees of none and of half a turn."""
        return self._with(within=degrees)

    def at_rest(self) -> Schedule:
        """The same bands with one pose, that of particles which are aligned already."""
        return replace(self._with(rotation_step=360.0, still=True), reach=0.0)

    def _with(self, **changes: Any) -> Schedule:
        first, *local = (replace(level, **changes) for level in (self.exhaustive, *self.local))
        return replace(self, exhaustive=first, local=tuple(local))


def nested_schedule(box: int, radius: float, fineness: float = 1.0) -> Schedule:
    """Grids that halve from 8 degrees and 5/128 of the box, or that over ``fineness``, each on its own band.

    They halve three times at least (to one degree and 0.6 pixels of 128 where ``fineness`` is 1), and until the grid
    resolves ``radius``.  The bands grow evenly, on a logarithmic scale, from ``GRID_BAND`` times the root of
    ``fineness`` to ``radius``.
    """
    first = min(GRID_BAND * math.sqrt(fineness), radius)
    turn, shift = ROTATION_STEP_DEG / fineness, SHIFT_STEP * box / fineness
    halvings = max(LEAST_HALVINGS, math.ceil(math.log2(turn * radius / RESOLVED_DEG)))
    # The last band is the whole one, not what a power rounds it to.
    radii = [*(first * (radius / first) ** (i / halvings) for i in range(halvings)), radius]
    levels = [Level(turn / 2**i, shift / 2**i, one) for i, one in enumerate(radii)]
    return Schedule(levels[0], tuple(levels[1:]), SHIFT_RANGE * box + 1e-6)
