"""The gallery: every average in its place, with a contrast that shows the particle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("PIL")

from PIL import Image, ImageColor

from alignpca2d_core.io.particle_reading import read_particles
from alignpca2d_core.io.stacks import StackReader
from alignpca2d_core.report.gallery import (
    BACKGROUND,
    FRAME_COLOURS,
    Captions,
    _Layout,
    scale_bar_angstrom,
    write_gallery,
)


def gallery(folder: Path, averages: np.ndarray, about: dict[str, Any] | None = None) -> np.ndarray:
    count = len(averages)
    captions = Captions(np.full(count, 123456), np.full(count, 12.3), **(about or {}))
    write_gallery(folder / "gallery.png", averages, captions)
    with Image.open(folder / "gallery.png") as picture:
        return np.asarray(picture.convert("RGB" if about else "L"))


def tiles(picture: np.ndarray, count: int) -> list[np.ndarray]:
    layout = _Layout.of(count)
    corners = [layout.corner(number) for number in range(count)]
    return [picture[y : y + layout.tile, x : x + layout.tile] for x, y in corners]


def discs(count: int, box: int = 32) -> np.ndarray:
    """Average i is a bright disc on a noisy ground, further to the right the larger i is."""
    y, x = np.mgrid[:box, :box] - box // 2
    shifts = np.linspace(-box / 4, box / 4, count)[:, None, None]
    noise = np.random.default_rng(0).normal(size=(count, box, box))
    return (10.0 * (np.hypot(x - shifts, y) < box / 8) + noise).astype(np.float32)


@pytest.mark.parametrize("count", [1, 2, 7, 50, 400])
def test_pages_are_no_larger_than_needed_and_nothing_overlaps(count: int) -> None:
    layout = _Layout.of(count)
    width, height = layout.canvas
    taken = np.zeros((height, width), dtype=int)
    for number in range(count):
        x, y = layout.corner(number)
        taken[y : y + layout.tile + layout.caption, x : x + layout.tile] += 1
    assert taken.max() == 1
    assert taken.sum() == count * layout.tile * (layout.tile + layout.caption)
    assert width <= 3200
    assert count < 7 or 0.9 < width / height < 2.2


def test_averages_stand_in_their_order(tmp_path: Path) -> None:
    for tile, expected in zip(tiles(gallery(tmp_path, discs(7)), 7), np.linspace(-8, 8, 7), strict=True):
        bright = np.argwhere(tile > 200)[:, 1].mean() / len(tile) * 32 - 16
        assert bright == pytest.approx(expected, abs=0.7)


def test_contrast_does_not_depend_on_scale_or_on_what_lies_outside_the_disc(tmp_path: Path) -> None:
    averages = np.stack([discs(1)[0]] * 3)
    averages[1] = averages[1] * 1e-4 - 0.5
    averages[2, :3, :3] = 1e6
    plain, scaled, spoiled = tiles(gallery(tmp_path, averages), 3)
    assert np.abs(plain.astype(int) - scaled).max() <= 2
    inner = slice(len(plain) // 4, -len(plain) // 4)
    assert np.abs(plain.astype(int) - spoiled)[inner, inner].max() <= 2
    assert plain.min() < 20
    assert plain.max() > 235


def test_empty_and_broken_averages_are_drawn_all_the_same(tmp_path: Path) -> None:
    averages = np.zeros((3, 16, 16), dtype=np.float32)
    averages[1] = np.nan
    averages[2, 8, 8] = np.inf
    for tile in tiles(gallery(tmp_path, averages), 3):
        assert np.ptp(tile) == 0


def test_captions_are_there_and_within_their_tile(tmp_path: Path) -> None:
    layout, picture = _Layout.of(400), gallery(tmp_path, discs(400, box=8))
    x, y = layout.corner(399)
    caption = picture[y + layout.tile : y + layout.tile + layout.caption, x - layout.gap : x + layout.tile + layout.gap]
    inked = np.flatnonzero((caption > 100).any(axis=0)) - layout.gap
    assert inked.min() >= 0
    assert inked.max() <= layout.tile
    gaps = np.diff(inked)
    assert (gaps > 4).sum() >= 2, "number, particles and resolution must not touch"


@pytest.mark.parametrize(("side", "length"), [(226.6, 100), (400, 100), (401, 200), (96, 50), (1000, 500), (79, 20)])
def test_scale_bars_are_round(side: float, length: float) -> None:
    assert scale_bar_angstrom(side) == length


def test_a_scale_bar_is_as_long_as_it_says(tmp_path: Path) -> None:
    """32 px of 5 Å: 50 Å are ten pixels of the average."""
    picture = gallery(tmp_path, np.zeros((3, 32, 32), dtype=np.float32), {"sampling_rate": 5.0})
    for tile in tiles(picture.min(axis=2), 3):
        white = (tile[-len(tile) // 6 :] == 255).sum(axis=1)
        assert white.max() == pytest.approx(len(tile) * 10 / 32, abs=1.5)


def test_frames_tell_the_verdict(tmp_path: Path) -> None:
    verdicts = ["good", "junk", None, "doubtful"]
    picture, layout = gallery(tmp_path, discs(4), {"verdicts": verdicts}), _Layout.of(4)
    for number, verdict in enumerate(verdicts):
        x, y = layout.corner(number)
        expected = ImageColor.getrgb(FRAME_COLOURS.get(verdict, BACKGROUND))
        assert tuple(picture[y - 1, x + 9]) == expected
        assert tuple(picture[y + 9, x + layout.tile]) == expected


def test_real_averages_show_a_bright_particle_on_a_darker_ground(tmp_path: Path, shared_data: Path) -> None:
    averages = StackReader(read_particles(shared_data / "stacks/slicem/mixture_2D.mrcs")).read(np.arange(12))
    for tile in tiles(gallery(tmp_path, averages), 12):
        quarter = len(tile) // 4
        centre = tile[quarter:-quarter, quarter:-quarter]
        assert centre.mean() > tile.mean() + 20
        assert (tile == 255).mean() < 0.02
