"""What a round changed, whatever numbers the classes carry."""

from __future__ import annotations

import pytest
import torch

from alignpca2d_core.averaging.convergence import changed_share


def share(before: list[int], after: list[int]) -> float:
    return changed_share(torch.tensor(before), torch.tensor(after))


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ([0, 0, 1, 1, 2, 2], [0, 0, 1, 1, 2, 2], 0),
        ([0, 0, 1, 1, 2, 2], [2, 2, 0, 0, 5, 5], 0),
        ([0, 0, 0, 0, 1, 1], [0, 0, 0, 2, 1, 1], 1 / 6),
        ([0, 0, 0, 1, 1, 2], [0, 0, 0, 1, 1, 1], 1 / 6),
        ([0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 1, 0], 2 / 6),
    ],
    ids=["same", "renumbered", "split", "merged", "exchanged"],
)
def test_share(before: list[int], after: list[int], expected: float) -> None:
    assert share(before, after) == pytest.approx(expected)


def test_of_no_particles() -> None:
    assert changed_share(torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.int64)) == 0
