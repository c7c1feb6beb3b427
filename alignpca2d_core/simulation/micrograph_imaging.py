"""Boxes as they are cut out of micrographs: specimen, surroundings and ice behind the microscope's optics.

    box = normalise( gain·( crop[ CTF·envelope·(molecules or junk + ice) ] + noise + ramp + offset ) )

The optics act in a field about twice as wide as the box, so that neighbours and the fringes of what lies outside
come in, and what leaves the box is lost.  CTF is the true one, which the metadata does not quite tell.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from ..fourier.ctf import contrast_transfer, half_plane_frequencies
from ..fourier.rfft_places import fast_length
from ..fourier.rigid_transforms import invert
from ..maps.density import Density
from ..maps.views import rotation_matrices
from ..settings import SimulationSettings
from .junk_kinds import AGGREGATE, PARTICLE, junk_density
from .orientations import euler_angles, uniform_directions
from .picked_particles import PickedParticles

BATCH, PILOTS = 64, 300
BACKGROUND_RADIUS = 0.42
"""Radius in boxes beyond which RELION's normalisation takes the background."""
OFFSET = 40.0
"""Grey level of an empty micrograph, in standard deviations of its noise."""
ABSORPTION = 0.4
"""What ice one mean thickness thicker takes off the contrast of particles: exp(−0.4)."""
SOLVENT_B = 200.0
"""B factor in Å² of the bulk solvent's contrast (Babinet)."""
ICE_ANGSTROM, LONGEST_ANGSTROM = 80.0, 300.0
"""Where ice has twice the power that it has at high resolution, and the longest wave that is modelled."""
LEAST_NOISE = 0.3
NEIGHBOUR_BOXES = (0.5, 0.72)
AGGREGATE_SPREAD = 0.22
Rows = NDArray[np.int64]


class MicrographImaging:
    """Makes the boxes of ``picked``.

    Attributes
    ----------
    side : of the field, pixels
    """

    def __init__(self, settings: SimulationSettings, density: Density, picked: PickedParticles) -> None:
        self.settings, self.density, self.picked = settings, density, picked
        self.side = fast_length(2 * settings.box)
        self._x, self._y = half_plane_frequencies(self.side, settings.sampling_rate)
        s = (self._x**2 + self._y**2).sqrt().float()
        self._envelope = torch.exp(-0.25 * settings.envelope * s.square())
        self._solvent = 1.0 - settings.solvent * torch.exp(-0.25 * SOLVENT_B * s.square())
        self._ice = (1.0 + (s.clamp_min(1.0 / LONGEST_ANGSTROM) * ICE_ANGSTROM) ** -2).sqrt() * self._envelope
        self._noise = self._falling_spectrum(settings.box)
        self._random = np.random.default_rng([settings.seed, 11])
        self._generator = torch.Generator().manual_seed(settings.seed)
        self._scale = 1.0
        self._set_scales()

    def boxes(self) -> Iterator[torch.Tensor]:
        """Batches (b, D, D) of all boxes in order."""
        for start in range(0, len(self.picked), BATCH):
            rows = np.arange(start, min(start + BATCH, len(self.picked)))
            optics = self._optics(rows)
            thickness = torch.as_tensor(self.picked.thickness[rows]).float()[:, None, None]
            clean = self._crop(self._specimen(rows) * optics) * torch.exp(-ABSORPTION * (thickness - 1.0))
            yield self._developed(clean + self._noise_images(rows, thickness), rows)

    def clean_views(self, rows: Rows) -> torch.Tensor:
        """Projections (b, D, D) of particles behind their optics, without surroundings or noise."""
        spectra = self._spectra(self._rotations(rows)) * self._ramps(self._offsets(rows))
        return self._crop(spectra * self._optics(rows))

    def _set_scales(self) -> None:
        """Scale the specimen and the noises: all noise has variance 1 and clean particles ``snr`` on average."""
        settings, rows = self.settings, np.arange(min(PILOTS, len(self.picked)))
        pieces = [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]
        variance = torch.cat([self.clean_views(some).var(dim=(1, 2)) for some in pieces]).mean()
        self._scale = float((settings.snr / variance.clamp_min(1e-30)).sqrt())
        some = self._rotations(pieces[0])
        self._peak = float(self.density.project(some, settings.box, settings.sampling_rate).amax()) * self._scale
        ice_power = np.mean([_plane_mean((self._ice * self._optics(some, False)) ** 2, self.side) for some in pieces])
        self._ice_amplitude = float(np.sqrt(settings.ice / ice_power))
        self._noise_amplitude = float(np.sqrt((1.0 - settings.ice) / _plane_mean(self._noise**2, settings.box)))

    def _falling_spectrum(self, box: int) -> torch.Tensor:
        """Amplitude of the noise that no optics act on, on the half plane of the box: (box·(box//2+1),)."""
        x, y = half_plane_frequencies(box, 1.0)
        of_nyquist = 2.0 * (x**2 + y**2).sqrt().float()
        return (1.0 - self.settings.noise_spectrum * of_nyquist).clamp_min(LEAST_NOISE).sqrt()

    def _rotations(self, rows: Rows) -> NDArray[np.float64]:
        picked = self.picked
        return rotation_matrices(picked.rot_deg[rows], picked.tilt_deg[rows], -picked.poses.psi_deg[rows])

    def _offsets(self, rows: Rows) -> NDArray[np.float64]:
        """Where the particles lie in their boxes: (b, 2) pixels in x and y."""
        undone = invert(self.picked.poses[rows])
        return np.stack([undone.shift_x_px, undone.shift_y_px], axis=1)

    def _optics(self, rows: Rows, envelope: bool = True) -> torch.Tensor:
        """CTF and envelope (b, m); the ice's spectrum has an envelope already."""
        fall = self._envelope if envelope else torch.ones_like(self._envelope)
        if self.settings.no_ctf:
            return fall.expand(len(rows), -1)
        return contrast_transfer(self.picked.ctf[rows], self._x, self._y) * fall

    def _spectra(self, rotations: NDArray[np.float64]) -> torch.Tensor:
        """Fourier coefficients (b, m) of centred projections in their solvent."""
        images = self.density.project(rotations, self.settings.box, self.settings.sampling_rate) * self._scale
        return self._padded(images) * self._solvent

    def _padded(self, images: torch.Tensor) -> torch.Tensor:
        box, low = images.shape[-1], self.side // 2 - images.shape[-1] // 2
        high = self.side - box - low
        return torch.fft.rfft2(torch.nn.functional.pad(images, [low, high, low, high])).flatten(1)

    def _ramps(self, moved_px: NDArray[np.float64]) -> torch.Tensor:
        """Phases (b, m) that move images by ``moved_px`` (b, 2)."""
        moved = torch.as_tensor(moved_px * self.settings.sampling_rate)
        phase = -2.0 * torch.pi * (moved[:, :1] * self._x + moved[:, 1:] * self._y)
        return torch.polar(torch.ones_like(phase), phase).to(torch.complex64)

    def _crop(self, spectra: torch.Tensor) -> torch.Tensor:
        """The box (b, D, D) in the middle of fields given by their coefficients (b, m)."""
        side, box = self.side, self.settings.box
        low = side // 2 - box // 2
        fields: torch.Tensor = torch.fft.irfft2(spectra.reshape(len(spectra), side, -1), s=(side, side))
        return fields[:, low : low + box, low : low + box].contiguous()

    def _specimen(self, rows: Rows) -> torch.Tensor:
        """Coefficients (b, m) of what lies in the ice: particles with neighbours, aggregates, or junk."""
        picked, kinds = self.picked, self.picked.kind[rows]
        holds_particle = (kinds == PARTICLE) | (kinds == AGGREGATE)
        spectra = torch.zeros(len(rows), len(self._x), dtype=torch.complex64)
        some = rows[holds_particle]
        if len(some):
            centred = self._spectra(self._rotations(some))
            spectra[torch.from_numpy(holds_particle)] = centred * self._ramps(self._offsets(some))
        for place, row in enumerate(rows):
            around = self._surroundings(kinds[place], bool(picked.neighbour[row]))
            if len(around):
                rot, tilt = euler_angles(uniform_directions(len(around), self._random))
                turned = rotation_matrices(rot, tilt, self._random.uniform(0.0, 360.0, len(around)))
                spectra[place] += (self._spectra(turned) * self._ramps(around)).sum(0)
            elif kinds[place] in ("contaminant", "edge", "bead"):
                box, rate = self.settings.box, self.settings.sampling_rate
                drawn = junk_density(kinds[place], self.side, box, rate, self._random) * self._peak
                spectra[place] = self._padded(torch.from_numpy(drawn).float()[None])[0]
        return spectra

    def _surroundings(self, kind: str, neighbour: bool) -> NDArray[np.float64]:
        """Where other particles lie: (k, 2) pixels from the centre."""
        random, box = self._random, self.settings.box
        if kind == AGGREGATE:
            return random.normal(0.0, AGGREGATE_SPREAD * box, (random.integers(1, 4), 2))
        if not neighbour:
            return np.zeros((0, 2))
        distance, azimuth = random.uniform(*NEIGHBOUR_BOXES) * box, random.uniform(0.0, 2.0 * np.pi)
        return distance * np.array([[np.cos(azimuth), np.sin(azimuth)]])

    def _noise_images(self, rows: Rows, thickness: torch.Tensor) -> torch.Tensor:
        """Ice behind the optics and noise of the camera: (b, D, D)."""
        box = self.settings.box
        white = torch.fft.rfft2(torch.randn(len(rows), box, box, generator=self._generator)).flatten(1)
        spectra = (white * (self._noise * self._noise_amplitude)).reshape(len(rows), box, -1)
        noise: torch.Tensor = torch.fft.irfft2(spectra, s=(box, box))
        if self.settings.ice > 0:
            white = torch.fft.rfft2(torch.randn(len(rows), self.side, self.side, generator=self._generator)).flatten(1)
            bare = self._optics(rows, envelope=False)
            noise += self._crop(white * bare * (self._ice * self._ice_amplitude)) * thickness.sqrt()
        return noise

    def _developed(self, images: torch.Tensor, rows: Rows) -> torch.Tensor:
        """The boxes in their micrograph's grey scale, with its borders, normalised unless the settings say no."""
        settings, box = self.settings, self.settings.box
        if settings.phase_flip and not settings.no_ctf:
            x, y = half_plane_frequencies(box, settings.sampling_rate)
            sign = contrast_transfer(self.picked.stated_ctf[rows], x, y).sign().reshape(len(rows), box, -1)
            images = torch.fft.irfft2(torch.fft.rfft2(images) * sign, s=(box, box))
        axis = torch.arange(box, dtype=torch.float32) - box // 2
        slope = torch.from_numpy(self._random.normal(0.0, settings.ramp / box, (len(rows), 2))).float()
        images = images + slope[:, :1, None] * axis[None, None, :] + slope[:, 1:, None] * axis[None, :, None]
        images = -images if settings.invert else images
        gain = torch.as_tensor(self.picked.gain[rows]).float()[:, None, None]
        images = (images + OFFSET) * gain
        for place in np.flatnonzero(self.picked.border_px[rows].any(axis=1)):
            self._fill_border(images[place], self.picked.border_px[rows[place]])
        return images if settings.no_normalise else normalised(images)

    def _fill_border(self, image: torch.Tensor, beyond: NDArray[np.int64]) -> None:
        """What programs put where a box reaches over the border: the mean, or nothing."""
        value = 0.0 if self._random.uniform() < 0.3 else float(image.mean())
        left, right, top, bottom = (int(width) for width in beyond)
        side = image.shape[-1]
        image[:, :left] = image[:, side - right :] = value
        image[:top] = image[side - bottom :] = value


def normalised(images: torch.Tensor) -> torch.Tensor:
    """Images (b, D, D) with mean 0 and standard deviation 1 outside the background radius, as RELION leaves them."""
    box = images.shape[-1]
    axis = torch.arange(box, dtype=torch.float32) - box // 2
    outside = (axis[None, :] ** 2 + axis[:, None] ** 2).sqrt() > BACKGROUND_RADIUS * box
    background = images[:, outside]
    return (images - background.mean(1)[:, None, None]) / background.std(1).clamp_min(1e-12)[:, None, None]


def _plane_mean(half_plane: torch.Tensor, side: int) -> float:
    """Mean over the whole plane of values (..., side·(side//2+1)) on its half: the variance of filtered noise."""
    column = torch.arange(side // 2 + 1)
    twice = torch.where((column == 0) | ((side % 2 == 0) & (column == side // 2)), 1.0, 2.0)
    return float((half_plane.reshape(-1, side, side // 2 + 1) * twice).sum((1, 2)).mean()) / side**2
