"""What lies at the rim of an image's window is no misfit of its particle; what lies beside the particle is."""

from __future__ import annotations

import math

import torch
from blobs import as_particles, stack
from test_second_particle import BOX, COUNT, NOISE, comparison, seen  # noqa: F401

from alignpca2d_core.averaging.inner_misfit import inner_misfit, outliers_among
from alignpca2d_core.averaging.noise_scores import matched_filter
from alignpca2d_core.averaging.second_particle import Comparison
from alignpca2d_core.fourier.band import Band
from alignpca2d_core.preprocessing.mask_shape import soft_mask


def figures(beside: tuple[float, float] | None, given: Comparison) -> tuple[torch.Tensor, torch.Tensor]:
    """Misfit in all, and inside a mask of 0.3 boxes, of particles with something beside them at a place in boxes."""
    band = Band.make(BOX, 9.0)
    inside = Comparison(given.templates, given.search, given.noise, band, soft_mask(band.work_box, 0.3 * band.work_box))
    images = seen(0, 0.02, 6)
    if beside is not None:
        images = images + stack(BOX, [(*beside, 0.05, 3.0)], torch.zeros(COUNT, 3))
    particles = as_particles(images, band, NOISE)
    found = inside.search.locate(particles, inside.templates.references)
    misfit = matched_filter(particles, inside.templates, inside.search.schedule.final, found)[:, 1]
    return misfit, inner_misfit(particles, found, inside)


def test_noise_alone_is_one_inside_and_what_lies_at_the_rim_does_not_count(comparison: Comparison) -> None:  # noqa: F811
    alone, near, far = (figures(place, comparison) for place in (None, (0.16, 0.1), (0.45, 0.42)))
    # What the mask brings beyond the band's edge, where the band is as narrow as here, is missing.
    assert 0.65 < float(alone[1].median()) / NOISE**2 < 1.1
    for place in (near, far):
        assert float(place[0].median()) > 1.3 * float(alone[0].median())
    assert float(near[1].median()) > 1.3 * float(alone[1].median())
    assert float(far[1].median()) < 1.1 * float(alone[1].median())


def test_both_limits_must_be_passed(comparison: Comparison) -> None:  # noqa: F811
    band = Band.make(BOX, 9.0)
    particles = as_particles(seen(0, 0.02, 6), band, NOISE)
    found = comparison.search.locate(particles, comparison.templates.references)
    inside = inner_misfit(particles, found, comparison)
    misfit, middle = torch.linspace(0, 2, COUNT), float(inside.median())
    chosen = outliers_among(particles, found, misfit, (1.0, middle), comparison)
    assert chosen.tolist() == torch.nonzero((misfit > 1.0) & (inside > middle))[:, 0].tolist()
    assert not len(outliers_among(particles, found, misfit, (math.inf, 0.0), comparison))
    assert len(outliers_among(particles, found, misfit, (1.0, 0.0), comparison)) == int((misfit > 1.0).sum())
