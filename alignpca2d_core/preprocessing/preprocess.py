"""From raw particle images to the vectors that are compared.

Normalised on the background, contrast turned, masked, and multiplied by the CTF (or corrected by a Wiener
filter) in memory: nothing corrected is ever written.

With the CTF in the model a particle is y = CTF·x(pose) + noise.  Whitening divides each ring by the noise
and by the root mean square CTF of the sample, which leaves every particle as

    z = q·x(pose) + sqrt(q)·noise,      q = CTF² / mean CTF²,

with noise of unit variance and x in the same whitened units.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..fourier.band import Band
from ..fourier.ctf import (
    XMIPP_WIENER_PADDING,
    CtfParameters,
    coarse_mean_square,
    contrast_transfer,
    half_plane_frequencies,
    matching_factor,
    mean_square_ctf,
    wiener_filter,
)
from ..runtime.memory import to_device
from .given_frames import GivenFrames
from .image_defects import Cleaned, ImageRepair
from .image_sieve import ImageStatistics, Sieve
from .mask_shape import soft_mask

SHIFT_RANGE = 0.12
"""How far off centre particles are looked for, as a share of the box."""
WIENER_BATCH = 64
CTF_FLOOR = 1e-3
"""Least mean CTF² of a ring: near the origin the CTF all but vanishes, and so does what is known there."""


@dataclass
class Vectors:
    """Prepared particles.

    Attributes
    ----------
    z : Tensor
        Complex vectors (n, m) in ``band``.
    q : Tensor
        CTF² by ring over its mean, (n, rings); ones without a CTF in the model.
    """

    z: Tensor
    q: Tensor
    band: Band

    def __len__(self) -> int:
        return len(self.z)

    def rows(self, index: Tensor | slice) -> Vectors:
        """The vectors of some particles."""
        return Vectors(self.z[index], self.q[index], self.band)

    def narrowed(self, radius: float) -> Vectors:
        """The same particles in a narrower band; no copy of the coefficients."""
        band = self.band.narrowed(radius)
        return Vectors(self.z[:, : len(band)], self.q[:, : band.rings], band)

    def rewhitened(self, noise: Tensor) -> Vectors:
        """The same with the unit of each ring (rings,) divided by what its noise has turned out to be."""
        return Vectors(self.z / noise[self.band.ring], self.q, self.band)

    def scaled(self, scale: Tensor) -> Vectors:
        """Particles (n) whose contrast is ``scale`` (n,) times the usual: z = q·x + sqrt(q)·noise with scale²·q."""
        return Vectors(self.z * scale[:, None], self.q * (scale**2)[:, None], self.band)

    @staticmethod
    def join(parts: list[Vectors]) -> Vectors:
        """One after the other; a single one as it is."""
        if len(parts) == 1:
            return parts[0]
        return Vectors(torch.cat([p.z for p in parts]), torch.cat([p.q for p in parts]), parts[0].band)


@dataclass
class Whitening:
    """What a sample of particles looks like, ring by ring: (rings,) each.

    Attributes
    ----------
    noise : Tensor
        Standard deviation of one real feature.
    ctf_square : Tensor
        Mean CTF².
    first, correction : Tensor, optional
        Factors of ``noise``: what vectors are divided by, one after the other, where it was found in two steps.
        Vectors made later are then the same to the last bit as those that were kept and corrected.
    """

    noise: Tensor
    ctf_square: Tensor
    first: Tensor | None = None
    correction: Tensor | None = None

    def corrected(self, correction: Tensor) -> Whitening:
        """With noise that has turned out to be another (rings,) times."""
        return Whitening(self.noise * correction, self.ctf_square, self.noise, correction)

    def applied(self, spectra: Tensor, ring: Tensor) -> Tensor:
        """CTF·y (n, m) divided by noise and rms CTF."""
        scale = 1 / ((self.noise if self.first is None else self.first) * self.ctf_square.sqrt())
        whitened = spectra * scale[ring]
        return whitened if self.correction is None else whitened.div_(self.correction[ring])


def background_ring(box: int, radius: float) -> Tensor:
    """The pixels that hold background alone: outside ``radius``, or the corners of the box; (box, box) bool."""
    axis = torch.arange(box) - box // 2
    distance = torch.hypot(*torch.meshgrid(axis.float(), axis.float(), indexing="ij"))
    return distance > min(radius, box / 2 - 1)


@dataclass(frozen=True)
class Treatment:
    """What is done to every image before it is compared.

    Attributes
    ----------
    sampling_rate : float
        In Å per pixel.
    ctf : str
        "model", "wiener" or "none".
    mask_radius : float
        Of the particle, in pixels; images keep what a shift within ``reach`` pixels may bring there.
    poses : str, optional
        What is wanted of the poses that the metadata gives, see :func:`.given_poses.poses_wanted`.
    phase_flipped, invert : bool
    sieves : bool
        Whether images that hold something else than particles are to be told from a sample.
    outlier_limit : float, optional
        See :class:`.ImageRepair`.
    """

    sampling_rate: float
    ctf: str
    mask_radius: float
    reach: float = 0.0
    phase_flipped: bool = False
    invert: bool = False
    sieves: bool = False
    outlier_limit: float | None = None
    poses: str | None = None


class Preparation:
    """Turns batches of images into :class:`Vectors` of a band.

    Attributes
    ----------
    whitening : Whitening or None
        Learned from the sample, or restored.
    sieve : Sieve or None
        The same.
    """

    def __init__(self, band: Band, treatment: Treatment) -> None:
        self.band, self.treatment = band, treatment
        radius, reach = treatment.mask_radius, treatment.reach
        kept = min(radius + reach, band.box / 2)
        self._mask = soft_mask(band.box, kept).to(band.device)
        self._repair = ImageRepair(
            background_ring(band.box, radius + reach).to(band.device),
            ~background_ring(band.box, radius).to(band.device),
            (soft_mask(band.box, kept) > 0).to(band.device),
            treatment.outlier_limit,
        )
        self.whitening: Whitening | None = None
        self.sieve: Sieve | None = None
        self._statistics = ImageStatistics(band.box, band.device)

    def to_nyquist(self) -> Preparation:
        """The same up to Nyquist, in grey values: nothing is whitened."""
        band = Band.make(self.band.box, self.band.box / 2, self.band.device)
        whole, ones = Preparation(band, self.treatment), torch.ones(band.rings, device=band.device)
        whole.whitening = Whitening(ones, ones)
        return whole

    def cleaned(self, images: Tensor) -> Cleaned:
        """Images as :mod:`.image_defects` normalises and repairs them, of the contrast that is wanted."""
        found = self._repair.clean(images)
        if self.treatment.invert:
            found.images.neg_()
        return found

    def usual_limit(self, images: Tensor) -> float | None:
        """What :meth:`.ImageRepair.usual_limit` says of a sample."""
        return self._repair.usual_limit(images)

    def spectra(self, images: NDArray[np.float32], optics: CtfParameters | None) -> tuple[Tensor, Tensor, Tensor]:
        """CTF·y (n, m), CTF² by ring (n, rings) and which images are usable (n,), before whitening."""
        cleaned = self.cleaned(to_device(images, self.band.device))
        return *self.spectra_of(cleaned, optics), cleaned.usable

    def spectra_of(
        self, cleaned: Cleaned, optics: CtfParameters | None, frames: GivenFrames | None = None
    ) -> tuple[Tensor, Tensor]:
        """CTF·y (n, m) and CTF² by ring (n, rings) of normalised images in their frames, before whitening."""
        normal, treatment = cleaned.images, self.treatment
        if treatment.ctf == "wiener" and optics is not None:
            normal = self._wiener(normal, optics)
        y = self.band.to_vectors(normal * self._mask)
        if treatment.ctf != "model" or optics is None:
            return self._framed(y, frames), y.real.new_ones(len(y), self.band.rings)
        step = 1 / (self.band.box * treatment.sampling_rate)
        transfer = contrast_transfer(optics, self.band.kx * step, self.band.ky * step, device=self.band.device)
        mean_square = coarse_mean_square(optics, treatment.sampling_rate, self.band.device)
        factor = matching_factor(optics, transfer, mean_square, treatment.phase_flipped)
        return self._framed(y * factor, frames), self.band.ring_mean(transfer**2)

    def _framed(self, vectors: Tensor, frames: GivenFrames | None) -> Tensor:
        return vectors if frames is None else frames.applied(vectors, self.band)

    def figures(self, normal: Tensor) -> Tensor:
        """What the sieve looks at in normalised images, (n, 5); see :class:`.image_sieve.ImageStatistics`."""
        return self._statistics.of(normal * self._mask)

    def _wiener(self, images: Tensor, optics: CtfParameters) -> Tensor:
        """CTF-correct as Xmipp does: padded twice, CTF / (CTF² + 0.1 mean CTF²)."""
        box, rate, flipped = images.shape[-1], self.treatment.sampling_rate, self.treatment.phase_flipped
        size = XMIPP_WIENER_PADDING * box
        x, y = half_plane_frequencies(size, rate)
        mean_square = mean_square_ctf(optics, box, rate, device=images.device)
        corrected = torch.empty_like(images)
        for first in range(0, len(images), WIENER_BATCH):
            part = slice(first, first + WIENER_BATCH)
            transfer = contrast_transfer(optics[part], x, y, device=images.device)
            left = matching_factor(optics[part], transfer, mean_square[part], flipped)
            factor = wiener_filter(transfer, mean_square[part], left).unflatten(1, (size, -1))
            spectrum = torch.fft.rfft2(images[part], s=(size, size))
            corrected[part] = torch.fft.irfft2(spectrum * factor, s=(size, size))[:, :box, :box]
        return corrected

    def learn(self, spectra: Tensor, ctf_square: Tensor) -> Whitening:
        """Whiten by a sample: CTF·y (n, m) and CTF² (n, rings) of particles that can be used."""
        mean_square = ctf_square.mean(0).clamp_min(CTF_FLOOR)
        # |CTF·y|² of a weighted coefficient is twice the variance of one real feature, times CTF².
        power = self.band.ring_mean((spectra.abs() ** 2).mean(0)) / 2
        noise = (power / mean_square).sqrt()
        self.whitening = Whitening(noise.clamp_min(1e-6 * noise.max().clamp_min(1e-30)), mean_square)
        return self.whitening

    def whiten(self, spectra: Tensor, ctf_square: Tensor) -> Vectors:
        """Vectors in the units of the learned whitening."""
        assert self.whitening is not None
        z = self.whitening.applied(spectra, self.band.ring)
        return Vectors(z, ctf_square / self.whitening.ctf_square, self.band)
