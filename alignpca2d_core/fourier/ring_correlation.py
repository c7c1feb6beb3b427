"""Fourier ring correlation, the resolution that it states, and the filters made from it."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .band import Band

THRESHOLD = 0.143
"""FRC between averages of two halves at which the signal ends (Rosenthal & Henderson 2003)."""


def fourier_ring_correlation(first: Tensor, second: Tensor, band: Band) -> Tensor:
    """FRC (..., rings) of vectors (..., m): Re<a, b> / (|a| |b|) on each ring; 0 where a ring is empty."""
    cross = band.ring_sum((first * second.conj()).real)
    power = band.ring_sum(first.abs() ** 2) * band.ring_sum(second.abs() ** 2)
    return torch.where(power > 0, cross / power.clamp_min(1e-30).sqrt(), 0.0)


def smoothed(frc: Tensor) -> Tensor:
    """Each FRC (..., rings) as means of three rings, weighted 1, 2, 1, without the dips that chance makes."""
    ends = torch.cat((frc[..., 1:2], frc[..., 1:], frc[..., -1:]), -1)
    means = 0.25 * (ends[..., :-2] + 2 * ends[..., 1:-1] + ends[..., 2:])
    return torch.cat((frc[..., :1], means), -1)


def cutoff_ring(frc: Tensor, threshold: float = THRESHOLD) -> Tensor:
    """Where each FRC (..., rings) first falls below the threshold, between rings; the last ring if never.

    The origin is left out: its correlation is 1 or -1 whatever the images.
    """
    curve = frc[..., 1:]
    below = curve < threshold
    first = torch.where(below.any(-1), below.int().argmax(-1), curve.shape[-1] - 1)
    previous = (first - 1).clamp_min(0)
    high, low = (curve.gather(-1, i[..., None])[..., 0] for i in (previous, first))
    slope = torch.where((low < threshold) & (high > low), (high - threshold) / (high - low).clamp_min(1e-6), 1.0)
    return previous + 1 + slope.clamp(0, 1) * (first > previous)


def resolution_angstrom(frc: Tensor, box: int, sampling_rate: float) -> Tensor:
    """Resolution in Å of each FRC (..., rings): box x pixel size / ring of the cut-off."""
    return box * sampling_rate / cutoff_ring(frc).clamp_min(1.0)


def wiener_shrinkage(frc: Tensor) -> Tensor:
    """Share of signal 2 FRC / (1 + FRC) in the average of both halves (..., rings), smoothed over rings.

    Multiplying an average by it gives the least expected squared error (Wiener); small or blurred classes
    are thereby kept from fitting their own noise.
    """
    padded = torch.nn.functional.pad(frc[..., None, 1:].flatten(0, -3), (2, 2), mode="replicate")
    kernel = (3.0 - torch.arange(-2, 3, device=frc.device).abs()) / 9
    smooth = torch.nn.functional.conv1d(padded, kernel[None, None]).reshape(*frc.shape[:-1], -1).clamp(0, 1)
    share = 2 * smooth / (1 + smooth)
    return torch.cat((share[..., :1], share), dim=-1)


def emphasis_filter(cutoff: Tensor, rings: int, sharpening: Tensor, exponent: Tensor) -> Tensor:
    """W^(1/2) of eq. 6 for each class: (k, rings), from f_c, gamma and p of shape (k,), f_c in rings."""
    f = torch.arange(rings, device=cutoff.device) / cutoff[:, None]
    low_pass = torch.exp(-math.log(2) * f**2)
    rise = ((1 - torch.cos(math.pi * f)) / 2) ** exponent[:, None]
    return torch.where(f <= 1, low_pass * (1 + (sharpening[:, None] - 1) * rise), 0.0)


def adapted_filter(averages: Tensor, frc: Tensor, band: Band) -> Tensor:
    """Eq. 6 with f_c, p and gamma adapted to each class: (k, rings).

    p grows linearly with the resolution from 1 at the coarsest to 2 at the band's edge; gamma is the
    largest amplification, up to 4, that does not raise the energy above that of the unfiltered average.
    """
    cutoff = cutoff_ring(frc).clamp_min(2.0)
    exponent = 1 + cutoff / band.radius
    power = band.ring_sum(averages.abs() ** 2)
    candidates = torch.linspace(4.0, 1.0, 13, device=averages.device)
    chosen = torch.zeros_like(frc)
    open_ = torch.ones(len(frc), dtype=torch.bool, device=frc.device)
    for gamma in candidates:
        weights = emphasis_filter(cutoff, band.rings, gamma.expand_as(cutoff), exponent)
        fits = open_ & (((weights**2 * power).sum(-1) <= power.sum(-1)) | (gamma == candidates[-1]))
        chosen[fits] = weights[fits]
        open_ &= ~fits
    return chosen
