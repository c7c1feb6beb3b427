"""Whether the CTFs of the metadata are those of the images, and their pixel size too.

Noise gives all particles the same power on a ring; signal gives more to those whose CTF² is large there.  So the
power of a particle on a ring goes with the CTF² of that particle, ring after ring, if the two belong together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..fourier.band import Band
from ..fourier.ctf import CtfParameters, contrast_transfer
from ..io.particle_set import ParticleSet
from ..io.stacks import StackReader
from .preprocess import Preparation

SAMPLE = 1000
LEAST_SAMPLE = 200
"""Particles below which nothing is said."""
LEAST_SPREAD = 0.02
"""Standard deviation of CTF² between particles below which a ring tells nothing."""
BRIGHTEST = 3.0
"""Power, in units of the mean, above which a particle counts no more: ice and carbon."""
SCALES = np.exp(np.linspace(-math.log(2), math.log(2), 65))
LEAST_CHANGE, LEAST_GAIN = 0.05, 60.0
"""A pixel size is doubted when another, at least this much apart, explains this much more (chi-square)."""
LEAST_SHARE, LEAST_POWER = 0.25, 200.0
"""A CTF is doubted when it explains less than this share of what the averages predict, if they predict this much."""


@dataclass
class CtfFit:
    """How the power of n particles goes with their CTF², ring by ring.

    Attributes
    ----------
    t : Tensor
        Student's t of the correlation on each ring, (rings,); 0 where nothing can be told.
    t_of_unit : Tensor
        What t would be where all of the power went with CTF², (rings,).
    scale : float
        Factor on the pixel size under which it goes best.
    gain : float
        How much better than with the pixel size as it is, chi-square.
    """

    t: Tensor
    t_of_unit: Tensor
    scale: float
    gain: float

    @property
    def doubts_pixel_size(self) -> bool:
        """Whether another pixel size fits far better."""
        return abs(self.scale - 1) >= LEAST_CHANGE and self.gain >= LEAST_GAIN

    def doubts_ctf(self, signal: Tensor) -> bool:
        """Whether the averages promise what the CTF does not explain.

        Parameters
        ----------
        signal : Tensor
            |x|² of the averages in the units of :class:`Vectors`, mean of each ring, (rings,).
        """
        expected = self.t_of_unit * signal / (2 + signal)
        power = float((expected**2).sum())
        return power >= LEAST_POWER and float((self.t * expected).sum()) < LEAST_SHARE * power


def fit(power: Tensor, optics: CtfParameters, band: Band, sampling_rate: float) -> CtfFit:
    """Hold the power (n, rings) of particles against their CTF² at this and at other pixel sizes."""
    relative = (power / power.mean(0).clamp_min(1e-30)).clamp_max(BRIGHTEST)
    square = ctf_square(optics, band, sampling_rate)
    t, unit = _student(relative, square)
    tells = (square.std(0) >= LEAST_SPREAD) & (torch.arange(band.rings) > 0)
    t, unit = torch.where(tells, t, 0.0), torch.where(tells, unit, 0.0)
    others = (_student(relative, ctf_square(optics, band, sampling_rate * scale))[0] for scale in SCALES)
    # The same rings for every scale: one that tells more rings something would win by that alone.
    explained = [_explained(torch.where(tells, other, 0.0)) for other in others]
    best = int(np.argmax(explained))
    return CtfFit(t, unit, float(SCALES[best]), explained[best] - _explained(t))


def sampled_fit(
    reader: StackReader, particles: ParticleSet, preparation: Preparation, sampling_rate: float
) -> CtfFit | None:
    """The fit of a sample of the particles; None where there are too few, or no CTF."""
    if particles.ctf is None:
        return None
    # Where images were multiplied by their CTF, noise goes with it too.
    rows = np.flatnonzero(particles.enabled & ~np.asarray(particles.ctf.premultiplied))
    if len(rows) < LEAST_SAMPLE:
        return None
    rows = rows[np.unique(np.linspace(0, len(rows) - 1, SAMPLE).astype(np.int64))]
    band = preparation.band
    power, used = [], []
    for part, images in reader.batches(rows, 100):
        vectors, _, usable = preparation.spectra(images, None)
        power.append(band.ring_mean(vectors[usable].abs() ** 2).cpu())
        used.append(part[usable.cpu().numpy()])
    good = np.concatenate(used)
    if len(good) < LEAST_SAMPLE:
        return None
    return fit(torch.cat(power).double(), particles.ctf[good], band, sampling_rate)


def ctf_square(optics: CtfParameters, band: Band, sampling_rate: float) -> Tensor:
    """CTF² of n particles, mean of each ring, (n, rings) float64 on the CPU."""
    step = 1 / (band.box * sampling_rate)
    transfer = contrast_transfer(optics, band.kx * step, band.ky * step, device=band.device)
    return band.ring_mean(transfer**2).double().cpu()


def _student(relative: Tensor, square: Tensor) -> tuple[Tensor, Tensor]:
    """Student's t (rings,) of the correlation of power and CTF² over the particles, and that of a slope of 1."""
    count = len(relative)
    power, transfer = relative - relative.mean(0), square - square.mean(0)
    spread, scatter = transfer.square().mean(0).sqrt(), power.square().mean(0).sqrt().clamp_min(1e-20)
    correlation = (power * transfer).mean(0) / (spread * scatter).clamp_min(1e-20)
    t = correlation * math.sqrt(count - 2) / (1 - correlation**2).clamp_min(1e-6).sqrt()
    unit = spread / square.mean(0).clamp_min(1e-20) / scatter * math.sqrt(count - 2)
    return t, unit


def _explained(t: Tensor) -> float:
    return float((t.clamp_min(0) ** 2).sum())
