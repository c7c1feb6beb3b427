"""How much of the true view a class average shows: correlation and FRC after the best in-plane alignment.

Kept apart from the classification's own alignment and FRC.  What both share is how a spectrum is turned: the cubic
B-splines of :mod:`.fourier.interpolation`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ..fourier.cross_correlation import CroppedBand
from ..fourier.interpolation import spectrum_coefficients
from ..fourier.rigid_transforms import Poses, apply, invert
from ..simulation.image_formation import SPECTRUM_PADDING, turned_spectra

COARSE_RADIUS, COARSE_STEP_DEG = 15.0, 4.0
FINE_OFFSETS_DEG = np.arange(-4.0, 4.01, 0.5)
FRC_THRESHOLD = 0.5
SYMMETRY_CORRELATION = 0.97
HIGHEST_FOLD = 12


@dataclass(frozen=True)
class AverageQuality:
    """Of k averages against the view that each shows.

    Parameters
    ----------
    correlation : (k,) inside the circle that fits the box
    frc : (k, D//2 + 1)
    resolution_angstrom : (k,) where the FRC first falls below 0.5
    """

    correlation: NDArray[np.float64]
    frc: NDArray[np.float64]
    resolution_angstrom: NDArray[np.float64]


def circle(box: int) -> torch.Tensor:
    """The disc inside the box with an edge three pixels soft: (box, box)."""
    offset = torch.arange(box, dtype=torch.float32) - box // 2
    radius = (offset[None, :] ** 2 + offset[:, None] ** 2).sqrt()
    return ((box / 2 - 1 - radius) / 3.0).clamp(0.0, 1.0)


def _inside(images: torch.Tensor) -> torch.Tensor:
    """The images (n, D, D) less their mean inside the disc, zero outside."""
    mask = circle(images.shape[-1])
    mean = (images * mask).sum(dim=(-2, -1), keepdim=True) / mask.sum()
    return (images - mean) * mask


def _best_fit(
    coefficients: torch.Tensor, target: torch.Tensor, psi_deg: NDArray[np.float64], radius: float
) -> tuple[float, float, float]:
    """Of the angles, the one (and its shift in x and y) at which the view fits the target (1, D, D) best."""
    band = CroppedBand.below(radius, target.shape[-1])
    turned = turned_spectra(coefficients, np.zeros(len(psi_deg), dtype=np.int64), psi_deg, band.x, band.y)
    maps = band.correlation(band.coefficients(target) * (turned * band.inside).conj())
    score, x, y = band.best_shift(maps, target.shape[-1] / 2)
    best = int(score.argmax())
    return float(psi_deg[best]), float(x[best]), float(y[best])


def align_view(view: torch.Tensor, average: torch.Tensor) -> torch.Tensor:
    """The view (D, D) turned and moved to where it fits the average (D, D) best."""
    box = view.shape[-1]
    coefficients = spectrum_coefficients(_inside(view[None]), SPECTRUM_PADDING)
    target = _inside(average[None])
    coarse, _, _ = _best_fit(coefficients, target, np.arange(0.0, 360.0, COARSE_STEP_DEG), COARSE_RADIUS)
    psi, x, y = _best_fit(coefficients, target, coarse + FINE_OFFSETS_DEG, box / 2)
    return apply(view[None], Poses.single(-psi, x, y))[0]


def ring_correlation(first: torch.Tensor, second: torch.Tensor) -> NDArray[np.float64]:
    """Fourier ring correlation of two images (D, D): (D//2 + 1,), rings one frequency step wide."""
    box = first.shape[-1]
    a, b = (torch.fft.fft2(image.double()) for image in (first, second))
    frequency = torch.fft.fftfreq(box, d=1.0 / box)
    ring = (frequency[None, :] ** 2 + frequency[:, None] ** 2).sqrt().round().long().flatten()
    sums = [
        torch.zeros(int(ring.max()) + 1, dtype=torch.float64).index_add_(0, ring, values.flatten())
        for values in ((a * b.conj()).real, a.abs().square(), b.abs().square())
    ]
    curve = sums[0] / (sums[1] * sums[2]).sqrt().clamp_min(1e-30)
    return np.asarray(curve[: box // 2 + 1].numpy())


def compare(averages: torch.Tensor, views: torch.Tensor, sampling_rate: float) -> AverageQuality:
    """Quality of averages (k, D, D), each against one true view (k, D, D); sampling rate in Å/px."""
    box = averages.shape[-1]
    correlation, curves = [], []
    for average, view in zip(averages, views, strict=True):
        shown, fitted = _inside(average[None])[0], _inside(align_view(view, average)[None])[0]
        norm = float((shown.square().sum() * fitted.square().sum()).sqrt())
        correlation.append(float((shown * fitted).sum()) / norm if norm > 0 else 0.0)
        curves.append(ring_correlation(shown, fitted))
    frc = np.array(curves).reshape(len(averages), box // 2 + 1)
    below = frc[:, 1:] < FRC_THRESHOLD
    ring = np.where(below.any(axis=1), below.argmax(axis=1) + 1, box // 2)
    return AverageQuality(np.array(correlation), frc, box * sampling_rate / ring)


def in_plane_fold(view: torch.Tensor) -> int:
    """The n of the n-fold in-plane symmetry of a centred view (D, D): the highest whose copies all agree."""
    image = _inside(view[None])
    for fold in range(HIGHEST_FOLD, 1, -1):
        angles = 360.0 / fold * np.arange(1, fold // 2 + 1)
        zero = np.zeros(len(angles))
        turned = _inside(apply(image.expand(len(angles), -1, -1), invert(Poses(angles, zero, zero))))
        overlap = (turned * image).sum(dim=(-2, -1)) / image.square().sum().clamp_min(1e-30)
        if float(overlap.min()) > SYMMETRY_CORRELATION:
            return fold
    return 1
