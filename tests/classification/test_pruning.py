"""Pruning: copies and leftovers go, classes that explain their members stay."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from alignpca2d_core.alignment.matches import Matches
from alignpca2d_core.classification.discovery.duplicates import DuplicatePair
from alignpca2d_core.classification.discovery.pruning import class_scores, redundant, worthless

FREEDOM = 50.0


def scores_of(members: list[int], gain: float, noise: float = 1.0, seed: int = 0) -> Tensor:
    """Scores (n, classes): each particle fits its own class better by ``gain``."""
    owner = torch.repeat_interleave(torch.arange(len(members)), torch.tensor(members))
    scores = noise * torch.randn(len(owner), len(members), generator=torch.Generator().manual_seed(seed))
    scores[torch.arange(len(owner)), owner] += gain
    return scores + 100.0


def gone(scores: Tensor, most: int = 99) -> list[int]:
    freedom = torch.full((scores.shape[1],), FREEDOM)
    return torch.nonzero(worthless(scores.clone(), freedom, most))[:, 0].tolist()


def test_distinct_classes_stay() -> None:
    assert gone(scores_of([100, 80, 60, 40], gain=20.0)) == []


def test_a_class_that_lives_on_noise_goes() -> None:
    """Its members would fit their second-best class hardly worse than their own."""
    scores = scores_of([100, 80, 60], gain=20.0)
    leftover = scores.max(1).values + torch.where(torch.arange(len(scores)) % 10 == 0, 0.5, -3.0)
    assert gone(torch.cat((scores, leftover[:, None]), 1)) == [3]


@pytest.mark.parametrize("copies", [1, 3])
def test_copies_go_and_one_of_them_stays(copies: int) -> None:
    scores = scores_of([100, 80, 60], gain=20.0)
    generator = torch.Generator().manual_seed(1)
    twins = scores[:, :1] + 0.3 * torch.randn(len(scores), copies, generator=generator)
    left = set(range(3 + copies)) - set(gone(torch.cat((scores, twins), 1)))
    assert {1, 2} < left
    assert len(left) == 3


def test_a_small_class_must_be_worth_its_average() -> None:
    """Worth grows with members and gain, the price with what the average could fit."""
    for members, gain, stays in ((10, 10.0, True), (10, 2.0, False), (40, 2.0, True)):
        scores = scores_of([200, members], gain, noise=0.1)
        assert (gone(scores) == []) is stays, (members, gain)


def test_no_more_than_asked_for_stay_and_the_least_worth_go() -> None:
    scores = scores_of([100, 20, 80, 30, 60], gain=20.0)
    assert gone(scores, most=3) == [1, 3]
    assert gone(scores, most=1) == [1, 2, 3, 4]


def test_one_class_always_stays() -> None:
    assert gone(torch.randn(50, 1, generator=torch.Generator().manual_seed(0))) == []
    assert len(gone(0.01 * torch.randn(50, 4, generator=torch.Generator().manual_seed(0)))) == 3
    assert len(gone(scores_of([10, 10], 20.0), most=0)) == 1


def test_best_score_of_each_class() -> None:
    """Scores that are not known count as bad, but not as infinitely bad."""
    classes = torch.tensor([[2, 0, 2], [1, 1, 3]])
    score = torch.tensor([[5.0, 7.0, 6.0], [-1.0, -2.0, 4.0]])
    nothing = torch.zeros_like(score)
    table = class_scores(Matches(classes, nothing, nothing, nothing, score), 4)
    assert table.tolist() == [[7.0, 0.0, 6.0, 0.0], [-1.0, -1.0, -1.0, 4.0]]


@pytest.mark.parametrize(("gain", "left"), [(1.2, {0, 2}), (20.0, {0, 1, 2})])
def test_of_averages_that_agree_the_lesser_goes_unless_it_is_worth_a_view(gain: float, left: set[int]) -> None:
    """The second class gains so much over the first, which has more members."""
    scores = scores_of([100, 60, 80], gain=30.0, noise=0.0)
    second = scores.argmax(1) == 1
    scores[second, 0] = scores[second, 1] - gain
    scores[scores.argmax(1) == 0, 1] = scores[:, 0].amax() - gain
    freedom, stay = torch.full((3,), FREEDOM), torch.zeros(3, dtype=torch.bool)
    assert not worthless(scores, freedom, 3).any()
    gone = redundant(scores, freedom, stay, [DuplicatePair(0, 1, 1.0)])
    assert set(torch.nonzero(~gone)[:, 0].tolist()) == left
    assert not redundant(scores, freedom, stay, []).any()


def test_what_has_gone_is_no_copy() -> None:
    """Of three averages that agree one stays, whatever the order of the pairs."""
    scores = scores_of([100, 90, 80], gain=0.5, noise=0.0)
    pairs = [DuplicatePair(0, 1, 1.0), DuplicatePair(1, 2, 0.99), DuplicatePair(0, 2, 0.99)]
    for order in (pairs, pairs[::-1]):
        gone = redundant(scores, torch.full((3,), FREEDOM), torch.zeros(3, dtype=torch.bool), order)
        assert int((~gone).sum()) == 1
