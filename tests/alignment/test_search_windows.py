"""Searches that look at some poses alone: near a filament's axis, at rest, and without the coarsest rings."""

from __future__ import annotations

import math

import pytest
import torch
from blobs import Spot, as_particles, spots, stack
from torch import Tensor

from alignpca2d_core.alignment import screen_learning
from alignpca2d_core.alignment.exhaustive_search import exhaustive, locate
from alignpca2d_core.alignment.fourier_pca import FourierPCA
from alignpca2d_core.alignment.scoring_precision import SCORING
from alignpca2d_core.alignment.screen_learning import learned_screen
from alignpca2d_core.alignment.screening import Screening
from alignpca2d_core.alignment.search_grids import Level, Schedule, nested_schedule
from alignpca2d_core.alignment.template_bank import Bank
from alignpca2d_core.averaging.class_averages import accumulate, average_mask, averages, filtered, shrunk
from alignpca2d_core.fourier.band import Band, as_real
from alignpca2d_core.preprocessing.mask_shape import MaskShape
from alignpca2d_core.preprocessing.preprocess import Vectors

BOX, RADIUS, VIEWS, WITHIN = 32, 9.0, 6, 10.0
KEEP = (12, 6, 3, 2)


@pytest.fixture(autouse=True)
def scored_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SCORING, "float32")
    monkeypatch.setattr(screen_learning, "LEAST_WORK", 0.0)


@pytest.fixture(scope="module")
def places() -> list[list[Spot]]:
    found = (torch.rand(VIEWS, 4, 2, generator=torch.Generator().manual_seed(5)) - 0.5) * 0.6
    return [[(x, y, 0.07, 1.0) for x, y in view] for view in found.tolist()]


def references(band: Band, places: list[list[Spot]]) -> Tensor:
    return band.to_vectors(torch.stack([torch.from_numpy(spots(BOX, view)) for view in places]))


def seen(band: Band, places: list[list[Spot]], angles: Tensor, noise: float = 0.5) -> Vectors:
    """Views in turn at these angles (n,), a little shifted."""
    generator = torch.Generator().manual_seed(2)
    poses = torch.cat((angles[:, None], 4 * torch.rand(len(angles), 2, generator=generator) - 2), 1)
    images = [stack(BOX, places[i % VIEWS], poses[i : i + 1]) for i in range(len(angles))]
    return as_particles(torch.cat(images), band, noise)


def learned(particles: Vectors, schedule: Schedule) -> FourierPCA:
    narrow = particles.narrowed(schedule.exhaustive.radius)
    return FourierPCA(0.95).partial_fit(as_real(narrow.band.compared(narrow.z))).finalize()


def near_axis(count: int, seed: int = 0) -> Tensor:
    """Angles within 8° of none or of half a turn."""
    generator = torch.Generator().manual_seed(seed)
    off = math.radians(16) * (torch.rand(count, generator=generator) - 0.5)
    return off + math.pi * torch.randint(2, (count,), generator=generator)


def test_rotations_of_a_window() -> None:
    level = Level(6.0, 2.0, 9.0, within=12.0)
    assert (level.rotations, level.searched) == (60, 10)
    degrees = torch.rad2deg(level.angles()).round().int().tolist()
    assert degrees == [0, 6, 12, 168, 174, 180, 186, 192, 348, 354]
    found = level.places(torch.deg2rad(torch.tensor([-5.0, 0.0, 178.0, 193.0])))
    assert [degrees[place] for place in found] == [354, 0, 180, 192]
    assert Level(6.0, 2.0, 9.0, within=0.0).searched == 2
    assert Level(6.0, 2.0, 9.0, within=90.0).searched == 60


def test_nothing_outside_the_window_is_found_and_all_inside_is(places: list[list[Spot]]) -> None:
    band = Band.make(BOX, RADIUS)
    schedule = nested_schedule(BOX, RADIUS, 4 / 3)
    angles = torch.cat((near_axis(60), torch.full((30,), math.pi / 2)))
    particles, views = seen(band, places, angles), references(band, places)
    narrow = schedule.along(WITHIN)
    found = locate(particles, views, narrow, learned(particles, narrow), KEEP).best(1)
    off = torch.remainder(torch.rad2deg(found.angle[:, 0]) + 90, 180) - 90
    assert float(off.abs().max()) <= WITHIN + 1e-3
    free = locate(particles, views, schedule, learned(particles, schedule), KEEP).best(1)
    torch.testing.assert_close(found.angle[:60], free.angle[:60], atol=0.03, rtol=0)
    assert torch.equal(found.classes[:60], free.classes[:60])


def test_a_window_is_screened_as_it_is_searched_in_full(places: list[list[Spot]]) -> None:
    band = Band.make(BOX, RADIUS)
    schedule = nested_schedule(BOX, RADIUS, 4 / 3).along(WITHIN)
    particles, views = seen(band, places, near_axis(120)), references(band, places)
    features = 2 * len(band.narrowed(schedule.exhaustive.radius))
    basis = FourierPCA.restored(1.0, torch.eye(features), torch.ones(features))
    full, bank = exhaustive(particles, views, schedule, basis), Bank.make(views, band, schedule.exhaustive, basis)
    screen = learned_screen(particles, full, bank, schedule)
    assert screen is not None
    (score, pair, _), left = Screening(bank, schedule, screen).nearest(particles, 1)
    assert not len(left)
    torch.testing.assert_close(score, full.score, atol=1e-3, rtol=1e-4)
    level = schedule.exhaustive
    torch.testing.assert_close(level.angles()[pair % level.searched], full.angle)


def test_particles_at_rest_are_compared_as_they_are(places: list[list[Spot]]) -> None:
    band = Band.make(BOX, RADIUS)
    schedule = nested_schedule(BOX, RADIUS, 4 / 3).at_rest()
    views = references(band, places)
    particles = Vectors(views.clone(), torch.ones(VIEWS, band.rings), band)
    found = locate(particles, views, schedule, learned(particles, schedule), KEEP).best(1)
    assert found.classes[:, 0].tolist() == list(range(VIEWS))
    assert not any(one.any() for one in found.pose())
    torch.testing.assert_close(found.score[:, 0], 0.5 * views.abs().square().sum(1), rtol=1e-4, atol=1e-3)


def test_low_rings_change_no_pose_and_stay_in_averages(places: list[list[Spot]]) -> None:
    band = Band.make(BOX, RADIUS, low=3)
    low = band.ring < 3
    schedule = nested_schedule(BOX, RADIUS, 4 / 3)
    particles = seen(band, places, near_axis(120))
    spoiled = Vectors(particles.z.clone(), particles.q, band)
    spoiled.z[:, low] += 50 * torch.randn(120, int(low.sum()), generator=torch.Generator().manual_seed(0))
    found = []
    for some in (particles, spoiled):
        basis = learned(some, schedule)
        held = basis.components_.unflatten(0, (-1, 2))
        assert float(held[low[: len(held)]].abs().max()) < 1e-5
        matches = locate(some, band.compared(references(band, places)), schedule, basis, KEEP).best(1)
        found.append(matches)
    torch.testing.assert_close(found[0].angle, found[1].angle)
    torch.testing.assert_close(found[0].score, found[1].score, rtol=1e-3, atol=1e-2)
    sums = accumulate(spoiled, found[0], VIEWS, torch.arange(120) % 2)
    average = averages(sums, band, average_mask(band, MaskShape(BOX / 2 - 2)))
    assert float(average.mean[:, low].abs().max()) > 1
    assert not filtered(average, band)[:, low].any()
    assert torch.equal(filtered(average, band)[:, ~low], shrunk(average, band)[:, ~low])
    assert band.narrowed(5.0).low == 3
