"""Passes over the sample: empty views go, and the passes come to an end."""

from __future__ import annotations

import math

import pytest
import torch

from alignpca2d_core.alignment.matches import Matches
from alignpca2d_core.classification.discovery.pruning import class_scores, worthless
from alignpca2d_core.classification.discovery.sample_refinement import (
    MOST_PASSES,
    STEADY,
    SURE,
    Passes,
    is_unsure,
    moved_share,
    without,
)


def found(classes: list[list[int]], scores: list[list[float]]) -> Matches:
    label, score = torch.tensor(classes), torch.tensor(scores)
    still = torch.zeros_like(score)
    return Matches(label, still, still.clone(), still.clone(), score)


def test_a_copy_goes_and_views_stay() -> None:
    """Two views; members of a third class hardly lose anything in the first."""
    classes = [[0, 2]] * 50 + [[1, 0]] * 50 + [[2, 0]] * 20
    scores = [[60.0, 55.0]] * 50 + [[60.0, 0.0]] * 50 + [[60.0, 59.0]] * 20
    gone = worthless(class_scores(found(classes, scores), 3), torch.full((3,), 100.0), 3)
    assert gone.tolist() == [False, False, True]
    left = without(found(classes, scores), gone)
    assert left.classes[:, 0].tolist() == [0] * 50 + [1] * 50 + [0] * 20
    assert left.score[-1, 0] == 59.0


def test_classes_are_renumbered_and_no_particle_is_lost() -> None:
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
