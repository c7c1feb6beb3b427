"""Which classes are cut to make as many as are asked for, and where."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from alignpca2d_core.classification.subdivision.median_cuts import FamilyCuts, divide_most_varied, planned_cuts


class FamiliesOf:
    """Families whose members are known by their features (n, d)."""

    def __init__(self, features: Tensor, family: Tensor) -> None:
        self._features, self._family = features, family
        self.asked: list[int] = []

    def here(self) -> Iterator[int]:
        return iter(torch.unique(self._family).tolist())

    def rows(self, number: int) -> Tensor:
        return torch.nonzero(self._family == number)[:, 0]

    def features(self, number: int) -> Tensor:
        self.asked.append(number)
        return self._features[self.rows(number)]


def along(first: float, count: int, dimensions: int = 6, seed: int = 0) -> Tensor:
    """Members that differ by ``first`` deviations along one direction, and by a tenth along the others."""
    drawn = torch.randn(count, dimensions, generator=torch.Generator().manual_seed(seed)) * 0.1
    drawn[:, 2] += first * torch.linspace(-1.7, 1.7, count)
    return drawn


def divided(parts: list[Tensor], classes: int, whole: int | None = None) -> tuple[list[int], list[int], FamiliesOf]:
    """Sizes of the classes and their views, where each part is a view and a family of its own."""
    label = torch.repeat_interleave(torch.arange(len(parts)), torch.tensor([len(part) for part in parts]))
    families = FamiliesOf(torch.cat(parts), label)
    separated = SimpleNamespace(matches=SimpleNamespace(classes=label[:, None]), family=torch.arange(len(parts)))
    child, view_of = divide_most_varied(families, separated, classes, whole)
    assert torch.equal(view_of[child], label)
    return torch.bincount(child, minlength=len(view_of)).tolist(), view_of.tolist(), families


def test_what_varies_is_cut_before_what_is_large_and_alike() -> None:
    parts = [along(0.2, 300), along(3.0, 60, seed=1)]
    assert divided(parts, 2)[:2] == ([300, 60], [0, 1])
    assert divided(parts, 3)[:2] == ([300, 30, 30], [0, 1, 1])
    assert divided(parts, 1)[:2] == ([300, 60], [0, 1])  # no view is left out


def test_of_views_that_vary_alike_the_largest_is_cut() -> None:
    assert divided([along(1.0, 40), along(1.0, 100, seed=1)], 4)[1] == [0, 1, 1, 0]
    noise = [torch.randn(count, 30, generator=torch.Generator().manual_seed(count)) for count in (200, 60)]
    assert divided(noise, 3)[:2] == ([100, 60, 100], [0, 1, 0])


def test_noise_is_cut_last_and_not_looked_at_before() -> None:
    parts = [along(0.2, 3), along(3.0, 100, seed=1)]
    sizes, views, families = divided(parts, 4, whole=1)
    assert (sizes, views) == ([1, 100, 1, 1], [0, 1, 0, 0])
    assert families.asked == [0]
    assert divided(parts, 6, whole=1)[:2] == ([1, 25, 1, 1, 50, 25], [0, 1, 0, 0, 1, 1])


def test_particles_can_become_classes_of_one() -> None:
    sizes, _, _ = divided([along(1.0, 5), along(1.0, 1), along(0.5, 2)], 8)
    assert sizes == 8 * [1]


@pytest.mark.parametrize("classes", [2, 4, 9])
def test_fewer_cuts_are_the_first_of_more(classes: int) -> None:
    """Ranks plan more than will be carried out."""
    first = [FamilyCuts(along(1.0, 64, seed=seed)).cut(seed, 1, torch.arange(64), torch.inf) for seed in range(2)]
    more, fewer = planned_cuts(first, 20), planned_cuts(first, classes)
    assert len(fewer) == classes
    assert [(cut.view, cut.path) for cut in more[:classes]] == [(cut.view, cut.path) for cut in fewer]
    assert [cut.rank for cut in more] == sorted(cut.rank for cut in more)


def test_halves_lie_on_either_side_of_where_members_differ_most() -> None:
    sizes, views, _ = divided([along(4.0, 40)], 4)
    assert (sorted(sizes), views) == ([10, 10, 10, 10], [0, 0, 0, 0])
    [cut] = planned_cuts([FamilyCuts(along(4.0, 40)).cut(0, 1, torch.arange(40), torch.inf)], 1)
    assert {tuple(cut.kept.tolist()), tuple(cut.new.tolist())} == {tuple(range(20)), tuple(range(20, 40))}
