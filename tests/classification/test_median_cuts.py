"""Which classes are cut to make as many as are asked for."""

from __future__ import annotations

import pytest
import torch

from alignpca2d_core.classification.subdivision.median_cuts import cut_up, planned_cuts


def sizes_after(sizes: list[int], classes: int, whole: int | None = None) -> list[int]:
    members = list(sizes)
    for cut in planned_cuts(sizes, classes, whole):
        assert cut.new == len(members)
        members.append(members[cut.k] // 2)
        members[cut.k] -= members[cut.k] // 2
    return members


@pytest.mark.parametrize(
    ("sizes", "classes", "whole", "expected"),
    [
        ([10, 7], 2, None, [10, 7]),
        ([10, 7], 4, None, [5, 4, 5, 3]),
        ([7, 7], 3, None, [4, 7, 3]),
        ([5, 100], 3, 1, [3, 100, 2]),
        ([2, 100], 4, 1, [1, 50, 1, 50]),
    ],
)
def test_the_largest_is_cut_and_noise_last(
    sizes: list[int], classes: int, whole: int | None, expected: list[int]
) -> None:
    assert sizes_after(sizes, classes, whole) == expected


def test_halves_lie_on_either_side_of_where_members_differ_most() -> None:
    drawn = torch.Generator().manual_seed(0)
    features = torch.randn(40, 6, generator=drawn) * 0.1
    features[:, 2] += torch.linspace(-4, 4, 40)
    cuts = planned_cuts([0, 40], 4, None)
    child = cut_up(torch.ones(40, dtype=torch.long), features, cuts)
    assert torch.bincount(child).tolist() == [0, 10, 20, 10]
    ends = child[:10], child[-10:]
    assert all(len(torch.unique(end)) == 1 for end in ends)
    assert int(ends[0][0]) != int(ends[1][0])
