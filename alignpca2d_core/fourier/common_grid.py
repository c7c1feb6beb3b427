"""Images of different pixel sizes and boxes on one grid, by trigonometric interpolation.

An image of B pixels of p Å is the trigonometric polynomial through its pixels.  It is evaluated at the pixels of a
grid of T pixels of q Å about the same centre, without the frequencies that the grid cannot hold: what cropping and
padding the Fourier transform does where T·q = B·p, at any ratio of the two.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float32s = NDArray[np.float32]


PIXEL_SIZE_TOLERANCE = 0.02
"""Pixel sizes that differ by no more than this share are taken for one."""


@dataclass(frozen=True)
class Grid:
    """Images of ``box`` pixels a side of ``pixel_size`` Å."""

    box: int
    pixel_size: float


def is_like(size: Grid, grid: Grid) -> bool:
    """Whether images need not be changed: of the same box, and of a pixel size that differs by no more than 2 %."""
    return size.box == grid.box and abs(size.pixel_size / grid.pixel_size - 1.0) <= PIXEL_SIZE_TOLERANCE


def common_grid(grids: Collection[Grid]) -> Grid:
    """The finest grid that asks nothing of any image which it does not hold.

    Its pixels are the coarsest of all, for frequencies beyond an image's own hold neither signal nor noise; its side
    is the shortest of all in Å, for pixels outside an image would have to be invented.
    """
    pixel_size = max(grid.pixel_size for grid in grids)
    side = min(grid.box * grid.pixel_size for grid in grids)
    box = math.floor(side / pixel_size + 1e-6)
    same = next((grid.box for grid in grids if grid.pixel_size == pixel_size and grid.box == box), None)
    return Grid(box if same or box % 2 == 0 else box - 1, pixel_size)


def resampling_matrix(source: Grid, target: Grid) -> Float32s:
    """What takes the rows, or the columns, of an image to another grid about the same centre: (target, source)."""
    half_source, half_target = source.box // 2, target.box // 2
    positions = (np.arange(target.box) - half_target) * target.pixel_size / source.pixel_size + half_source
    if source.pixel_size == target.pixel_size:
        matrix = (positions[:, None] == np.arange(source.box)).astype(np.float32)
        return np.ascontiguousarray(matrix)
    ratio = source.box * source.pixel_size / target.pixel_size
    most = min((source.box - 1) // 2, math.ceil(ratio / 2) - 1)
    distance = positions[:, None] - np.arange(source.box)
    angle = np.pi / source.box * distance
    on_pixel = np.abs(np.sin(angle)) < 1e-9
    # The Dirichlet kernel: all frequencies up to `most` with the same weight.
    kernel = np.sin((2 * most + 1) * angle) / np.where(on_pixel, 1.0, np.sin(angle))
    kernel[on_pixel] = 2 * most + 1
    kernel[(positions < -0.5) | (positions > source.box - 0.5)] = 0.0
    return np.ascontiguousarray(kernel / source.box, dtype=np.float32)


def resample(images: Float32s, matrix: Float32s) -> Float32s:
    """Images (n, B, B) on another grid, (n, T, T); pixels outside an image get the mean of its border."""
    border = np.concatenate([images[:, 0], images[:, -1], images[:, :, 0], images[:, :, -1]], axis=1)
    level = border.mean(axis=1, dtype=np.float64).astype(np.float32)[:, None, None]
    return np.asarray(matrix @ (images - level) @ matrix.T + level, dtype=np.float32)


class ImageSizes:
    """The boxes and pixel sizes of n images, and the grid that they are brought to.

    Parameters
    ----------
    boxes : (n,) array
    pixel_sizes : array that broadcasts to (n,), Å
    rows : (m,) array
        The images that count.
    grid : Grid, optional
        By default what all of them can be brought to.

    Attributes
    ----------
    grid : Grid or None
        None where all images are on it already.
    number : (n,) int32 array
        Which of the distinct sizes an image has.
    """

    def __init__(
        self, boxes: NDArray[np.int64], pixel_sizes: ArrayLike, rows: NDArray[Any], grid: Grid | None = None
    ) -> None:
        pairs = np.stack([boxes, np.broadcast_to(pixel_sizes, len(boxes))], axis=1)[rows]
        several = bool(np.ptp(pairs, axis=0).any())
        kinds, inverse = np.unique(pairs if several else pairs[:1], axis=0, return_inverse=True)
        self.number = np.zeros(len(boxes), dtype=np.int32)
        self.number[rows] = inverse.reshape(-1) if several else 0
        self._sizes = [Grid(int(box), float(rate)) for box, rate in kinds]
        grid = grid or common_grid(self._sizes)
        self.grid = None if all(is_like(size, grid) for size in self._sizes) else grid
        self._matrices = [resampling_matrix(size, grid) if self.grid and size != grid else None for size in self._sizes]

    @property
    def pixels_per_grid_pixel(self) -> NDArray[np.float64]:
        """How many pixels of its own a pixel of the grid is to each image, (n,)."""
        assert self.grid is not None
        return np.array([self.grid.pixel_size / size.pixel_size for size in self._sizes])[self.number]

    @property
    def boxes(self) -> NDArray[np.int64]:
        """The side of each image, pixels, (n,)."""
        return np.array([size.box for size in self._sizes], dtype=np.int64)[self.number]

    def counts(self, among: NDArray[np.bool_]) -> dict[Grid, int]:
        """How many of some images (n,) have each size."""
        counts = np.bincount(self.number[among], minlength=len(self._sizes)).tolist()
        return dict(zip(self._sizes, counts, strict=True))

    def on_grid(self, images: NDArray[Any], number: int) -> NDArray[Any]:
        """Images (m, B, B) of one of the sizes, as they are read."""
        matrix = self._matrices[number]
        return images if matrix is None else resample(images.astype(np.float32), matrix)
