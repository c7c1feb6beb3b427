"""Which poses can still win, told from few components; only these are compared with all of them.

The axes of the references (:mod:`.reference_axes`) come in the order of their power, so that the first tell most.  They
are compared at every other rotation, and at all shifts or at those on the squares of one colour of a chessboard; a pose
between these counts for the best of its neighbours.  With c the scores so found, c* the best and c0 the mean of a
particle, a pair of class and rotation, or a shift, is on the particle's shortlist where

    c >= c* - margin sqrt(c* - c0) .

How wide the margin must be is learned: see :mod:`.screen_learning`.  The root has it vary least among particles of
different contrast.  A shortlist depends on nothing but its particle and the references.  For a particle that is little
but noise most poses are on it; it is compared with all, as picking what to multiply takes time.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..fourier.band import as_real
from ..preprocessing.preprocess import Vectors
from ..runtime.memory import SCORE_BYTES
from .fourier_pca import FourierPCA
from .scoring_precision import scoring_time, scoring_type
from .search_grids import Schedule, Screen
from .template_bank import Bank, shifted

PICKED = 2.6
"""Time of a multiplication with templates that are picked, over that of one with all in float32."""
RIVALS = 4
"""So many classes have a pose on the shortlist of every particle."""
ROWS = 256
"""Particles whose first scores are held at once."""
LEAST_ROWS = 8
"""And at least so many in one product."""


def _greatest(tile: Tensor) -> Tensor:
    """The maximum over the second dimension of (n, s, g), which is overwritten: several times faster than ``amax``."""
    left = tile.shape[1]
    while left > 1:
        half = left // 2
        torch.maximum(tile[:, :half], tile[:, left - half : left], out=tile[:, :half])
        left -= half
    return tile[:, 0]


@dataclass(frozen=True)
class FirstScores:
    """Scores of the leading components.

    Attributes
    ----------
    pairs : Tensor
        Of every class and rotation, at the best shift, (n, classes * rotations).
    shifts : Tensor
        Of every shift, in the best class and rotation, (n, shifts).
    """

    pairs: Tensor
    shifts: Tensor

    @property
    def best(self) -> Tensor:
        """The best of each particle, (n, 1)."""
        return self.pairs.amax(1, keepdim=True)

    @property
    def unit(self) -> Tensor:
        """What margins are counted in, (n, 1)."""
        return (self.best - self.pairs.mean(1, keepdim=True)).sqrt()

    def listed(self, margin: float) -> tuple[Tensor, Tensor]:
        """Pairs (n, classes * rotations) and shifts (n, shifts) that are close enough to the best, bool."""
        least = self.best - margin * self.unit
        return self.pairs >= least, self.shifts >= least


class Screening:
    """The templates of some references, to be compared by few components first.

    Parameters
    ----------
    bank : Bank
    schedule : Schedule
    screen : Screen
    """

    def __init__(self, bank: Bank, schedule: Schedule, screen: Screen) -> None:
        self.bank, self.screen = bank, screen
        self.shifts = bank.level.shifts(schedule.reach, bank.band.device)
        self.ramps = bank.band.shift_ramps(-self.shifts[:, 0], -self.shifts[:, 1])
        self._shown_rotations()
        self._shown_shifts()

    def _shown_rotations(self) -> None:
        """Leading components of the templates that are compared first, and their share of the power."""
        level, axes, share = self.bank.level, self.bank.axes, self.bank.share
        self.every = 2 if level.within is None and level.rotations % 2 == 0 else 1
        shown = self.bank.templates.view(*share.shape, -1)[:, :: self.every]
        leading = shown[:, :, : self.screen.components]
        part = leading.square().sum(2) / shown.square().sum(2)
        self.leading_share = share[:, :: self.every] * part.nan_to_num()
        self.columns = leading.flatten(0, 1).T.to(scoring_type(self.bank.band.device)).contiguous()
        kept = axes.components_[:, : self.screen.components].contiguous()
        self.leading = FourierPCA.restored(1.0, kept, axes.spectrum_)

    def _shown_shifts(self) -> None:
        """Shifts that are compared first."""
        self.side = round(len(self.shifts) ** 0.5)
        place = torch.arange(len(self.shifts), device=self.shifts.device)
        self.shown = place[(place // self.side + place % self.side) % 2 == 0] if self.screen.sparse else place

    def first_scores(self, particles: Vectors) -> FirstScores:
        """By the leading components."""
        z = particles.z[:, : len(self.bank.band)]
        lines = shifted(z, self.bank.band, self.shifts[self.shown], self.leading).to(self.columns.dtype)
        power = particles.q @ self.bank.power.T
        taxes = (power[:, :, None] * self.leading_share).flatten(1).to(self.columns.dtype)
        shown, columns = len(self.shown), self.columns.shape[1]
        rows = max(LEAST_ROWS, SCORE_BYTES // (self.columns.element_size() * shown * columns))
        space = self.columns.new_empty(min(rows, len(z)) * shown, columns)
        pairs, moves = z.real.new_empty(len(z), columns), z.real.new_empty(len(z), shown)
        for start in range(0, len(z), rows):
            some = slice(start, start + rows)
            own = lines[some].flatten(0, 1)
            tile = torch.mm(own, self.columns, out=space[: len(own)]).view(-1, shown, columns)
            tile -= taxes[some, None]
            moves[some] = tile.amax(2)
            pairs[some] = _greatest(tile)
        return FirstScores(self._between_rotations(pairs), self._between_shifts(moves))

    def _between_rotations(self, pairs: Tensor) -> Tensor:
        """Scores at every rotation, from those at every other one (n, classes * rotations / 2)."""
        if self.every == 1:
            return pairs
        shown = pairs.view(len(pairs), len(self.bank.power), -1)
        return torch.stack((shown, torch.maximum(shown, shown.roll(-1, 2))), 3).flatten(1)

    def _between_shifts(self, moves: Tensor) -> Tensor:
        """Scores at every shift, from those on the squares of one colour."""
        if len(self.shown) == len(self.shifts):
            return moves
        grid = moves.new_full((len(moves), len(self.shifts)), -torch.inf)
        grid[:, self.shown] = moves
        grid = grid.view(-1, self.side, self.side)
        spread = grid.clone()
        for to, source in ((slice(1, None), slice(None, -1)), (slice(None, -1), slice(1, None))):
            spread[:, to] = torch.maximum(spread[:, to], grid[:, source])
            spread[:, :, to] = torch.maximum(spread[:, :, to], grid[:, :, source])
        return spread.flatten(1)

    @property
    def shown_work(self) -> tuple[int, int]:
        """Multiplications a particle before lists are made: to bring it to the shifts shown, and for first scores."""
        each = len(self.shown) * self.columns.shape[0]
        return each * len(self.bank.axes.components_), each * self.columns.shape[1]

    def listed_work(self, pairs: Tensor, shifts: Tensor) -> Tensor:
        """Multiplications with what is listed, :meth:`FirstScores.listed`, of each particle (n,)."""
        features, components = self.bank.axes.components_.shape
        return shifts.sum(1).double() * components * (features + pairs.sum(1).double())

    @property
    def full_work(self) -> tuple[int, int]:
        """Multiplications a particle without lists: to bring it to all shifts, and for all scores."""
        features, components = self.bank.axes.components_.shape
        each = len(self.shifts) * components
        return each * features, each * len(self.bank.templates)

    @property
    def full_time(self) -> float:
        """Of a particle without lists, in multiplications with all templates in float32."""
        shifting, scoring = self.full_work
        return shifting + scoring_time(self.shifts.device) * scoring

    def nearest(self, particles: Vectors, keep: int) -> tuple[tuple[Tensor, Tensor, Tensor], Tensor]:
        """Score, class * rotations + rotation, and shift of the best templates, (n, keep) each.

        Where a shortlist is shorter than that, the rest has the score -inf.  Then the particles, by their numbers, that
        were not compared, as comparing them with all is faster.
        """
        starts = range(0, len(particles), ROWS)
        parts = [self._nearest(particles.rows(slice(start, start + ROWS)), keep) for start in starts]
        scores, pairs, shifts, left = (torch.cat(f) for f in zip(*parts, strict=True))
        return (scores, pairs, shifts), torch.nonzero(left)[:, 0]

    def _nearest(self, particles: Vectors, keep: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        first = self.first_scores(particles)
        listed, moves = first.listed(self.screen.margin)
        best_of_class = first.pairs.view(len(particles), len(self.bank.power), -1).amax(2)
        rivals = best_of_class.topk(min(RIVALS, len(self.bank.power)), dim=1).values
        listed |= first.pairs >= rivals[:, -1:]
        left = PICKED * self.listed_work(listed, moves) > self.full_time
        others = torch.nonzero(~left)[:, 0]
        score = first.pairs.new_full((len(particles), keep), -torch.inf)
        pair, shift = torch.zeros(2, *score.shape, dtype=torch.int64, device=score.device)
        if len(others):
            found = self._best_listed(particles.rows(others), listed[others], moves[others], keep)
            score[others], pair[others], shift[others] = found
        return score, pair, shift, left

    def _best_listed(
        self, particles: Vectors, listed: Tensor, moves: Tensor, keep: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Score, class * rotations + rotation, and shift of the best of what is listed of particles (n), (n, keep)."""
        score, pair, place = self._scored(particles, listed, moves, keep)
        score -= self.bank.penalty(particles.q).gather(1, pair)
        top, order = score.topk(keep, dim=1)
        # The places are those among the listed shifts of the particle.
        row, shift = torch.nonzero(moves, as_tuple=True)
        begin = torch.searchsorted(row, torch.arange(len(particles), device=row.device))
        return top, pair.gather(1, order), shift[begin[:, None] + place.gather(1, order)]

    def _scored(self, particles: Vectors, listed: Tensor, moves: Tensor, least: int) -> tuple[Tensor, Tensor, Tensor]:
        """Products of particles with the templates listed, at the best of the shifts listed; all axes.

        The product, the template's number and the place of the shift among those listed, (n, longest list) each, or
        ``least`` where that is more; -inf behind the end of shorter lists.
        """
        owner, shift = torch.nonzero(moves, as_tuple=True)
        lines = as_real(particles.z[owner, : len(self.bank.band)] * self.ramps[shift]) @ self.bank.axes.components_
        row, template = torch.nonzero(listed, as_tuple=True)
        lengths, widths = listed.sum(1).tolist(), moves.sum(1).tolist()
        score = lines.new_full((len(particles), max(least, *lengths)), -torch.inf)
        place = torch.zeros_like(score, dtype=torch.int64)
        number = torch.zeros_like(place)
        number[row, torch.cat([torch.arange(length, device=row.device) for length in lengths])] = template
        every = zip(lines.split(widths), template.split(lengths), strict=True)
        for i, (own, some) in enumerate(every):
            room = score[i, : len(some)], place[i, : len(some)]
            torch.max(self.bank.templates[some] @ own.T, 1, out=room)
        return score, number, place
