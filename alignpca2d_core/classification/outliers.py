"""Images that hold something beside what their class shows, near the particle: by their misfit, in all and inside."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..alignment.matches import Matches
from ..averaging.inner_misfit import inner_misfit
from ..averaging.placement import Placement
from ..averaging.second_particle import Comparison
from ..averaging.usable_particles import UsableParticles, spread
from .junk_limits import misfit_limit

USUAL = 1000
"""Particles that say what is usual inside."""


def inner_misfits(
    matches: Matches, members: UsableParticles, chosen: NDArray[np.int64], comparison: Comparison
) -> Tensor:
    """What the fit leaves inside the averages' mask of some particles (positions), of all ranks, (p,)."""
    none = torch.zeros(0, device=members.band.device)
    return members.told(chosen, lambda some, own: inner_misfit(own, matches.rows(some), comparison), none)


def outliers(
    placement: Placement, members: UsableParticles, comparison: Comparison, most: float
) -> tuple[Tensor, float]:
    """Particles (positions) of a misfit beyond ``most``, and beyond what is usual inside; and the limit inside."""
    usual = inner_misfits(placement.matches, members, spread(len(members), USUAL), comparison)
    limit = misfit_limit(usual)
    over = torch.nonzero(placement.misfit > most)[:, 0]
    inside = inner_misfits(placement.matches, members, over.cpu().numpy(), comparison)
    return over[inside > limit], limit
