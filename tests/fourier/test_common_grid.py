"""Images of several pixel sizes on one grid: against functions whose values are known everywhere."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from alignpca2d_core.fourier.common_grid import Grid, common_grid, is_like, resample, resampling_matrix


def bumps(grid: Grid, level: float = 3.0) -> NDArray[np.float32]:
    """Two smooth bumps off centre, the same in Å whatever the grid, on a flat background; (1, box, box)."""
    y, x = (np.mgrid[: grid.box, : grid.box] - grid.box // 2) * grid.pixel_size
    first = np.exp(-((x - 14.0) ** 2 + (y + 9.0) ** 2) / (2 * 12.0**2))
    return (level + first - 0.5 * np.exp(-((x + 21.0) ** 2 + y**2) / (2 * 10.0**2)))[None].astype(np.float32)


@pytest.mark.parametrize("source", [Grid(64, 3.0), Grid(65, 3.0), Grid(75, 2.5), Grid(128, 1.61), Grid(90, 3.0)])
@pytest.mark.parametrize("target", [Grid(40, 4.7), Grid(41, 4.7), Grid(48, 4.0), Grid(60, 3.0)])
def test_known_function(source: Grid, target: Grid) -> None:
    found = resample(bumps(source), resampling_matrix(source, target))
    np.testing.assert_allclose(found, bumps(target), atol=1e-4)


def test_cropping_the_fourier_transform_where_the_sides_are_equal() -> None:
    source, target = Grid(64, 1.5), Grid(48, 2.0)
    images = np.random.default_rng(0).normal(size=(3, 64, 64)).astype(np.float32)
    spectrum = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(images, axes=(1, 2))), axes=(1, 2))[:, 9:56, 9:56]
    whole = np.zeros((3, 48, 48), dtype=complex)
    whole[:, 1:, 1:] = spectrum
    expected = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(whole, axes=(1, 2))), axes=(1, 2)).real * (48 / 64) ** 2
    found = resample(images, resampling_matrix(source, target))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_frequencies_that_the_grid_cannot_hold_are_left_out() -> None:
    x = np.arange(64)
    fast = np.broadcast_to(np.cos(2 * np.pi * 20 * x / 64), (1, 64, 64)).astype(np.float32)
    slow = np.broadcast_to(np.cos(2 * np.pi * 5 * (x - 32) / 64), (1, 64, 64)).astype(np.float32)
    matrix = resampling_matrix(Grid(64, 1.0), Grid(32, 2.0))
    np.testing.assert_allclose(resample(fast, matrix), 0.0, atol=1e-5)
    np.testing.assert_allclose(
        resample(slow, matrix)[0, 0], np.cos(2 * np.pi * 5 * (np.arange(32) - 16) / 32), atol=1e-5
    )


def test_a_smaller_image_is_surrounded_by_the_level_of_its_border() -> None:
    found = resample(bumps(Grid(60, 3.0)), resampling_matrix(Grid(60, 3.0), Grid(80, 3.0)))
    np.testing.assert_allclose(found, bumps(Grid(80, 3.0)), atol=2e-3)


@pytest.mark.parametrize(
    ("grids", "expected"),
    [
        ([Grid(128, 1.06), Grid(100, 1.4)], Grid(96, 1.4)),
        ([Grid(128, 1.0), Grid(96, 1.0)], Grid(96, 1.0)),
        ([Grid(101, 2.0), Grid(240, 1.0)], Grid(101, 2.0)),
        ([Grid(64, 2.0)], Grid(64, 2.0)),
    ],
)
def test_grid_of_several(grids: list[Grid], expected: Grid) -> None:
    assert common_grid(grids) == expected


def test_sizes_that_almost_agree_are_one() -> None:
    assert is_like(Grid(64, 1.01), Grid(64, 1.0))
    assert not is_like(Grid(64, 1.05), Grid(64, 1.0))
    assert not is_like(Grid(66, 1.0), Grid(64, 1.0))
