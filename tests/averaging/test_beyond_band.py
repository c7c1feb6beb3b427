"""Averages beyond the band of the search: a view that is clear to its edge goes on, noise does not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from alignpca2d_core.alignment.matches import Matches
from alignpca2d_core.averaging.beyond_band import beyond_band
from alignpca2d_core.averaging.usable_particles import UsableParticles
from alignpca2d_core.fourier.band import Band
from alignpca2d_core.preprocessing.mask_shape import MaskShape, soft_mask
from alignpca2d_core.preprocessing.preprocess import Vectors

BOX, RADIUS, COUNT, LAST = 32, 8.0, 200, 12
MASK = MaskShape(12.0)


@dataclass
class InMemory:
    """A source of images (n, BOX, BOX) that lie in memory."""

    images: Tensor
    band: Band

    @property
    def usable(self) -> NDArray[np.bool_]:
        return np.ones(len(self.images), dtype=bool)

    def to_nyquist(self) -> InMemory:
        return InMemory(self.images, Band.make(BOX, BOX / 2))

    def batches(self, rows: NDArray[np.int64], size: int) -> Iterator[tuple[NDArray[np.int64], Vectors]]:
        for start in range(0, len(rows), size):
            part = rows[start : start + size]
            z = self.band.to_vectors(self.images[torch.from_numpy(part)])
            yield part, Vectors(z, torch.ones(len(part), self.band.rings), self.band)


def view() -> Tensor:
    """An image of frequencies up to ring LAST."""
    generator = torch.Generator().manual_seed(3)
    band = Band.make(BOX, LAST)
    image = torch.randn(BOX, BOX, generator=generator) * soft_mask(BOX, 8.0)
    return band.to_images(band.to_vectors(image))


def test_an_average_goes_on_as_far_as_its_halves_agree() -> None:
    clear = view()
    images = clear + 2 * torch.randn(COUNT, BOX, BOX, generator=torch.Generator().manual_seed(4))
    inner = Band.make(BOX, RADIUS)
    members = UsableParticles(InMemory(images, inner), np.arange(COUNT), 64)  # type: ignore[arg-type]
    at_rest = Matches.at_rest(torch.zeros(COUNT, dtype=torch.int64))
    shown = beyond_band(torch.ones(1, inner.rings), members, at_rest, MASK)
    whole = Band.make(BOX, BOX / 2)
    assert shown.frc.shape == (1, whole.rings)
    assert float(shown.frc[0, inner.rings : LAST].min()) > 0.4
    found, truth = whole.to_vectors(shown.finer[0]), whole.to_vectors(clear)
    beyond = (torch.arange(len(whole)) >= len(inner)) & (whole.ring < LAST)
    assert float(found[: len(inner)].abs().max()) < 1e-4
    overlap = (found[beyond] * truth[beyond].conj()).real.sum()
    assert float(overlap / (found[beyond].norm() * truth[beyond].norm())) > 0.8
    assert float(found[whole.ring > LAST + 2].abs().max()) < 1e-4


def test_only_classes_that_reach_the_edge_are_read() -> None:
    inner, classes = Band.make(BOX, RADIUS), torch.arange(COUNT) % 2
    images = view() + 2 * torch.randn(COUNT, BOX, BOX, generator=torch.Generator().manual_seed(4))
    images[classes == 1] = torch.nan
    members = UsableParticles(InMemory(images, inner), np.arange(COUNT), 64)  # type: ignore[arg-type]
    curves = torch.ones(2, inner.rings)
    curves[1, -2:] = 0.1
    shown = beyond_band(curves, members, Matches.at_rest(classes), MASK)
    assert float(shown.frc[0, inner.rings : LAST].min()) > 0.3
    assert bool(shown.finer[0].any())
    assert not bool(shown.finer[1].any())
    assert torch.equal(shown.frc[1, : inner.rings], curves[1])


def test_where_curves_end_within_the_band_nothing_is_read() -> None:
    inner = Band.make(BOX, RADIUS)
    members = UsableParticles(InMemory(torch.full((9, BOX, BOX), torch.nan), inner), np.arange(9), 64)  # type: ignore[arg-type]
    curves = torch.ones(1, inner.rings)
    curves[0, -2:] = 0.1
    shown = beyond_band(curves, members, Matches.at_rest(torch.zeros(9, dtype=torch.int64)), MASK)
    assert torch.equal(shown.frc, curves)
    assert not bool(shown.finer.any())
