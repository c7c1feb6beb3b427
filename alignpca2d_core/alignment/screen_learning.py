"""How to screen poses by few components: learned from particles that are searched in full.

With the r-th largest of the margins that n particles need, the next particle of their kind misses its best pose with
a probability of r in n + 1.  Of r the largest is taken that keeps this below ``RISK``, or 1.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from ..preprocessing.preprocess import Vectors
from .matches import Matches
from .scoring_precision import scoring_time
from .screening import PICKED, FirstScores, Screening
from .search_grids import Schedule, Screen
from .template_bank import Bank

RISK, SWEEP_RISK = 0.002, 0.02
"""Share of the particles that may miss their best pose; and in rounds whose averages are made again at once."""
SCREENS = (Screen(64, True, 0.0), Screen(48, True, 0.0))
"""Screens to choose from, by :func:`time_of_screen`."""
HAIR, TINY = 1e-4, 1e-6
"""More than is needed, as the same score comes out rounded otherwise in another batch; and in place of nothing."""
LEAST_WORK = 1.5e7
"""Multiplications a particle, times :func:`.scoring_time`, below which comparing all poses is as fast."""


def pays(bank: Bank, schedule: Schedule) -> bool:
    """Whether a bank is searched faster with a screen: on a CPU, and where there is much to be ruled out.

    A GPU multiplies dense matrices faster than it gathers, and each launch costs it.
    """
    device = bank.templates.device
    work = bank.templates.numel() * len(bank.level.shifts(schedule.reach))
    return device.type == "cpu" and work * scoring_time(device) >= LEAST_WORK


def learned_screen(
    particles: Vectors, found: Matches, bank: Bank, schedule: Schedule, risk: float = RISK
) -> Screen | None:
    """The cheapest screen that lets the best poses ``found`` (n, kept) in a full search of particles (n) through.

    All but so many as ``risk``, a share, allows.  None where a full search is cheaper: of many classes that are alike,
    or of particles that are little but noise, too many poses may win.
    """
    largest = max(1, math.floor(risk * (len(particles) + 1)))
    tried = []
    for screen in SCREENS:
        screening = Screening(bank, schedule, screen)
        first = screening.first_scores(particles)
        margin = float(needed(found, first, screening).topk(largest).values[-1])
        tried.append((time_of_screen(first, screening, margin), replace(screen, margin=margin)))
    time, cheapest = min(tried, key=lambda one: one[0])
    return cheapest if time < screening.full_time else None


def needed(found: Matches, first: FirstScores, screening: Screening) -> Tensor:
    """The margin at which the points of the grid next to the best of matches (n, kept) are on the shortlist, (n,)."""
    level, reach = screening.bank.level, screening.side // 2
    best = found.best(1)
    pair = best.classes * level.searched + level.places(best.angle)
    x, y = (torch.round(f / level.shift_step).long().clamp(-reach, reach) for f in (best.shift_x, best.shift_y))
    shift = (x + reach) * screening.side + y + reach
    listed = torch.minimum(first.pairs.gather(1, pair), first.shifts.gather(1, shift))
    return ((first.best - listed) / first.unit.clamp_min(TINY))[:, 0] * (1 + HAIR)


def time_of_screen(first: FirstScores, screening: Screening, margin: float) -> float:
    """Time a particle, in multiplications with all templates in float32."""
    shifting, scoring = screening.shown_work
    listed = (PICKED * screening.listed_work(*first.listed(margin))).clamp_max(screening.full_time)
    return shifting + scoring_time(screening.shifts.device) * scoring + float(listed.mean())
