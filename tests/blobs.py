"""Images known by a formula: Gaussian spots, which can be turned and moved without interpolation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from alignpca2d_core.fourier.band import Band
from alignpca2d_core.preprocessing.preprocess import Vectors

Spot = tuple[float, float, float, float]
"""Position x and y and width as shares of the box, and height."""

THREE: tuple[Spot, ...] = ((0.0, 0.02, 0.09, 1.0), (0.2, -0.05, 0.05, 0.8), (-0.08, 0.17, 0.06, 0.6))
BAR: tuple[Spot, ...] = ((-0.2, 0.0, 0.06, 1.0), (0.0, 0.0, 0.06, 1.0), (0.2, 0.03, 0.06, 0.7))
TRIANGLE: tuple[Spot, ...] = ((-0.15, -0.12, 0.06, 1.0), (0.16, -0.1, 0.06, 0.8), (0.0, 0.18, 0.06, 1.0))
CORNER: tuple[Spot, ...] = ((0.0, 0.0, 0.07, 1.2), (0.0, 0.22, 0.05, 0.8), (0.2, 0.0, 0.05, 0.5))


def spots(
    box: int, places: Sequence[Spot] = THREE, angle: float = 0.0, shift: tuple[float, float] = (0.0, 0.0)
) -> NDArray[np.float32]:
    """The image (box, box) of some spots, turned about pixel box // 2 from x towards y, then shifted by pixels."""
    y, x = np.mgrid[:box, :box].astype(np.float64) - box // 2
    cosine, sine = np.cos(angle), np.sin(angle)
    image = np.zeros((box, box))
    for px, py, width, height in places:
        cx = box * (cosine * px - sine * py) + shift[0]
        cy = box * (sine * px + cosine * py) + shift[1]
        image += height * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * (width * box) ** 2))
    return image.astype(np.float32)


def stack(box: int, places: Sequence[Spot], poses: Tensor) -> Tensor:
    """Spots in poses (n, 3) of angle in radians and shift in pixels: (n, box, box)."""
    images = [spots(box, places, angle, (x, y)) for angle, x, y in poses.tolist()]
    return torch.from_numpy(np.stack(images))


def random_poses(count: int, reach: float, seed: int = 0) -> Tensor:
    """Angles over the whole circle and shifts up to ``reach`` pixels, (count, 3)."""
    generator = torch.Generator().manual_seed(seed)
    unit = torch.rand(count, 3, generator=generator)
    return torch.cat((unit[:, :1] * 2 * torch.pi, (2 * unit[:, 1:] - 1) * reach), dim=1)


def as_particles(images: Tensor, band: Band, noise: float = 0.0, seed: int = 0) -> Vectors:
    """Images (n, box, box) as particles without a CTF; noise of that standard deviation per real feature."""
    z = band.to_vectors(images)
    if noise:
        z = z + noise * 2**0.5 * torch.randn(z.shape, dtype=z.dtype, generator=torch.Generator().manual_seed(seed))
    return Vectors(z, torch.ones(len(z), band.rings), band)
