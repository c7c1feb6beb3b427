"""Images that hold more than the others of their micrograph, and what only is in thick ice."""

from __future__ import annotations

import math

import pytest
import torch

from alignpca2d_core.classification.junk_limits import LEAST_MISFIT, Limits
from alignpca2d_core.classification.overfull_images import (
    CoarsePower,
    beside_others,
    fullness,
    fullness_by,
    overfull,
)

MICROGRAPHS, EACH = 30, 40


@pytest.fixture
def figures() -> tuple[torch.Tensor, CoarsePower]:
    """Misfit and coarse power of images (n,): micrographs differ by as much as images of one do."""
    drawn = torch.Generator().manual_seed(3)
    micrograph = torch.arange(MICROGRAPHS).repeat_interleave(EACH)
    ice = 0.2 * torch.randn(2, MICROGRAPHS, generator=drawn)[:, micrograph]
    own = torch.tensor([[0.12], [0.3]]) * torch.randn(2, len(micrograph), generator=drawn)
    misfit, coarse = (ice + own).exp()
    return misfit, CoarsePower(coarse, micrograph)


def told(full: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Which images (n,) are overfull, (n,) bool."""
    found = torch.zeros(len(full), dtype=torch.bool)
    found[overfull(full, 1.0, lambda some: second[some])] = True
    return found


def test_aggregates_stand_out_in_all_three_together(figures: tuple[torch.Tensor, CoarsePower]) -> None:
    misfit, coarse = figures
    drawn = torch.Generator().manual_seed(5)
    second = torch.randn(len(misfit), generator=drawn).clamp_min(0)
    some = torch.arange(0, len(misfit), 60)
    misfit[some], coarse.power[some], second[some] = misfit[some] * 1.35, coarse.power[some] * 1.8, second[some] + 2.5
    found = told(fullness(misfit, coarse) / math.sqrt(2), second)
    others = torch.ones_like(found)
    others[some] = False
    assert found[some].double().mean() > 0.7
    assert found[others].double().mean() < 0.005
    nothing = torch.zeros_like(second)
    assert told(fullness(misfit, coarse) / math.sqrt(2), nothing)[some].double().mean() < 0.4
    assert told(nothing, second)[some].double().mean() == 0


def test_a_whole_micrograph_in_thick_ice_is_not_fuller(figures: tuple[torch.Tensor, CoarsePower]) -> None:
    misfit, coarse = figures
    before = fullness(misfit, coarse)
    thick = coarse.micrograph == 7
    misfit[thick], coarse.power[thick] = misfit[thick] * 1.6, coarse.power[thick] * 3
    torch.testing.assert_close(fullness(misfit, coarse), before)


def test_few_images_of_a_micrograph_are_held_against_all() -> None:
    figure, micrograph = torch.tensor([1.0, 2.0, 3.0, 9.0] + [5.0] * 8), torch.tensor([0] * 4 + [1] * 8)
    assert beside_others(figure, micrograph).tolist() == [-4.0, -3.0, -2.0, 4.0] + [0.0] * 8


def test_only_doubtful_images_are_searched_for_a_second_particle() -> None:
    full = torch.tensor([-torch.inf, 0.9, 1.1, 4.0, 4.3, 9.0])
    asked: list[int] = []

    def second(some: torch.Tensor) -> torch.Tensor:
        asked.extend(some.tolist())
        return torch.tensor([3.0, 3.0])

    # The limit is three deviations of both together, 3 * sqrt(2).
    assert overfull(full, 1.0, second).tolist() == [3, 4, 5]
    assert asked == [2, 3]


def test_images_that_come_later_are_held_against_what_was_usual(figures: tuple[torch.Tensor, CoarsePower]) -> None:
    misfit, _ = figures
    limits = Limits.of(1.0, misfit)
    torch.testing.assert_close(fullness_by(limits, misfit), fullness(misfit, None))
    assert bool((fullness_by(Limits(), 100 * misfit) == 0).all())  # where nothing is known to be usual
    alike = torch.linspace(0.99, 1.01, 101)
    far = float(fullness_by(Limits.of(1.0, alike), torch.tensor([LEAST_MISFIT]))[0])
    assert far == pytest.approx(3.0, abs=1e-3)
