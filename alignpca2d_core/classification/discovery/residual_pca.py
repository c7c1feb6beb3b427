"""Homogeneity of a class: is it one view, and if not, which particles belong together?

Residuals of the members, brought into the class frame, hold nothing but noise when the class is one view.
Two views leave a direction along which they differ: the leading eigenvector of the residuals.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from ...alignment.matches import Matches
from ...averaging.class_averages import TURNED_AT_ONCE, from_work_images
from ...fourier.band import Band, as_real
from ...fourier.rotation import turned_images
from ...preprocessing.preprocess import Vectors

COARSE_DETAIL, NEIGHBOURHOOD = 0.2, 0.15
"""Shares of the band's radius: below the first is shape rather than detail; the second says how far detail reaches."""


def aligned_residuals(particles: Vectors, matches: Matches, mean: Tensor, mask: Tensor) -> Tensor:
    """Real features (n, 2m) of z - q·mean in the class frame, masked.

    ``mean`` (k, m) are those of the classes, ``mask`` (work_box, work_box) is of the particles' band.
    """
    parts = _residual_images(particles, matches, mean)
    return torch.cat([_features(particles.band, images, mask) for _, images in parts])


def turned_residuals(
    particles: Vectors, matches: Matches, mean: Tensor, mask: Tensor, turns: Tensor
) -> tuple[Tensor, Tensor]:
    """The same, and the same again with each residual turned further by an angle in radians of ``turns`` (n,).

    That takes away whatever the members have in common and leaves noise, mask and CTF as they are.
    """
    band = particles.band
    plain, turned = [], []
    for rows, images in _residual_images(particles, matches, mean):
        plain.append(_features(band, images, mask))
        turned.append(_features(band, turned_images(band, from_work_images(band, images), turns[rows]), mask))
    return torch.cat(plain), torch.cat(turned)


def _residual_images(particles: Vectors, matches: Matches, mean: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Positions of some particles, and the images (rows, work_box, work_box) of z - q·mean in the class frame."""
    band = particles.band
    for rows in torch.arange(len(particles), device=band.device).split(TURNED_AT_ONCE):
        back = particles.z[rows] * band.shift_ramps(matches.shift_x[rows, 0], matches.shift_y[rows, 0]).conj()
        images = turned_images(band, back, -matches.angle[rows, 0])
        own = mean[matches.classes[rows, 0]]
        yield rows, images - band.to_images(particles.q[rows][:, band.ring] * own, band.work_box)


def _features(band: Band, images: Tensor, mask: Tensor) -> Tensor:
    return as_real(band.compared(from_work_images(band, images * mask)))


def detail_mask(means: Tensor, band: Band) -> Tensor:
    """Where averages (k, m) have detail, as a mask of 1 at most, (k, work_box, work_box); they are filtered (eq. 9).

    What tells apart views that look alike is the same detail a little displaced.  It lies where there is detail:
    elsewhere residuals hold noise alone, in which a small difference drowns.  The mask is the root of the detail's
    strength; weights that enter twice, in a product of two residuals, are then as the strength.
    """
    box, ring = band.work_box, band.ring.float()
    detail = band.to_images(means * (1 - torch.exp(-((ring / (COARSE_DETAIL * band.radius)) ** 2))), box).square()
    around = torch.exp(-((ring / (NEIGHBOURHOOD * band.radius)) ** 2))
    power = band.to_images(from_work_images(band, detail) * around, box).clamp_min(0)
    return (power / power.amax((-2, -1), keepdim=True).clamp_min(1e-30)) ** 0.25


class Leading(NamedTuple):
    """The direction in which particles differ most.

    Attributes
    ----------
    along : Tensor
        How far each of n particles lies along it, (n,).
    power : float
        The leading eigenvalue: the variance along it, times n, where it is more than noise.
    clearness : float
        The same over the next eigenvalue.
    """

    along: Tensor
    power: float
    clearness: float


def leading_direction(features: Tensor, most: int) -> Leading:
    """The direction in which n particles differ most; features are (n, d).

    No particle is compared with itself: its own power, which is mostly noise, says nothing of what it shares with
    others.  The direction is found from ``most`` of them at most.
    """
    centred = features - features.mean(0)
    step = -(-len(centred) // most)
    some = centred[::step]
    values, vectors = torch.linalg.eigh((some @ some.T).fill_diagonal_(0.0))
    leading = vectors[:, -1]
    along = centred @ (leading @ some)
    along[::step] -= leading * some.square().sum(1)
    clearness = values[-1] / values[-2 if len(values) > 1 else -1].clamp_min(1e-20)
    power, clear = torch.stack((values[-1], clearness)).tolist()
    return Leading(along, power * len(centred) / len(some), clear)
