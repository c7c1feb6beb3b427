"""Simulated particles that want guidance: filaments that cross others, and small proteins in larger micelles."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from alignpca2d_core.fourier.ctf import CtfParameters, contrast_transfer, half_plane_frequencies
from alignpca2d_core.fourier.rigid_transforms import wrap_degrees
from alignpca2d_core.io.particle_reading import read_particles
from alignpca2d_core.io.stacks import StackReader, write_stack
from alignpca2d_core.io.star.star_reader import Table, read_blocks
from alignpca2d_core.io.star.star_writer import write_blocks
from alignpca2d_core.settings import SimulationSettings
from alignpca2d_core.simulation.simulate import simulate

FloatArray = NDArray[np.float64]
TRUE_POSES = "posed.xmd"


@dataclass(frozen=True)
class Helix:
    """Subunits along a filament: how far out, one every so many Å, turned by so much to the next, and their size."""

    radius: float
    rise: float
    twist_deg: float
    sigma: float

    def projected(self, length: float, rot_deg: float) -> FloatArray:
        """Places of the subunits along and across a filament seen from one side, (n, 2) Å."""
        number = np.arange(-np.ceil(length / self.rise), np.ceil(length / self.rise) + 1)
        return np.stack([number * self.rise, self.radius * np.sin(np.deg2rad(rot_deg + number * self.twist_deg))], 1)


HELICES = (Helix(24, 22, 52, 9), Helix(36, 30, 84, 11), Helix(0, 27, 0, 12))


def blobs(places: FloatArray, sigma: float, box: int, rate: float) -> FloatArray:
    """Gaussian blobs at places (n, 2) in Å from the middle, x before y, (box, box)."""
    axis = (np.arange(box) - box // 2) * rate
    along = np.exp(-0.5 * ((axis - places[:, :1]) / sigma) ** 2)
    across = np.exp(-0.5 * ((axis - places[:, 1:]) / sigma) ** 2)
    return np.einsum("ny,nx->yx", across, along)


def segment(helix: Helix, psi_deg: float, off: float, box: int, rate: float, rng: np.random.Generator) -> FloatArray:
    """A stretch of filament that turning by ψ, as Xmipp does, lays along x; ``off`` Å beside the middle."""
    places = helix.projected(box * rate, rng.uniform(0, 360))
    places += np.array([rng.uniform(-0.5, 0.5) * helix.rise, off])
    cosine, sine = np.cos(np.deg2rad(psi_deg)), np.sin(np.deg2rad(psi_deg))
    turned = np.stack([cosine * places[:, 0] - sine * places[:, 1], sine * places[:, 0] + cosine * places[:, 1]], 1)
    return blobs(turned, helix.sigma, box, rate)


def imaged(images: FloatArray, optics: CtfParameters, rate: float) -> NDArray[np.float32]:
    """Images (n, box, box) as their CTF shows them."""
    box = images.shape[-1]
    transfer = contrast_transfer(optics, *half_plane_frequencies(box, rate)).unflatten(1, (box, -1))
    return torch.fft.irfft2(torch.fft.rfft2(torch.from_numpy(images).float()) * transfer, s=(box, box)).numpy()


def filaments(folder: Path, count: int, snr: float, crossed: float, seed: int) -> None:
    """Segments of three kinds of filament, a share of them crossed by another filament, with RELION's priors.

    The priors are off by 2° (standard deviation), and half of them point the other way.
    """
    rng, box, rate = np.random.default_rng(seed), 64, 4.0
    folder.mkdir(parents=True, exist_ok=True)
    kind, psi = rng.integers(len(HELICES), size=count), rng.uniform(-180, 180, count)
    images = np.stack(
        [segment(HELICES[k], p, rng.uniform(-8, 8), box, rate, rng) for k, p in zip(kind, psi, strict=True)]
    )
    for row in np.flatnonzero(rng.random(count) < crossed):
        other, turn = HELICES[rng.integers(len(HELICES))], psi[row] + rng.uniform(30, 150)
        images[row] += segment(other, turn, rng.uniform(-60, 60), box, rate, rng)
    defocus = rng.uniform(8000, 20000, count)
    fixed = (np.full(count, value) for value in (300.0, 2.7, 0.1, 0.0))
    voltage, aberration, contrast, zero = fixed
    optics = CtfParameters(defocus, defocus, zero, voltage, aberration, contrast, zero)
    seen = imaged(images, optics, rate)
    seen *= np.sqrt(snr / seen.var((1, 2)).mean())
    write_stack(folder / "particles.mrcs", seen + rng.standard_normal(seen.shape).astype(np.float32), rate)
    prior = wrap_degrees(-(psi + rng.normal(0, 2, count) + 180 * rng.integers(2, size=count)))
    names = np.array([f"{row + 1:06d}@{folder / 'particles.mrcs'}" for row in range(count)], dtype=object)
    columns: dict[str, Any] = {"rlnImageName": names, "rlnOpticsGroup": np.ones(count, np.int64)}
    columns |= {"rlnDefocusU": defocus, "rlnDefocusV": defocus, "rlnDefocusAngle": zero}
    columns |= {"rlnAngleTiltPrior": np.full(count, 90.0), "rlnAnglePsiPrior": prior.round(3)}
    columns |= {"rlnAnglePsiFlipRatio": np.full(count, 0.5), "rlnHelicalTubeID": np.arange(1, count + 1)}
    group = {"rlnOpticsGroup": 1, "rlnVoltage": 300.0, "rlnSphericalAberration": 2.7, "rlnAmplitudeContrast": 0.1}
    group |= {"rlnImagePixelSize": rate, "rlnImageSize": box}
    optics_table = Table("optics", {label: np.array([value]) for label, value in group.items()})
    write_blocks(folder / "particles.star", {"optics": optics_table, "particles": Table("particles", columns)})
    np.savez(folder / "truth.npz", kind=kind, psi=psi)


def posed(folder: Path, settings: SimulationSettings) -> None:
    """The usual simulated particles, and :data:`TRUE_POSES` with the poses that they were made with."""
    simulate(settings, folder)
    truth = np.genfromtxt(folder / "truth.csv", delimiter=",", names=True)
    table = read_blocks(folder / "particles.xmd")["particles"]
    poses = {"anglePsi": truth["psi"], "shiftX": truth["shiftX"], "shiftY": truth["shiftY"]}
    names = np.array([f"{row + 1:06d}@{folder / 'particles.mrcs'}" for row in range(len(table))], dtype=object)
    write_blocks(folder / TRUE_POSES, {"particles": Table("particles", {**table.columns, "image": names, **poses})})


def micelles(folder: Path, settings: SimulationSettings, strength: float) -> None:
    """The same particles in micelles: soft ellipses at any angle, ``strength`` times as strong as the particles."""
    posed(folder, settings)
    rng, box, rate = np.random.default_rng(settings.seed), settings.box, settings.sampling_rate
    particles = read_particles(folder / TRUE_POSES)
    with StackReader(particles) as reader:
        images = reader.read(np.arange(len(particles)))
    axis = (np.arange(box) - box // 2) * rate
    y, x = np.meshgrid(axis, axis, indexing="ij")
    added = []
    for _ in range(len(images)):
        angle, long, short = rng.uniform(0, np.pi), rng.uniform(36, 44), rng.uniform(22, 26)
        dx, dy = x - rng.uniform(-12, 12), y - rng.uniform(-12, 12)
        along, across = np.cos(angle) * dx + np.sin(angle) * dy, np.cos(angle) * dy - np.sin(angle) * dx
        added.append(np.exp(-0.5 * ((along / long) ** 2 + (across / short) ** 2)))
    assert particles.ctf is not None
    seen = imaged(np.stack(added), particles.ctf, rate)
    # Noise has variance 1, and the particles that of the signal-to-noise ratio.
    seen *= strength * np.sqrt(settings.snr / seen.var((1, 2)).mean())
    write_stack(folder / "particles.mrcs", images / images[:, :4].std() + seen, rate)
