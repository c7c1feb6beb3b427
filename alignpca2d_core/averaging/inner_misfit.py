"""What a fit leaves near the particle, inside the mask that averages have: a neighbour in the corner is no aggregate.

The misfit v (:mod:`.noise_scores`) counts all that the search window lets in.  Where it is large, the residual is moved
to where its particle is and masked as averages are, with its noise made white before,

    v_inside = sum_ring q·P·|mask·(z − q·x)/sqrt(q)|² / sum_ring q·P,      P = |x|² of the ring,

in units of the noise inside.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..alignment.matches import Matches
from ..preprocessing.preprocess import Vectors
from .class_averages import masked
from .second_particle import Comparison, residuals
from .templates import features

ROWS = 256
"""Residuals that are masked at once: their images are large."""
LEAST_WEIGHT = 1e-3
"""CTF² of a ring, over its mean, below which it is not made white any further."""


def inner_misfit(particles: Vectors, matches: Matches, comparison: Comparison) -> Tensor:
    """The misfit inside the mask of each particle with its best match (n, kept), (n,)."""
    band, best = particles.band, matches.column(0)
    if not len(particles):
        return particles.q.new_zeros(0)
    left = residuals(particles, comparison.templates, comparison.search, best)
    back = band.shift_ramps(-best.shift_x[:, 0], -best.shift_y[:, 0])
    white = left.z * back / particles.q.clamp_min(LEAST_WEIGHT).sqrt()[:, band.ring]
    weight = particles.q * comparison.templates.power[best.classes[:, 0]]
    found = []
    for some, own in zip(white.split(ROWS), weight.split(ROWS), strict=True):
        power = band.ring_sum(masked(some, band, comparison.mask).abs() ** 2)
        noise = features(band) * comparison.mask.square().mean()
        found.append((own * power / noise.clamp_min(1e-6)).sum(1) / own.sum(1).clamp_min(1e-20))
    return torch.cat(found)


def outliers_among(
    particles: Vectors, matches: Matches, misfit: Tensor, limits: tuple[float, float], comparison: Comparison
) -> Tensor:
    """Particles (positions) of n whose misfits, of all (n,) and inside, are both beyond their limits."""
    over = torch.nonzero(misfit > limits[0])[:, 0]
    return over[inner_misfit(particles.rows(over), matches.rows(over), comparison) > limits[1]]
