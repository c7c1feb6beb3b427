"""Images that hold more than the others of their micrograph: aggregates, which their misfit alone does not tell.

What the fit leaves and the power of the coarsest rings both depend on how thick the ice is and on the CTF, which all
images of a micrograph share.  So each is held against the median of its micrograph, and both count together.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..averaging.usable_particles import UsableParticles
from ..runtime import distributed
from .class_quantiles import medians
from .junk_limits import FAR_MISFIT, upper_deviation

COARSE = slice(1, 4)
"""Rings whose power counts."""
FEWEST = 8
"""Images of a micrograph that its medians are taken of; where there are fewer, those of all images are."""


def overfull(members: UsableParticles, misfit: Tensor, micrograph: Tensor) -> Tensor:
    """Which particles (n,) leave more and have more coarse power than is usual in their micrograph, (n,) bool.

    Parameters
    ----------
    members : UsableParticles
    misfit : (n,) Tensor
    micrograph : (n,) int64 Tensor
        Its number, from 0.
    """
    own = [misfit.new_zeros(0)]
    for _, particles in members.batches():
        power = members.band.ring_sum(particles.z.abs() ** 2)[:, COARSE].sum(1)
        noise = members.band.ring_sum(torch.ones_like(particles.z.real))[:, COARSE] * particles.q[:, COARSE]
        own.append(power / noise.sum(1).clamp_min(1e-6))
    coarse = distributed.gathered_tensor(torch.cat(own), members.own_positions())
    return far_in_both(misfit, coarse, micrograph)


def far_in_both(misfit: Tensor, coarse: Tensor, micrograph: Tensor) -> Tensor:
    """Which (n,) are far above the median of their micrograph, by two figures (n,) together."""
    beside = [beside_others(figure.clamp_min(1e-3).log(), micrograph) for figure in (misfit, coarse)]
    both = sum((one / upper_deviation(one) for one in beside), torch.zeros_like(misfit))
    return both > FAR_MISFIT * upper_deviation(both)


def beside_others(figure: Tensor, micrograph: Tensor) -> Tensor:
    """A figure (n,) less the median of the images of the same micrograph, (n,)."""
    count = int(micrograph.max()) + 1
    enough = torch.bincount(micrograph, minlength=count) >= FEWEST
    usual = torch.where(enough, medians(figure, micrograph, count), figure.median())
    return figure - usual[micrograph]
