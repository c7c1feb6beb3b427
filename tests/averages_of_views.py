"""Averages of known views: bright spots at random places, turned, moved, mirrored, with noise and the FRC of halves."""

from __future__ import annotations

import numpy as np
import torch

from alignpca2d_core.fourier.band import Band
from alignpca2d_core.fourier.ring_correlation import fourier_ring_correlation

BOX = 48


def view(seed: int) -> np.ndarray:
    """Places of twelve spots within a particle, in pixels from the middle, (12, 2)."""
    rng = np.random.default_rng(seed)
    radius, angle = 13 * np.sqrt(rng.uniform(0, 1, 12)), rng.uniform(0, 2 * np.pi, 12)
    places = np.stack([radius * np.cos(angle), 0.7 * radius * np.sin(angle)], axis=1)
    return np.asarray(places - places.mean(0))


def average(
    spots: np.ndarray, turn: float = 0.0, shift: tuple[float, float] = (0, 0), mirror: bool = False
) -> np.ndarray:
    """Spots turned by so many degrees, moved and mirrored, as an image (BOX, BOX)."""
    cosine, sine = np.cos(np.deg2rad(turn)), np.sin(np.deg2rad(turn))
    x, y = spots.T * [[-1.0 if mirror else 1.0], [1.0]]
    x, y = cosine * x - sine * y + shift[0], sine * x + cosine * y + shift[1]
    rows, columns = np.mgrid[:BOX, :BOX] - BOX // 2
    near = (columns - x[:, None, None]) ** 2 + (rows - y[:, None, None]) ** 2
    return np.asarray(np.exp(-near / (2 * 1.6**2)).sum(0))


def noisy(images: list[np.ndarray], noise: float = 0.1, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Averages (k, BOX, BOX) of two halves with noise of their own, and the halves' FRC (k, rings)."""
    rng = np.random.default_rng(seed)
    clean = np.stack(images)
    halves = [clean + noise * np.sqrt(2) * rng.normal(size=clean.shape) for _ in range(2)]
    band = Band.make(BOX, (BOX - 1) // 2)
    first, second = (band.to_vectors(torch.from_numpy(half.astype(np.float32))) for half in halves)
    frc = np.zeros((len(clean), BOX // 2 + 1))
    frc[:, : band.rings] = fourier_ring_correlation(first, second, band).numpy()
    return (0.5 * (halves[0] + halves[1])).astype(np.float32), frc
