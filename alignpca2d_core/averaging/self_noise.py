"""Scores of particles in their own class, less what their own noise in its average adds.

The average of n particles contains 1/n of the noise of each.  At the pose at which a particle was added, this raises
its score; at another pose the noise is compared with itself turned and shifted, and correlates less the further.  For
white noise inside a disc of radius ρ, turned by δ and shifted by s, the share on the ring of radius r is

    share = 2·J1(2πρrδ) / (2πρrδ) · J0(2πrs),

the transform of the disc where the ring has moved, and the mean of the shift's phases around it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..alignment.matches import Matches, wrapped
from ..fourier.band import Band
from ..preprocessing.preprocess import Vectors
from .templates import Templates


def without_self_noise(
    found: Matches, particles: Vectors, templates: Templates, before: Matches, mask: Tensor
) -> Matches:
    """The matches (n, kept) with the scores that they would have in averages without the particle.

    Parameters
    ----------
    found : Matches
        In the order of the particles.
    templates : Templates
        Of the averages that the particles were members of.
    before : Matches
        How they were that, (n, 1).
    mask : Tensor
        Of the averages, (work_box, work_box).
    """
    rows, kept = torch.nonzero(found.classes == before.classes, as_tuple=True)
    x = (found.shift_x - before.shift_x)[rows, kept]
    y = (found.shift_y - before.shift_y)[rows, kept]
    turned = wrapped((found.angle - before.angle)[rows, kept])
    own = particles.q[rows] * templates.own[before.classes[rows, 0]]
    left = found.clone()
    left.score[rows, kept] -= (own * self_noise_share(turned, torch.hypot(x, y), particles.band, mask)).sum(1)
    return left


def self_noise_share(turned: Tensor, moved: Tensor, band: Band, mask: Tensor) -> Tensor:
    """Share of noise that agrees with itself turned by radians (p,) and moved by pixels (p,), by ring: (p, rings)."""
    radius = (mask.sum() / math.pi).sqrt() / band.work_box
    ring = torch.arange(band.rings, device=band.device)
    along = (2 * math.pi * radius * turned.abs()[:, None] * ring).clamp_min(1e-3)
    across = 2 * math.pi * moved[:, None] * ring / band.box
    return 2 * torch.special.bessel_j1(along) / along * torch.special.bessel_j0(across)
