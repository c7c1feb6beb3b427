"""How to screen poses by few components: learned from particles that are searched in full.

With the r-th largest of the margins that n particles need, the next particle of their kind misses its best pose with
a probability of r in n + 1.  Of r the largest is taken that keeps this below ``RISK``, or 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..preprocessing.preprocess import Vectors
from .matches import Matches
from .screening import FirstScores, Screening
from .search_grids import Schedule, Screen
from .template_bank import Bank, scoring_type

RISK = 0.002
"""Share of the particles that may miss their best pose."""
SCREENS = (Screen(64, True, 0.0), Screen(48, True, 0.0))
"""Screens to choose from, by the number of multiplications that they leave."""
HAIR, TINY = 1e-4, 1e-6
"""More than is needed, as the same score comes out rounded otherwise in another batch; and in place of nothing."""
PICKED, FAST = 2.6, 0.25
"""Time of a multiplication with picked templates, and with all in fast bfloat16, over that with all in float32."""
LEAST_WORK = 1.5e7
"""Multiplications a particle, in that unit, below which comparing all poses is as fast."""


def pays(bank: Bank, schedule: Schedule) -> bool:
    """Whether a bank is searched faster with a screen: on a CPU, and where there is much to be ruled out.

    A GPU multiplies dense matrices faster than it gathers, and each launch costs it.
    """
    device = bank.templates.device
    work = bank.templates.numel() * len(bank.level.shifts(schedule.reach))
    return device.type == "cpu" and work * scoring_time(device) >= LEAST_WORK


def scoring_time(device: torch.device) -> float:
    """Of a multiplication of scores, over that in float32."""
    return 1.0 if scoring_type(device) == torch.float32 else FAST


def learned_screen(particles: Vectors, found: Matches, bank: Bank, schedule: Schedule) -> Screen | None:
    """The cheapest screen that lets the best poses ``found`` (n, kept) in a full search of particles (n) through.

    All but so many as :data:`RISK` allows.  None where a full search is cheaper: of many classes that are alike, or of
    particles that are little but noise, too many poses may win.
    """
    largest = max(1, math.floor(RISK * (len(particles) + 1)))
    tried = []
    for screen in SCREENS:
        screening = Screening(bank, schedule, screen)
        first = screening.first_scores(particles)
        margin = float(needed(found, first, screening).topk(largest).values[-1])
        work = work_of_screen(first, screening, margin)
        tried.append((work.seconds(bank.templates.device), replace(screen, margin=margin)))
    seconds, cheapest = min(tried, key=lambda one: one[0])
    return cheapest if seconds < work_in_full(bank, schedule).seconds(bank.templates.device) else None


def needed(found: Matches, first: FirstScores, screening: Screening) -> Tensor:
    """The margin at which the points of the grid next to the best of matches (n, kept) are on the shortlist, (n,)."""
    level, reach = screening.bank.level, screening.side // 2
    best = found.best(1)
    pair = best.classes * level.searched + level.places(best.angle)
    x, y = (torch.round(f / level.shift_step).long().clamp(-reach, reach) for f in (best.shift_x, best.shift_y))
    shift = (x + reach) * screening.side + y + reach
    listed = torch.minimum(first.pairs.gather(1, pair), first.shifts.gather(1, shift))
    return ((first.best - listed) / first.unit.clamp_min(TINY))[:, 0] * (1 + HAIR)


@dataclass(frozen=True)
class Work:
    """Multiplications a particle.

    Attributes
    ----------
    shifting : float
        To bring it to all shifts as coefficients.
    scoring : float
        With templates, of the :func:`.scoring_type`.
    listed : float
        To bring it to the shifts listed, and with the templates listed, which are picked first.
    """

    shifting: float
    scoring: float
    listed: float = 0.0

    @property
    def multiplications(self) -> float:
        return self.shifting + self.scoring + self.listed

    def seconds(self, device: torch.device) -> float:
        """In units of a multiplication of large matrices in float32."""
        return self.shifting + scoring_time(device) * self.scoring + PICKED * self.listed


def work_in_full(bank: Bank, schedule: Schedule) -> Work:
    """Of a search without a screen."""
    shifts, (features, components) = len(bank.level.shifts(schedule.reach)), bank.axes.components_.shape
    return Work(shifts * components * features, shifts * components * len(bank.templates))


def work_of_screen(first: FirstScores, screening: Screening, margin: float) -> Work:
    """Of first scores, and of what they leave at a margin."""
    features, components = screening.bank.axes.components_.shape
    shown = len(screening.shown) * screening.columns.shape[0]
    pairs, shifts = (one.sum(1).double() for one in first.listed(margin))
    listed = float((shifts * components * (features + pairs)).mean())
    return Work(shown * features, shown * screening.columns.shape[1], listed)
