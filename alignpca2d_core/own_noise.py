"""What a particle finds of its own noise in the average that it is a member of, taken off.

The average of n particles holds an n-th of each one's noise.  At the pose at which a particle went into it that adds
to its score; at another pose the noise meets itself turned and shifted, and the less of it agrees the further.  For
white noise inside a disc of radius ρ, turned by δ and shifted by s, the share on the ring of radius r is

    share = 2·J1(2πρrδ) / (2πρrδ) · J0(2πrs),

the transform of the disc where the ring has moved, and the mean of the shift's phases around it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .fourier import Band
from .matches import Matches, wrapped
from .preprocess import Vectors
from .scoring import Templates


def without_own(found: Matches, particles: Vectors, templates: Templates, before: Matches, mask: Tensor) -> Matches:
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
    own = (particles.q * templates.own[before.classes[:, 0]])[:, None]
    left = found.clone()
    share = found_again(found, before, particles.band, mask) * (found.classes == before.classes)[:, :, None]
    left.score = found.score - (own * share).sum(2)
    return left


def found_again(found: Matches, before: Matches, band: Band, mask: Tensor) -> Tensor:
    """Share of noise that agrees with itself between the poses of matches (n, kept) and (n, 1), (n, kept, rings)."""
    radius = (mask.sum() / math.pi).sqrt() / band.work_box
    ring = torch.arange(band.rings, device=band.device)
    turned = wrapped(found.angle - before.angle)[:, :, None] * ring
    moved = torch.hypot(found.shift_x - before.shift_x, found.shift_y - before.shift_y)[:, :, None] * ring / band.box
    along = (2 * math.pi * radius * turned.abs()).clamp_min(1e-3)
    return 2 * torch.special.bessel_j1(along) / along * torch.special.bessel_j0(2 * math.pi * moved)
