"""The schedule of grids, as the paper prints it for 128 px and in proportion elsewhere."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from alignpca2d_core.alignment.search_grids import Level, nested_schedule
from alignpca2d_core.fourier.band import Band

BOXES = (32, 33, 64, 65, 100, 127, 128, 180, 256, 360, 512)


def radius_of(box: int, share: float) -> float:
    return max(4.0, share * ((box - 1) // 2))


def test_first_grid_of_the_paper() -> None:
    """Section 2.1: 8 degrees over the whole circle, ±15 pixels in steps of 5, 49 shifts."""
    schedule = nested_schedule(128, 28.4)
    first = schedule.exhaustive
    assert first.rotation_step == 8.0
    assert first.rotations == 45
    assert first.shift_step == pytest.approx(5.0)
    shifts = first.shifts(schedule.reach)
    assert shifts.shape == (49, 2)
    assert sorted(set(shifts[:, 0].tolist())) == pytest.approx([-15, -10, -5, 0, 5, 10, 15])
    assert torch.equal(shifts[:, 0].unique(), shifts[:, 1].unique())


@pytest.mark.parametrize("box", BOXES)
def test_first_grid_in_proportion(box: int) -> None:
    schedule = nested_schedule(box, radius_of(box, 0.6))
    assert schedule.exhaustive.rotation_step == 8.0
    assert schedule.exhaustive.shift_step == pytest.approx(5 / 128 * box)
    reached = float(schedule.exhaustive.shifts(schedule.reach).max())
    assert reached == pytest.approx(15 / 128 * box)
    assert schedule.reach == pytest.approx(0.12 * box, abs=0.01)


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize("share", [0.15, 0.5, 1.0])
def test_ends_as_fine_as_the_paper_on_the_whole_band(box: int, share: float) -> None:
    radius = radius_of(box, share)
    schedule = nested_schedule(box, radius)
    final = schedule.final
    assert final.rotation_step <= 2.0
    assert final.shift_step <= max(1.0, box / 128)
    assert final.radius == pytest.approx(radius)
    # No finer than the band can tell apart: a sixteenth of its period would be waste.
    assert final.shift_step > box / radius / 64


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize("share", [0.15, 0.5, 1.0])
def test_levels_are_nested(box: int, share: float) -> None:
    schedule = nested_schedule(box, radius_of(box, share))
    levels = (schedule.exhaustive, *schedule.local)
    for coarse, fine in itertools.pairwise(levels):
        assert fine.rotation_step < coarse.rotation_step
        assert fine.shift_step < coarse.shift_step
        assert fine.radius >= coarse.radius
        # The step of a level lies within what the level before leaves open, so that one step aside finds it.
        assert fine.rotation_step >= coarse.rotation_step / 2
        assert fine.shift_step >= coarse.shift_step / 2
    bands = [Band.make(box, level.radius) for level in levels]
    lengths = [len(band) for band in bands]
    assert lengths == sorted(lengths)
    assert all(360 % level.rotation_step == 0 for level in levels)


def test_angles_cover_the_circle_once() -> None:
    level = Level(8.0, 5.0, 10.0)
    angles = level.angles()
    assert len(angles) == 45
    torch.testing.assert_close(angles.diff(), torch.full((44,), math.radians(8.0)), atol=1e-5, rtol=0)
    assert float(angles[-1]) + math.radians(8.0) == pytest.approx(2 * math.pi, abs=1e-5)


def test_shifts_are_a_square_grid_about_zero() -> None:
    shifts = Level(8.0, 1.5, 10.0).shifts(3.2)
    wanted = {(x, y) for x in (-3.0, -1.5, 0.0, 1.5, 3.0) for y in (-3.0, -1.5, 0.0, 1.5, 3.0)}
    assert {tuple(pair) for pair in shifts.tolist()} == wanted
    assert torch.equal(Level(8.0, 2.0, 10.0).shifts(1.9), torch.zeros(1, 2))


def test_a_finer_schedule_starts_finer_and_wider_and_ends_as_fine() -> None:
    plain, fine = nested_schedule(128, 28.4), nested_schedule(128, 28.4, 4 / 3)
    assert fine.exhaustive.rotation_step == pytest.approx(6.0)
    assert fine.exhaustive.shift_step == pytest.approx(3.75)
    assert plain.exhaustive.radius < fine.exhaustive.radius < 1.2 * plain.exhaustive.radius
    assert fine.final.radius == pytest.approx(28.4)
    assert fine.final.rotation_step <= plain.final.rotation_step
