"""A second particle in an image is told from one alone, and from what an average leaves of the first."""

from __future__ import annotations

import pytest
import torch
from blobs import Spot, as_particles, random_poses, spots, stack
from torch import Tensor

from alignpca2d_core.alignment.fourier_pca import FourierPCA
from alignpca2d_core.alignment.pose_search import PoseSearch
from alignpca2d_core.alignment.search_grids import nested_schedule
from alignpca2d_core.averaging.noise_scores import noise_images, noise_level
from alignpca2d_core.averaging.second_particle import Comparison, residuals, second_scores
from alignpca2d_core.averaging.templates import Templates
from alignpca2d_core.fourier.band import Band
from alignpca2d_core.preprocessing.preprocess import Vectors

BOX, VIEWS, COUNT = 32, 6, 96
NOISE = 1.2


def places() -> list[list[Spot]]:
    """Four spots for each view, at random."""
    found = (torch.rand(VIEWS, 4, 2, generator=torch.Generator().manual_seed(5)) - 0.5) * 0.4
    return [[(x, y, 0.07, 1.0) for x, y in view] for view in found.tolist()]


def seen(first_view: int, reach: float, seed: int) -> Tensor:
    """Images of views in turn, turned at random and shifted within a share of the box, without noise."""
    poses = random_poses(COUNT, reach * BOX, seed=seed)
    return torch.cat([stack(BOX, places()[(i + first_view) % VIEWS], poses[i : i + 1]) for i in range(COUNT)])


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    band = Band.make(BOX, 9.0)
    references = band.to_vectors(torch.stack([torch.from_numpy(spots(BOX, view)) for view in places()]))
    schedule = nested_schedule(BOX, 9.0, 4 / 3)
    some = as_particles(seen(0, 0.05, 1), band, NOISE)
    basis = FourierPCA(0.9).fit_vectors(some.narrowed(schedule.exhaustive.radius).z).finalize()
    search = PoseSearch(schedule, basis, (4, 2, 1), torch.ones(band.work_box, band.work_box))
    templates = Templates.given(references, band)
    return Comparison(templates, search, noise_level(search, some.q, templates, band), band)


def compared(images: Tensor, comparison: Comparison, noise: float = NOISE) -> tuple[Vectors, Tensor]:
    """Images with noise, and the score of a second particle in each."""
    particles = as_particles(images, Band.make(BOX, 9.0), noise)
    # In units of the noise, as the model has it.
    weaker = (NOISE / noise) ** 2
    particles = Vectors(particles.z * weaker, particles.q * weaker, particles.band)
    found = comparison.search.locate(particles, comparison.templates.references)
    return particles, second_scores(particles, found, comparison)


def test_aggregates_are_told_from_single_particles(comparison: Comparison) -> None:
    single, beside = seen(0, 0.03, 2), seen(2, 0.03, 3).roll((7, -5), (1, 2))
    alone, both = compared(single, comparison)[1], compared(single + beside, comparison)[1]
    assert float((alone > 3).double().mean()) <= 0.05
    assert float((both > 3).double().mean()) >= 0.9
    assert bool((alone >= 0).all())


def test_what_an_average_lacks_of_its_member_is_no_second_particle(comparison: Comparison) -> None:
    """Half as strong as a second particle, and clear of the noise."""
    single, beside = seen(0, 0.03, 2), seen(2, 0.03, 3).roll((7, -5), (1, 2))
    assert float((compared(single + beside, comparison, NOISE / 6)[1] > 3).double().mean()) >= 0.9
    assert float((compared(single + 0.45 * beside, comparison, NOISE / 6)[1] > 3).double().mean()) <= 0.05


def test_what_is_left_of_single_particles_scores_as_noise_does(comparison: Comparison) -> None:
    alone = compared(seen(0, 0.03, 2), comparison)[1]
    images = noise_images(comparison.search, torch.ones(1, comparison.band.rings), comparison.band, COUNT)
    noise = second_scores(images, comparison.search.locate(images, comparison.templates.references), comparison)
    assert abs(float(alone.mean()) - float(noise.mean())) < 0.4
    assert not len(
        second_scores(
            images.rows(slice(0)), comparison.search.locate(images, comparison.templates.references), comparison
        )
    )


def test_what_is_left_of_a_particle_is_its_noise(comparison: Comparison) -> None:
    particles, _ = compared(seen(0, 0.03, 4), comparison)
    found = comparison.search.locate(particles, comparison.templates.references)
    left = residuals(particles, comparison.templates, comparison.search, found)
    assert float((left.z.abs() ** 2).mean()) == pytest.approx(2 * NOISE**2, rel=0.05)
    again = comparison.search.locate(left, comparison.templates.references)
    assert float(again.score[:, 0].median()) < 0.3 * float(found.score[:, 0].median())
