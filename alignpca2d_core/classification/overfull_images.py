"""Images that hold more than the others of their micrograph: aggregates, which their misfit alone does not tell.

What the fit leaves and the power of the coarsest rings both depend on how thick the ice is and on the CTF, which all
images of a micrograph share.  So each is held against the median of its micrograph, and both count together.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ..preprocessing.preprocess import Vectors
from .class_quantiles import medians
from .junk_limits import FAR_MISFIT, upper_deviation

COARSE = slice(1, 4)
"""Rings whose power counts."""
FEWEST = 8
"""Images of a micrograph that its medians are taken of; where there are fewer, those of all images are."""


class CoarsePower(NamedTuple):
    """Power of the coarsest rings of particles over that of noise, (n,), and the number of their micrograph, (n,)."""

    power: Tensor
    micrograph: Tensor

    def overfull(self, misfit: Tensor) -> Tensor:
        """Which leave more (n,) and have more coarse power than is usual in their micrograph, (n,) bool."""
        return far_in_both(misfit, self.power, self.micrograph)


def coarse_power(particles: Vectors) -> Tensor:
    """Power of the coarsest rings over that of noise, (n,)."""
    band = particles.band
    noise = particles.q[:, COARSE] @ band.ring_sizes[COARSE]
    return band.ring_sum(particles.z.abs() ** 2)[:, COARSE].sum(1) / noise.clamp_min(1e-6)


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
