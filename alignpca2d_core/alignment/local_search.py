"""Poses looked at more closely: one finer grid around each match, on a wider band and with all coefficients."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..fourier.band import Band, as_real
from ..preprocessing.preprocess import Vectors
from ..runtime import distributed
from ..runtime.memory import SCORE_BYTES, halving, tile_bytes
from .class_runs import class_runs
from .matches import Matches, gathered_matches
from .search_grids import Level
from .template_bank import ring_power

ROWS = 256
"""Matches refined at once: more would leave a CPU's cache."""
MANY_ROWS = 8192
"""The same on a GPU."""
COLUMNS = 16
"""Matrices are filled up with zeros to a multiple of so many columns: fewer take CPUs three times as long."""


@dataclass(frozen=True)
class Window:
    """What is looked at around a match.

    Attributes
    ----------
    steps : Tensor
        Rotations of the level, from the nearest one, int64.
    offsets : Tensor
        Shifts in pixels, (s, 2).
    ramps : Tensor
        Phases of these shifts as real columns, filled up with zeros, (2m, s or more).
    level : Level
    """

    steps: Tensor
    offsets: Tensor
    ramps: Tensor
    level: Level

    @staticmethod
    def make(band: Band, level: Level, around: int) -> Window:
        """So many steps of the level to each side."""
        offsets = level.shifts(around * level.shift_step, band.device)
        ramps = as_real(band.shift_ramps(offsets[:, 0], offsets[:, 1])).T
        steps = torch.arange(-around, around + 1, device=band.device)
        return Window(steps, offsets, F.pad(ramps, (0, -len(offsets) % COLUMNS)).contiguous(), level)


def refine(
    particles: Vectors, references: Tensor, band: Band, level: Level, matches: Matches, around: int = 1
) -> Matches:
    """Look around each match on one finer grid: three rotations and nine shifts, on the level's band.

    ``around=0``, or a level on which poses stay, scores the nearest rotation of the grid at the shift as it is.
    Matches of score -inf stay as they are.
    """
    around = 0 if level.still else around

    def refined(part: slice) -> Matches:
        return _refined(particles.rows(part), references, band, level, matches.rows(part), around)

    return halving(refined, len(matches), lambda parts: Matches.join(parts, 0))


def _refined(
    particles: Vectors, references: Tensor, band: Band, level: Level, matches: Matches, around: int
) -> Matches:
    """The same, where memory holds all that is needed at once."""
    narrow = band.narrowed(level.radius)
    m = len(narrow)
    window, poses = Window.make(narrow, level, around), _Poses(particles, matches)
    power = ring_power(references, band, level.radius)
    live = torch.nonzero(poses.score > -torch.inf)[:, 0]
    together = max(1, tile_bytes(band.device, SCORE_BYTES) // (8 * m * level.rotations))
    rows = ROWS if band.device.type == "cpu" else MANY_ROWS
    for used, runs in class_runs(poses.classes, live, together, rows):
        turned = narrow.rotate_round(references[used, :m], level.rotations).conj_physical_()
        for some, which in runs:
            poses.refine(some, turned, which, window, power)
    return poses.matches


class _Poses:
    """Matches (n, kept) of particles (n), one after another; refined in place."""

    def __init__(self, particles: Vectors, matches: Matches) -> None:
        kept = matches.score.shape[1]
        self.particles, self.matches = particles, matches.clone()
        self.owner = torch.arange(len(matches), device=matches.score.device).repeat_interleave(kept)
        self.classes = matches.classes.flatten()
        changed = (self.matches.angle, self.matches.shift_x, self.matches.shift_y, self.matches.score)
        self.angle, self.shift_x, self.shift_y, self.score = (f.reshape(-1) for f in changed)

    def refine(self, member: Tensor, rotated: Tensor, which: Tensor, window: Window, power: Tensor) -> None:
        """Refine the matches ``member`` (p,).

        ``rotated`` (classes, a, m) are conjugates of all rotations of some classes; ``which`` (p,) are those of the
        matches, and ``power`` (k, rings) is that of all classes.
        """
        particles, owner = self.particles, self.owner[member]
        count, m = rotated.shape[1:]
        nearest = torch.round(self.angle[member] / (2 * torch.pi) * count).long()
        turns = (nearest[:, None] + window.steps) % count
        ramps = particles.band.first(m).shift_ramps(-self.shift_x[member], -self.shift_y[member])
        centred = particles.z[owner, :m] * ramps
        # Re<z, x ramp> over the nine shifts is a product of Re and Im parts with the ramps' own.
        overlap, offsets = centred[:, None] * rotated[which[:, None], turns], window.offsets
        values = (as_real(overlap).flatten(0, 1) @ window.ramps)[:, : len(offsets)]
        if window.level.within is not None and len(window.steps) > 1:
            barred = ~window.level.admits(turns)
            barred &= ~barred.all(1, keepdim=True)  # from outside the window all ways are open
            values = values.view(len(member), -1, len(offsets)).masked_fill(barred[:, :, None], -torch.inf)
        best, place = values.reshape(len(member), -1).max(1)
        turn, shift = place // len(offsets), place % len(offsets)
        self.angle[member] = turns.gather(1, turn[:, None])[:, 0] * (2 * torch.pi / count)
        self.shift_x[member] += offsets[shift, 0]
        self.shift_y[member] += offsets[shift, 1]
        self.score[member] = best - 0.5 * (particles.q[owner] * power[self.classes[member]]).sum(1)


def refined_on_ranks(particles: Vectors, references: Tensor, level: Level, matches: Matches) -> Matches:
    """:func:`refine` with the particles divided over the ranks."""
    mine = distributed.part(len(particles))
    found = refine(particles.rows(mine), references, particles.band, level, matches.rows(mine))
    return gathered_matches(found, mine)
