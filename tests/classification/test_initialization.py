"""Classes from nothing: none is left empty while the search is coarse."""

from __future__ import annotations

import pytest
import torch

from alignpca2d_core.alignment.matches import Matches
from alignpca2d_core.classification.discovery.initialization import replenished


def matches(sizes: list[int]) -> Matches:
    label = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))[:, None]
    pose = torch.arange(len(label), dtype=torch.float32)[:, None]
    return Matches(label, pose, pose + 1, pose + 2, pose + 3)


@pytest.mark.parametrize(
    ("sizes", "classes", "expected"),
    [
        ([9, 3], 4, [3, 3, 3, 3]),
        ([8], 4, [2, 2, 2, 2]),
        ([10, 10], 2, [10, 10]),
        ([100, 40], 5, [34, 20, 33, 33, 20]),
        ([5, 1, 1], 3, [5, 1, 1]),
    ],
)
def test_the_largest_are_dealt_out_evenly(sizes: list[int], classes: int, expected: list[int]) -> None:
    dealt = replenished(matches(sizes), len(sizes), classes, torch.Generator().manual_seed(0))
    assert torch.bincount(dealt.classes[:, 0], minlength=classes).tolist() == expected


def test_only_classes_change_and_only_those_of_the_largest() -> None:
    before = matches([30, 5])
    dealt = replenished(before, 2, 4, torch.Generator().manual_seed(0))
    assert all(torch.equal(a, b) for a, b in zip(before.pose(), dealt.pose(), strict=True))
    assert bool((dealt.classes[30:] == 1).all())
    assert before.classes[:30].unique().tolist() == [0]
    assert not torch.equal(dealt.classes[:30, 0], torch.arange(30) % 3), "dealt at random, not in order"
    again = replenished(before, 2, 4, torch.Generator().manual_seed(0))
    assert torch.equal(dealt.classes, again.classes)
