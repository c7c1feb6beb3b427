"""Stage 2: RMSProp by hand (eqs. 11 to 13), and sums that need no rate."""

from __future__ import annotations

import math

import pytest
import torch
from blobs import THREE, as_particles, random_poses, spots, stack

from alignpca2d_core.alignment.matches import Matches
from alignpca2d_core.averaging.class_averages import ClassSums, accumulate, averages
from alignpca2d_core.classification.rmsprop import RmsProp
from alignpca2d_core.fourier.band import Band

EVERY = torch.tensor([True])


def test_two_steps_by_hand() -> None:
    """g = C - mean; v = rho v + (1 - rho) g²; C = C - eta g / sqrt(v + eps), real and imaginary part apart."""
    optimiser = RmsProp(torch.tensor([[1.0 + 2.0j]]), rate=0.1, decay=0.9, epsilon=1e-8)
    first = optimiser.step(torch.tensor([[0.5 + 3.0j]]), EVERY)
    # g = 0.5 - 1j, v = 0.025 and 0.1
    real, imaginary = 1 - 0.1 * 0.5 / math.sqrt(0.025), 2 + 0.1 * 1 / math.sqrt(0.1)
    assert complex(first[0, 0]) == pytest.approx(complex(real, imaginary), abs=1e-6)
    second = optimiser.step(torch.tensor([[0.5 + 2.0j]]), EVERY)
    g_real, g_imaginary = real - 0.5, imaginary - 2.0
    v_real, v_imaginary = 0.9 * 0.025 + 0.1 * g_real**2, 0.9 * 0.1 + 0.1 * g_imaginary**2
    expected = complex(real - 0.1 * g_real / math.sqrt(v_real), imaginary - 0.1 * g_imaginary / math.sqrt(v_imaginary))
    assert complex(second[0, 0]) == pytest.approx(expected, abs=1e-6)


def test_epsilon_is_under_the_root() -> None:
    optimiser = RmsProp(torch.tensor([[0.02 + 0.0j]]), rate=1.0, decay=0.5, epsilon=0.01)
    moved = optimiser.step(torch.tensor([[0.0 + 0.0j]]), EVERY)
    assert float(moved.real) == pytest.approx(0.02 - 0.02 / math.sqrt(0.5 * 0.02**2 + 0.01), abs=1e-6)


def test_at_the_mean_nothing_moves() -> None:
    references = torch.randn(3, 5, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    optimiser = RmsProp(references)
    assert torch.equal(optimiser.step(references, torch.tensor([True] * 3)), references)


def test_classes_without_members_stay_and_forget_nothing() -> None:
    generator = torch.Generator().manual_seed(0)
    references, means = (torch.randn(2, 4, dtype=torch.complex64, generator=generator) for _ in range(2))
    optimiser, alone = RmsProp(references), RmsProp(references[1:])
    both, only = torch.tensor([True, True]), torch.tensor([False, True])
    for present in (both, only, both):
        found = optimiser.step(means, present)
        wanted = alone.step(means[1:], EVERY)
        torch.testing.assert_close(found[1:], wanted)
    twice = RmsProp(references[:1])
    twice.step(means[:1], EVERY)
    torch.testing.assert_close(found[:1], twice.step(means[:1], EVERY))


def test_the_start_is_not_changed() -> None:
    references = torch.ones(1, 3, dtype=torch.complex64)
    RmsProp(references).step(torch.zeros(1, 3, dtype=torch.complex64), EVERY)
    assert torch.equal(references, torch.ones(1, 3, dtype=torch.complex64))


def test_steady_batches_lead_to_their_mean_at_the_pace_of_the_rate() -> None:
    target = torch.tensor([[3.0 - 1.0j]])
    slow, quick = (RmsProp(torch.zeros(1, 1, dtype=torch.complex64), rate=rate) for rate in (0.001, 0.05))
    for _ in range(200):
        crept, walked = slow.step(target, EVERY), quick.step(target, EVERY)
    # A constant gradient moves by about the rate: 200 steps of 0.001 have hardly left the origin.
    assert float(crept.abs()) < 0.35
    assert float((walked - target).abs()) < 0.15


def batches(box: int = 32, count: int = 60) -> tuple[Band, list[ClassSums]]:
    band = Band.make(box, 10.0)
    poses = random_poses(count, 2.0)
    particles = as_particles(stack(box, THREE, poses), band, noise=0.5)
    angle, x, y = (column[:, None] for column in poses.unbind(1))
    matches = Matches(torch.zeros(count, 1, dtype=torch.long), angle, x, y, torch.zeros_like(angle))
    halves = torch.arange(count) % 2
    parts = torch.arange(count).split(20)
    return band, [accumulate(particles.rows(rows), matches.rows(rows), 1, halves[rows]) for rows in parts]


def test_sums_of_all_that_came_need_no_rate() -> None:
    band, parts = batches()
    mask = torch.ones(band.work_box, band.work_box)
    view = band.to_vectors(torch.from_numpy(spots(32, THREE)))
    whole = parts[0] + parts[1] + parts[2]
    assert whole.sizes.tolist() == [60.0]
    errors = [float((averages(sums, band, mask).mean[0] - view).norm()) for sums in (parts[0], whole)]
    assert errors[1] < 0.8 * errors[0]
