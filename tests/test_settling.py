"""Passes over the sample: own noise is taken off, copies go, and the passes come to an end."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from alignpca2d_core.classes import averages
from alignpca2d_core.fourier import Band
from alignpca2d_core.matches import Matches
from alignpca2d_core.preprocess import Vectors
from alignpca2d_core.scope import Scope
from alignpca2d_core.scoring import Templates
from alignpca2d_core.settling import (
    MOST_PASSES,
    STEADY,
    SURE,
    Passes,
    as_before,
    copies,
    is_unsure,
    moved_share,
    without,
    without_own,
)

BOX, RADIUS = 48, 10.0
MEMBERS = 40


def found(classes: list[list[int]], scores: list[list[float]]) -> Matches:
    label, score = torch.tensor(classes), torch.tensor(scores)
    still = torch.zeros_like(score)
    return Matches(label, still, still.clone(), still.clone(), score)


def noise_in_two_classes(seed: int) -> tuple[Scope, Tensor]:
    """Particles of nothing but noise, dealt out to two classes."""
    generator = torch.Generator().manual_seed(seed)
    band = Band.make(BOX, RADIUS)
    z = torch.view_as_complex(torch.randn(2 * MEMBERS, len(band), 2, generator=generator))
    particles = Vectors(z, torch.ones(len(z), band.rings), band)
    halves = torch.arange(len(z)) % 2
    return Scope.make(particles, halves, 1e6), torch.arange(len(z)) // MEMBERS


def scores_at_rest(particles: Vectors, references: Tensor) -> Tensor:
    """Re<z, x> - |x|²/2 of each particle with each reference, as it lies; (n, k)."""
    band = particles.band
    overlap = torch.stack([band.ring_sum((particles.z * x.conj()).real).sum(1) for x in references], 1)
    return overlap - 0.5 * torch.stack([band.ring_sum(x.abs() ** 2).sum() for x in references])


def test_noise_prefers_its_own_average_until_what_it_finds_of_itself_is_taken_off() -> None:
    """Against the scores with averages that really lack the particle."""
    scope, before = noise_in_two_classes(0)
    particles, band = scope.particles, scope.particles.band
    sums = scope.sums(Matches.at_rest(before), 2)
    average = averages(sums, band, scope.mask)
    templates = Templates.of(average.mean, average, band)
    scores = scores_at_rest(particles, average.mean)
    own = scores.gather(1, before[:, None])[:, 0]
    other = scores.gather(1, 1 - before[:, None])[:, 0]
    assert float((own - other).mean()) > 0.5 * len(band) / MEMBERS
    order = scores.sort(1, descending=True)
    matches = found(order.indices.tolist(), order.values.tolist())
    cleared = without_own(matches, particles, templates, Matches.at_rest(before))
    mine = cleared.score.masked_fill(cleared.classes != before[:, None], 0.0).sum(1)
    truly = torch.empty(len(before))
    for i, k in enumerate(before.tolist()):
        others = torch.arange(len(before)) != i
        average = scope.rows(others).average(Matches.at_rest(before[others]), 2)
        truly[i] = scores_at_rest(particles.rows(slice(i, i + 1)), average.mean[k : k + 1])
    bias = float((own - truly).mean())
    assert bias > 10 * abs(float((mine - truly).mean()))


def test_best_comes_first_once_own_noise_is_off() -> None:
    band = Band.make(BOX, RADIUS)
    particles = Vectors(torch.zeros(2, len(band), dtype=torch.complex64), torch.ones(2, band.rings), band)
    own = torch.zeros(2, band.rings)
    own[0, 0] = 3.0
    templates = Templates(torch.zeros(2, len(band), dtype=torch.complex64), torch.zeros(2, band.rings), own)
    best, before = found([[0, 1], [1, 0]], [[5.0, 4.0], [5.0, 4.0]]), Matches.at_rest(torch.tensor([0, 0]))
    left = without_own(best, particles, templates, before)
    assert left.classes.tolist() == [[1, 0], [1, 0]]
    assert left.score.tolist() == [[4.0, 2.0], [5.0, 1.0]]


def test_a_copy_goes_and_views_stay() -> None:
    """Two views; members of a third class hardly lose anything in the first."""
    classes = [[0, 2]] * 50 + [[1, 0]] * 50 + [[2, 0]] * 20
    scores = [[60.0, 55.0]] * 50 + [[60.0, 0.0]] * 50 + [[60.0, 59.0]] * 20
    gone = copies(found(classes, scores), torch.full((3,), 100.0))
    assert gone.tolist() == [False, False, True]
    left = without(found(classes, scores), gone)
    assert left.classes[:, 0].tolist() == [0] * 50 + [1] * 50 + [0] * 20
    assert left.score[-1, 0] == 59.0


def test_classes_are_numbered_anew_and_nobody_is_lost() -> None:
    left = without(found([[0, 1], [1, 0], [2, 3], [3, 2]], [[9.0, 8.0]] * 4), torch.tensor([True, True, False, False]))
    assert left.classes[:, 0].tolist() == [0, 0, 0, 1]
    assert left.score[:, 0].tolist() == [0.0, 0.0, 9.0, 9.0]
    assert int(left.classes.max()) < 2


@pytest.mark.parametrize(
    ("classes", "scores", "moved"),
    [
        ([0, 1], [9.0, 0.0], 0.0),  # stays
        ([1, 0], [9.0, 0.0], 1.0),  # clearly better elsewhere
        ([1, 0], [9.0, 8.0], 0.0),  # as good as before
        ([1, 2], [9.0, 8.0], 1.0),  # its class is not even second
        ([3, 0], [9.0, 0.0], 0.0),  # into a class that goes
    ],
)
def test_what_counts_as_moved(classes: list[int], scores: list[float], moved: float) -> None:
    gone = torch.tensor([False, False, False, True])
    assert moved_share(found([classes], [scores]), torch.tensor([0]), gone) == moved


def test_who_is_sure_is_not_asked_again() -> None:
    """Sure of a class; in doubt between two; sure of one that goes; and with no other class at all."""
    matches = found(
        [[0, 1], [0, 1], [2, 0], [1, 0]],
        [[2 * SURE, 0.0], [2 * SURE, 1.5 * SURE], [2 * SURE, 0.0], [0.0, -math.inf]],
    )
    assert is_unsure(matches, torch.tensor([False, False, True])).tolist() == [False, True, True, False]


@pytest.mark.parametrize(
    ("moved", "enough"),
    [
        ([], False),
        ([STEADY / 2], True),
        ([10 * STEADY], False),
        ([10 * STEADY, 5 * STEADY], False),
        ([10 * STEADY, 9 * STEADY], True),
        ([2.0**-i for i in range(MOST_PASSES)], True),
    ],
)
def test_passes_end_when_few_move_or_no_fewer_than_before(moved: list[float], enough: bool) -> None:
    assert Passes(moved).are_enough() is enough


@pytest.mark.parametrize(
    ("label", "angle", "x", "same"),
    [
        (0, 0.0, 0.0, True),
        (0, 2 * math.pi - 0.05, 0.0, True),
        (0, 0.5 / RADIUS, 0.1 * BOX / RADIUS, True),
        (1, 0.0, 0.0, False),
        (0, 2.0 / RADIUS, 0.0, False),
        (0, 0.0, BOX / RADIUS, False),
    ],
)
def test_noise_is_found_again_only_where_it_was(label: int, angle: float, x: float, same: bool) -> None:
    now = Matches(torch.tensor([[label]]), *(torch.tensor([[value]]) for value in (angle, x, 0.0, 0.0)))
    assert as_before(now, Matches.at_rest(torch.tensor([0])), Band.make(BOX, RADIUS)).tolist() == [[same]]
