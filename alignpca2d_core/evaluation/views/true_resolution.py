"""How far class averages show what their members truly are: FRC with clean projections of the specimen.

A class average is held against the clean average of its members' true views, each turned and moved as the member was:
what is left between the two is noise, and what the program did to it.  It is also held against the clean view of
its class: what is left then is the spread of the members as well.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from ...fourier.cross_correlation import CroppedBand
from ...fourier.ctf import half_plane_frequencies
from ...fourier.rfft_places import fast_length
from ...maps.density import Density
from ..average_quality import FRC_THRESHOLD, ring_correlation
from .placement import Placement
from .view_truth import ViewTruth

MASK_RADIUS, MASK_EDGE_PX = 0.42, 3.0
MOST_MEMBERS = 60
COARSE_RADIUS_SHARE = 0.2
"""Where averages are moved to fit: frequencies below this share of the sampling frequency."""
FloatArray = NDArray[np.float64]


def clean_average(density: Density, rotations: FloatArray, moved_px: FloatArray, box: int, rate: float) -> torch.Tensor:
    """The mean (box, box) of the density's projections under rotations (n, 3, 3), moved by (n, 2) pixels."""
    wide = fast_length(box + box // 2)
    x, y = half_plane_frequencies(wide, 1.0)
    low = wide // 2 - box // 2
    total = torch.zeros(len(x), dtype=torch.complex128)
    for start in range(0, len(rotations), 64):
        images = density.project(rotations[start : start + 64], box, rate)
        images = torch.nn.functional.pad(images, [low, wide - box - low] * 2)
        moved = torch.as_tensor(moved_px[start : start + 64])
        phase = -2.0 * torch.pi * (moved[:, :1] * x + moved[:, 1:] * y)
        total += (torch.fft.rfft2(images).flatten(1) * torch.polar(torch.ones_like(phase), phase)).sum(0)
    mean: torch.Tensor = torch.fft.irfft2(total.reshape(wide, -1), s=(wide, wide)) / len(rotations)
    return mean[low : low + box, low : low + box].float()


def half_crossing_angstrom(average: torch.Tensor, clean: torch.Tensor, sampling_rate: float) -> float:
    """Å at which the FRC of two images (D, D), smoothed over three rings, falls below 0.5."""
    mask = soft_disc(average.shape[-1])
    frc = ring_correlation(average * mask, clean * mask)
    smooth = np.convolve(np.r_[frc[:1], frc, frc[-1:]], [0.25, 0.5, 0.25], "valid")
    below = np.flatnonzero(smooth[1:] < FRC_THRESHOLD) + 1
    ring = float(len(frc) - 1)
    if len(below):
        at = int(below[0])
        above, under = smooth[at - 1], smooth[at]
        step = (above - FRC_THRESHOLD) / (above - under) if at > 1 and above > FRC_THRESHOLD else 1.0
        ring = at - 1 + float(step)
    return average.shape[-1] * sampling_rate / ring


def soft_disc(box: int) -> torch.Tensor:
    """The disc that holds the particle, its edge three pixels soft: (box, box)."""
    axis = torch.arange(box, dtype=torch.float32) - box // 2
    radius = (axis[None, :] ** 2 + axis[:, None] ** 2).sqrt()
    return ((MASK_RADIUS * box - radius) / MASK_EDGE_PX).clamp(0.0, 1.0)


def moved_to_fit(clean: torch.Tensor, average: torch.Tensor) -> torch.Tensor:
    """The image (D, D) moved to where it fits the average best."""
    box = average.shape[-1]
    band, mask = CroppedBand.below(COARSE_RADIUS_SHARE * box, box), soft_disc(box)
    product = band.coefficients((average * mask)[None])[0] * band.coefficients((clean * mask)[None])[0].conj()
    _, x, y = band.best_shift(band.correlation(product), box / 2)
    fx, fy = half_plane_frequencies(box, 1.0)
    phase = -2.0 * torch.pi * (float(x) * fx + float(y) * fy)
    ramp = torch.polar(torch.ones_like(phase), phase).reshape(box, -1)
    moved: torch.Tensor = torch.fft.irfft2(torch.fft.rfft2(clean.double()) * ramp, s=(box, box))
    return moved.float()


def resolutions(
    averages: torch.Tensor, classes: NDArray[np.int64], among: NDArray[np.bool_], placed: Placement, truth: ViewTruth
) -> dict[int, tuple[float, float]]:
    """Of each class that has a pose: Å against the clean average of its members, and against its clean view."""
    found = {}
    if truth.density is None or averages.shape[-1] != truth.box:
        return {}
    for label, pose in placed.class_poses.items():
        if label >= len(averages):
            continue
        members = np.flatnonzero((classes == label) & among)
        members = members[np.linspace(0, len(members) - 1, min(len(members), MOST_MEMBERS)).astype(int)]
        box, rate = truth.box, truth.sampling_rate
        blurred = clean_average(truth.density, placed.turned[members], placed.left_px[members], box, rate)
        view = clean_average(truth.density, pose[None], placed.class_offsets_px[label][None], box, rate)
        average = averages[label]
        found[label] = (
            half_crossing_angstrom(average, blurred, rate),
            half_crossing_angstrom(average, moved_to_fit(view, average), rate),
        )
    return found
