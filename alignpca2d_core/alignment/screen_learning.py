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
from .screening import FirstScores, Screening
from .search_grids import Schedule, Screen
from .template_bank import Bank, scoring_type

RISK = 0.002
"""Share of the particles that may miss their best pose."""
SCREENS = (Screen(64, True, 0.0), Screen(48, True, 0.0))
"""Screens to choose from, by the number of multiplications that they leave."""
HAIR, TINY = 1e-4, 1e-6
"""More than is needed, as the same score comes out rounded otherwise in another batch; and in place of nothing."""
LEAST_WORK, LEAST_FAST_WORK = 1.5e7, 6e7
"""Multiplications a particle below which comparing all poses is as fast, in float32 and in fast bfloat16."""


def pays(bank: Bank, schedule: Schedule) -> bool:
    """Whether a bank is searched faster with a screen: on a CPU, and where there is much to be ruled out.

    A GPU multiplies dense matrices faster than it gathers, and each launch costs it.
    """
    device = bank.templates.device
    work = bank.templates.numel() * len(bank.level.shifts(schedule.reach))
    least = LEAST_WORK if scoring_type(device) == torch.float32 else LEAST_FAST_WORK
    return device.type == "cpu" and work >= least


def learned_screen(particles: Vectors, found: Matches, bank: Bank, schedule: Schedule) -> Screen:
    """The cheapest screen that lets the best poses ``found`` (n, kept) in a full search of particles (n) through.

    All but so many as :data:`RISK` allows.
    """
    largest = max(1, math.floor(RISK * (len(particles) + 1)))
    tried = []
    for screen in SCREENS:
        screening = Screening(bank, schedule, screen)
        first = screening.first_scores(particles)
        margin = float(needed(found, first, screening).topk(largest).values[-1])
        tried.append((operations(first, screening, margin), replace(screen, margin=margin)))
    return min(tried, key=lambda one: one[0])[1]


def needed(found: Matches, first: FirstScores, screening: Screening) -> Tensor:
    """The margin at which the points of the grid next to the best of matches (n, kept) are on the shortlist, (n,)."""
    level, reach = screening.bank.level, screening.side // 2
    best = found.best(1)
    pair = best.classes * level.searched + level.places(best.angle)
    x, y = (torch.round(f / level.shift_step).long().clamp(-reach, reach) for f in (best.shift_x, best.shift_y))
    shift = (x + reach) * screening.side + y + reach
    listed = torch.minimum(first.pairs.gather(1, pair), first.shifts.gather(1, shift))
    return ((first.best - listed) / first.unit.clamp_min(TINY))[:, 0] * (1 + HAIR)


def operations(first: FirstScores, screening: Screening, margin: float) -> float:
    """Multiplications a particle: of the first products, of shifting, and of the products with what is listed."""
    features, components = screening.bank.axes.components_.shape
    columns = screening.columns.shape[1]
    screened = len(screening.shown) * screening.columns.shape[0] * (columns + features)
    pairs, shifts = (one.sum(1).double() for one in first.listed(margin))
    return screened + float((shifts * components * (features + pairs)).mean())
