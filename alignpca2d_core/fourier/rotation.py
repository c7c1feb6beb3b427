"""Vectors to turned images: what brings particles, and sums of them, back into the frame of their class.

Each turned image is read, by cubic convolution (Keys 1981), from one of twice as many pixels as the band needs.  On the
grids of a search many particles are turned alike.  For those, where to read is worked out once, and all are read
together: pixel by pixel instead of image by image.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from ..runtime.memory import in_pieces
from .band import OVERSAMPLING, Band
from .rfft_places import fast_length

CUBIC_A = -0.75
"""The parameter of torch's cubic convolution kernel."""
QUARTER = 9000
"""Steps of 0.01 degrees that rotations within a quarter turn are told apart by."""
TURN = 4 * QUARTER
LEAST_ALIKE = 6
"""Vectors turned alike from which on reading them together is faster."""
AT_ONCE, MANY_AT_ONCE = 128, 2048
"""Images that are turned at once on a CPU, and on a GPU."""


@lru_cache(maxsize=64)
def _cubic_transform(count: int, size: int) -> Tensor:
    """Fourier transform of the kernel at the first ``count`` frequencies of ``size`` samples, (count,).

    Interpolation multiplies by it what is interpolated; dividing beforehand leaves only the aliases.
    """
    fraction = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000
    places = torch.cat([fraction - first for first in (-1, 0, 1, 2)])
    waves = torch.cos(2 * math.pi / size * torch.arange(count, dtype=torch.float64)[:, None] * places)
    return ((waves * torch.cat(_weights(fraction))).sum(-1) / 1000).float()


def _weights(fraction: Tensor) -> tuple[Tensor, ...]:
    """Keys' weights of the four pixels -1, 0, 1, 2 around points at ``fraction`` of a pixel."""
    rest = 1 - fraction
    near, far = (((CUBIC_A + 2) * f - (CUBIC_A + 3)) * f * f + 1 for f in (fraction, rest))
    return CUBIC_A * fraction * rest * rest, near, far, CUBIC_A * rest * fraction * fraction


def steps_of(angles: Tensor) -> Tensor:
    """Angles in radians as steps of 0.01 degrees, from 0 to a full turn, int64."""
    return torch.round(angles * (TURN / (2 * math.pi))).long() % TURN


def turned_images(band: Band, vectors: Tensor, angles: Tensor) -> Tensor:
    """Turn vector i of (n, m) by angle i of (n,), in radians: images (n, work_box, work_box).

    What comes from outside the image is 0.
    """
    steps = steps_of(angles)
    quarters = steps // QUARTER
    rest = angles - quarters * (math.pi / 2)
    images = vectors.new_empty(len(vectors), band.work_box, band.work_box, dtype=torch.float32)
    if vectors.device.type != "cpu":  # nothing is gained there by turning together what is turned alike

        def turn(part: slice) -> None:
            enlarged = _enlarged(band, band.quarter_turned(vectors[part], quarters[part]))
            images[part] = _one_by_one(band, enlarged, rest[part])

        in_pieces(turn, len(vectors), MANY_AT_ONCE)
        return images
    _, group, count = torch.unique(steps % QUARTER, return_inverse=True, return_counts=True)
    lone = (count < LEAST_ALIKE)[group]
    for some in torch.nonzero(lone)[:, 0].split(AT_ONCE) if bool(lone.any()) else ():
        enlarged = _enlarged(band, band.quarter_turned(vectors[some], quarters[some]))
        images[some] = _one_by_one(band, enlarged, rest[some])
    others = torch.nonzero(~lone)[:, 0]
    for some in others[torch.argsort(group[others], stable=True)].split(AT_ONCE) if len(others) else ():
        enlarged = _enlarged(band, band.quarter_turned(vectors[some], quarters[some]))
        counts = torch.unique_consecutive(group[some], return_counts=True)[1].tolist()
        for rows, alike in zip(some.split(counts), enlarged.split(counts), strict=True):
            images[rows] = _together(band, alike, rest[rows[0]])
    return images


def _enlarged(band: Band, vectors: Tensor) -> Tensor:
    """Images (n, size, size) to be read from, sharpened by what reading them blurs."""
    size = fast_length(OVERSAMPLING * band.work_box)

    def blur() -> Tensor:
        response = _cubic_transform(band.edge + 1, size).to(band.device)
        return response[band.kx] * response[band.ky.abs()]

    return band.to_images(vectors / band.kept(("blur", size), blur), size)


def _places(band: Band, size: int, angles: Tensor) -> tuple[Tensor, Tensor]:
    """Column and row, in enlarged images, of each pixel of images turned by angles (...,): (..., pixels) each."""
    small = band.work_box
    axis = (torch.arange(small, device=band.device) - small // 2) * (size / small)
    y, x = (one.flatten() for one in torch.meshgrid(axis, axis, indexing="ij"))
    cosine, sine = torch.cos(angles)[..., None], torch.sin(angles)[..., None]
    return cosine * x + sine * y + size // 2, cosine * y - sine * x + size // 2


def _one_by_one(band: Band, enlarged: Tensor, angles: Tensor) -> Tensor:
    """Images (n, size, size) turned by angle i of (n,)."""
    small, size = band.work_box, enlarged.shape[-1]
    grid = torch.stack(_places(band, size, angles), -1) * (2 / (size - 1)) - 1
    read = F.grid_sample(enlarged[:, None], grid.unflatten(1, (small, small)), mode="bicubic", align_corners=True)
    return read[:, 0]


def _together(band: Band, enlarged: Tensor, angle: Tensor) -> Tensor:
    """Images (n, size, size) all turned by one angle."""
    small, size = band.work_box, enlarged.shape[-1]
    x, y = _places(band, size, angle)
    (columns, weights_x), (rows, weights_y) = _taps(x, size), _taps(y, size)
    index = (rows[:, :, None] * size + columns[:, None]).flatten(1)
    weights = (weights_y[:, :, None] * weights_x[:, None]).flatten(1)
    read = F.embedding_bag(index, enlarged.flatten(1).T.contiguous(), per_sample_weights=weights, mode="sum")
    return read.T.unflatten(1, (small, small))


def _taps(along: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """The four pixels around each point (p,) on an axis of ``size``, and their weights: (p, 4) each."""
    first = along.floor()
    place = first.int()[:, None] + torch.arange(-1, 3, device=along.device, dtype=torch.int32)
    inside = (place >= 0) & (place < size)
    return place.clamp_(0, size - 1), torch.stack(_weights(along - first), -1) * inside
