"""From clean views to the signal of particles: rotation, shift, CTF."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from ..fourier.ctf import contrast_transfer, electron_wavelength, half_plane_frequencies
from ..fourier.interpolation import MARGIN, sample_spline, spectrum_coefficients
from ..fourier.rfft_places import fast_length
from ..fourier.rigid_transforms import to_matrix
from ..settings import SimulationSettings
from .particle_sampling import DrawnParticles

SPECTRUM_PADDING = 3
CONTAMINATION_CONTRAST = 3.0
CALIBRATION_BATCH = 16


def delocalisation_px(settings: SimulationSettings) -> int:
    """How far the CTF carries signal at Nyquist: |λΔf s − Cs λ³ s³| in pixels, at the largest defocus."""
    wavelength = float(electron_wavelength(settings.voltage))
    s = 0.5 / settings.sampling_rate
    defocus = (settings.defocus_max + 0.5 * settings.astigmatism) * 1e4
    reach = abs(wavelength * defocus * s - settings.cs * 1e7 * (wavelength * s) ** 3)
    return int(np.ceil(reach / settings.sampling_rate))


def turned_spectra(
    coefficients: torch.Tensor,
    images: NDArray[np.int64],
    psi_deg: NDArray[np.float64],
    x: torch.Tensor,
    y: torch.Tensor,
) -> torch.Tensor:
    """Fourier coefficients of images turned so that a pose of ``psi_deg`` turns them back.

    Parameters
    ----------
    coefficients : from :func:`.interpolation.spectrum_coefficients` with :data:`SPECTRUM_PADDING`
    images, psi_deg : (b,) which image, and its angle
    x, y : (m,) frequencies in cycles per box

    Returns
    -------
    (b, m) complex64, the origin at the image's centre.
    """
    middle = (coefficients.shape[-1] - 2 * MARGIN - 1) // 2
    angle = torch.as_tensor(np.deg2rad(psi_deg), dtype=torch.float64)
    cosine, sine = angle.cos().float()[:, None], angle.sin().float()[:, None]
    column = SPECTRUM_PADDING * (cosine * x + sine * y) + middle
    row = SPECTRUM_PADDING * (cosine * y - sine * x) + middle
    return sample_spline(coefficients, column, row, torch.as_tensor(images)[:, None])


class Microscope:
    """Images views as the settings say.

    Rotations sample each view's padded spectrum by cubic splines; shifts are exact phase ramps.  The CTF acts
    in a box enlarged by the distance that it carries signal (at most twofold), so that nothing wraps around
    the edges: what leaves the box is lost, as it is when particles are cut out of micrographs.

    Parameters
    ----------
    settings : what to simulate
    views : (v, D, D) centred projections

    Attributes
    ----------
    views : (v, D, D), scaled by :meth:`scale_to_snr`
    side : of the enlarged box, pixels
    """

    def __init__(self, settings: SimulationSettings, views: torch.Tensor) -> None:
        self.settings = settings
        self.views = views
        self._box = settings.box
        reach = 0 if settings.no_ctf else delocalisation_px(settings)
        furthest = settings.off_centre_shift if settings.off_centre_fraction > 0 else settings.max_shift
        shift = int(np.ceil(furthest * settings.box))
        self.side = fast_length(settings.box + min(settings.box, 2 * max(reach, shift)))
        self._frequencies = half_plane_frequencies(self.side, settings.sampling_rate)
        self._scale = 1.0
        self._coefficients = spectrum_coefficients(views, SPECTRUM_PADDING)

    def scale_to_snr(self, drawn: DrawnParticles, rows: NDArray[np.int64]) -> None:
        """Scale the views so that the mean variance of the signal of ``rows`` is the settings' SNR."""
        variances = [
            self.signal(drawn, some, None).var(dim=(1, 2), correction=0)
            for some in np.array_split(rows, np.arange(CALIBRATION_BATCH, len(rows), CALIBRATION_BATCH))
        ]
        factor = float(np.sqrt(self.settings.snr / max(float(torch.cat(variances).mean()), 1e-30)))
        self.views = self.views * factor
        self._scale *= factor

    def rotated(self, images: NDArray[np.int64], psi_deg: NDArray[np.float64]) -> torch.Tensor:
        """Centred images (b, D, D): view ``images[i]`` turned so that ``psi_deg[i]`` turns it back."""
        box = self._box
        x, y = half_plane_frequencies(box, 1.0 / box)
        spectra = turned_spectra(self._coefficients, images, psi_deg, x.float(), y.float())
        spectra *= (x * x + y * y < (box / 2) ** 2) * self._scale
        turned = torch.fft.irfft2(spectra.reshape(len(images), box, -1), s=(box, box))
        centred: torch.Tensor = torch.fft.fftshift(turned, dim=(-2, -1))
        return centred

    def signal(self, drawn: DrawnParticles, rows: NDArray[np.int64], random: torch.Generator | None) -> torch.Tensor:
        """Noise-free particles (b, D, D) of the given rows; junk needs the generator ``random``."""
        view = drawn.view[rows]
        image = np.where(view < 0, 0, view + drawn.conformation[rows] * self.settings.views)
        clean = self.rotated(image, drawn.poses.psi_deg[rows])
        junk = np.flatnonzero(view < 0)
        if len(junk) and random is not None:
            clean[junk] = self._junk(clean[junk], random)
            clean[np.flatnonzero(drawn.noise[rows])] = 0.0
        side, box = self.side, self._box
        low = side // 2 - box // 2
        padded = torch.zeros(len(rows), side, side)
        padded[:, low : low + box, low : low + box] = clean
        spectra = torch.fft.rfft2(padded) * self._transfer(drawn, rows)
        imaged: torch.Tensor = torch.fft.irfft2(spectra, s=(side, side))
        return imaged[:, low : low + box, low : low + box].contiguous()

    def _transfer(self, drawn: DrawnParticles, rows: NDArray[np.int64]) -> torch.Tensor:
        """CTF and displacement of each particle on the enlarged box's half plane: (b, side, side//2 + 1)."""
        settings, (x, y) = self.settings, self._frequencies
        shape = (len(rows), self.side, -1)
        matrices = to_matrix(drawn.poses[rows])
        moved = -np.einsum("nji,nj->ni", matrices[:, :, :2], matrices[:, :, 2]) * settings.sampling_rate
        columns = x.reshape(self.side, -1)[0]
        lines = y.reshape(self.side, -1)[:, 0]
        ramp_x = torch.exp(-2j * torch.pi * torch.as_tensor(moved[:, :1]) * columns).to(torch.complex64)
        ramp_y = torch.exp(-2j * torch.pi * torch.as_tensor(moved[:, 1:]) * lines).to(torch.complex64)
        transfer = ramp_y[:, :, None] * ramp_x[:, None, :]
        if not settings.no_ctf:
            ctf = contrast_transfer(drawn.ctf[rows], x, y).reshape(shape)
            transfer *= ctf.abs() if settings.phase_flip else ctf
        return -transfer if settings.invert else transfer

    def _junk(self, particles: torch.Tensor, random: torch.Generator) -> torch.Tensor:
        """In turn at random: nothing at all, a blob of contamination, a particle with its phases scrambled."""
        box = self._box
        kind = torch.randint(0, 3, (len(particles), 1, 1), generator=random)
        place = (torch.rand(len(particles), 3, 1, 1, generator=random) - 0.5) * box
        grid = torch.arange(box, dtype=torch.float32) - box // 2
        width = 0.04 * box + 0.1 * place[:, 2].abs()
        distance = (grid[None, None, :] - 0.6 * place[:, 0]) ** 2 + (grid[None, :, None] - 0.6 * place[:, 1]) ** 2
        blob = torch.exp(-0.5 * distance / width**2) * particles.abs().amax() * CONTAMINATION_CONTRAST
        spectrum = torch.fft.rfft2(particles)
        phases = torch.fft.rfft2(torch.randn(particles.shape, generator=random)).angle()
        scrambled = torch.fft.irfft2(torch.polar(spectrum.abs(), phases), s=(box, box))
        scrambled *= torch.exp(-4.0 * ((grid[None, :] ** 2 + grid[:, None] ** 2) / (0.45 * box) ** 2) ** 2)
        return torch.where(kind == 0, 0.0, torch.where(kind == 1, blob, scrambled))
