"""The stated FRC: noise that was aligned to one reference shows nothing, a clear view shows what it did."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from alignpca2d_core.alignment.local_search import refine
from alignpca2d_core.alignment.matches import Matches
from alignpca2d_core.alignment.search_grids import Level, nested_schedule
from alignpca2d_core.averaging.class_averages import Averages, accumulate, average_mask, averages
from alignpca2d_core.averaging.independent_halves import IndependentHalves
from alignpca2d_core.averaging.usable_particles import UsableParticles, halves_of
from alignpca2d_core.fourier.band import Band
from alignpca2d_core.preprocessing.mask_shape import MaskShape
from alignpca2d_core.preprocessing.preprocess import Vectors

BOX, RADIUS, COUNT = 48, 16.0, 300
MASK = MaskShape(20.0)


class Kept:
    """A source whose particles lie in memory."""

    def __init__(self, particles: Vectors) -> None:
        self.particles, self.band = particles, particles.band
        self.usable = np.ones(len(particles), dtype=bool)

    def batches(self, rows: NDArray[np.int64], size: int) -> Iterator[tuple[NDArray[np.int64], Vectors]]:
        for start in range(0, len(rows), size):
            part = rows[start : start + size]
            yield part, self.particles.rows(torch.from_numpy(part))


def noise(generator: torch.Generator, count: int, band: Band) -> torch.Tensor:
    return torch.view_as_complex(torch.randn(count, len(band), 2, generator=generator))


def view(band: Band) -> torch.Tensor:
    """A random image inside the mask, of power that falls with the ring, (m,)."""
    image = torch.randn(BOX, BOX, generator=torch.Generator().manual_seed(5))
    axis = torch.arange(BOX) - BOX // 2
    inside = (axis[:, None] ** 2 + axis**2 < 14**2).float()
    return band.to_vectors(image * inside) / (1 + band.ring)


def curves(particles: Vectors, matches: Matches, levels: tuple[Level, ...]) -> tuple[Averages, torch.Tensor]:
    """Averages at the poses, and the FRC of halves aligned by themselves."""
    band = particles.band
    rows = np.arange(len(particles))
    found = averages(accumulate(particles, matches, 1, halves_of(rows, band.device)), band, average_mask(band, MASK))
    members = UsableParticles(Kept(particles), rows, 128)  # type: ignore[arg-type]
    return found, IndependentHalves(members, matches, torch.zeros(1, dtype=torch.int64), levels, MASK).frc(found)


def test_noise_aligned_to_a_reference_shows_nothing() -> None:
    """The halves at the poses found agree where the band ends: Einstein from noise."""
    generator, band = torch.Generator().manual_seed(1), Band.make(BOX, RADIUS)
    levels = nested_schedule(BOX, RADIUS).local[-2:]
    particles = Vectors(noise(generator, COUNT, band), torch.ones(COUNT, band.rings), band)
    at_rest = Matches.at_rest(torch.zeros(COUNT, dtype=torch.int64))
    matches = refine(particles, noise(generator, 1, band), band, levels[-1], at_rest, around=3)
    found, independent = curves(particles, matches, levels)
    assert float(found.frc[0, 10:].mean()) > 0.3
    assert abs(float(independent[0, 10:].mean())) < 0.1


def test_a_clear_view_keeps_what_it_shows() -> None:
    """Of particles at their true poses, no ring that agreed is lost but the last."""
    generator, band = torch.Generator().manual_seed(2), Band.make(BOX, RADIUS)
    levels = nested_schedule(BOX, RADIUS).local[-2:]
    clear = view(band)
    z = 8 * clear / clear.abs().square().mean().sqrt() + noise(generator, COUNT, band)
    particles = Vectors(z, torch.ones(COUNT, band.rings), band)
    found, independent = curves(particles, Matches.at_rest(torch.zeros(COUNT, dtype=torch.int64)), levels)
    assert float(found.frc[0, 1:].min()) > 0.9
    assert float(independent[0, 1:-1].min()) > 0.8
