"""Images of MRC stacks: checked before the first is read, then read at random or in batches; and written.

Images are read from the file, not mapped: the memory in use is that of the images asked for, whatever the
size of the set, and a stack that shrinks while it is read is an error instead of a crash.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError
from ..fourier.common_grid import Grid, ImageSizes
from .atomic_files import atomic_path
from .diagnosis.missing_stacks import is_missing, missing_message
from .mrc import StackHeader, read_header
from .open_stacks import OpenStacks
from .particle_set import ParticleSet
from .star.column_labels import SIGN


class StackReader:
    """The images of a set of particles.

    Parameters
    ----------
    particles : ParticleSet
    grid : Grid, optional
        What images of other boxes and pixel sizes are brought to; by default what all of them can be brought to.

    Attributes
    ----------
    box : int
        Side of the images, pixels.
    grid : Grid or None
        None where the images are as they are in the stacks.
    pixel_size : float or None
        Å per pixel in the header of the first stack, ``None`` where it has no plausible one.

    Raises
    ------
    InputError
        When there are no usable particles, a stack is missing or damaged, boxes differ and pixel sizes are not known,
        or a row asks for an image that its stack does not have.
    """

    def __init__(self, particles: ParticleSet, grid: Grid | None = None) -> None:
        self._particles = particles
        self._headers: dict[int, StackHeader] = {}
        self._files = OpenStacks()
        rows = np.flatnonzero(particles.enabled)
        if not len(rows):
            raise InputError(f"{particles.source}: holds no particles that are enabled")
        self._check(rows)
        first = self._headers[int(particles.stack_of[rows[0]])]
        boxes = np.zeros(len(particles.stacks), dtype=np.int64)
        boxes[list(self._headers)] = [header.box for header in self._headers.values()]
        rates: ArrayLike = particles.sampling_rate or (1.0 if grid is None else grid.pixel_size)
        rates = rates if particles.pixel_sizes is None else particles.pixel_sizes
        self._sizes = ImageSizes(boxes[particles.stack_of], rates, rows, grid)
        self.grid = self._sizes.grid
        self.box = first.box if self.grid is None else self.grid.box
        self.pixel_size = first.pixel_size

    def __len__(self) -> int:
        return len(self._particles)

    def __enter__(self) -> StackReader:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the stacks; reading opens them again."""
        self._files.close()

    def read(self, rows: NDArray[Any], out: NDArray[np.float32] | None = None) -> NDArray[Any]:
        """Images of these rows of the metadata; several threads may read at once.

        Parameters
        ----------
        rows : (m,) array of int
            Rows that are enabled, in any order, also several times.
        out : (m, box, box) float32 array, optional
            Where the images go.

        Returns
        -------
        (m, box, box) float32 array

        Raises
        ------
        InputError
            When a stack has become shorter since it was checked.
        """
        rows = np.asarray(rows, dtype=np.int64)
        stacks, indices = self._particles.stack_of[rows], self._particles.index_in_stack[rows]
        order = np.lexsort((indices, stacks))
        images = np.empty((len(rows), self.box, self.box), dtype=np.float32) if out is None else out
        sizes = self._sizes.number[rows]
        apart = (np.diff(stacks[order]) != 0) | (np.diff(indices[order]) != 1) | (np.diff(sizes[order]) != 0)
        for run in np.split(order, np.flatnonzero(apart) + 1) if len(order) else ():
            first, stack = int(run[0]), int(stacks[run[0]])
            room = images[first : first + len(run)]
            if self._as_stored(stack) and (np.diff(run) == 1).all():
                self._read_run(stack, int(indices[first]), room)
            else:
                images[run] = self._sizes.on_grid(self._run(stack, int(indices[first]), len(run)), int(sizes[first]))
        if SIGN in self._particles.table:
            dark = self._particles.table[SIGN][rows] < 0
            images[dark] = -images[dark]
        return images

    def as_stored(self, row: int) -> NDArray[Any]:
        """The image of a row as it is in its stack, (1, B, B) float32."""
        stack, index = int(self._particles.stack_of[row]), int(self._particles.index_in_stack[row])
        return self._run(stack, index, 1).astype(np.float32)

    @property
    def pixels_per_grid_pixel(self) -> NDArray[np.float64]:
        """How many pixels of its own a pixel of the images that are read is to each particle, (n,)."""
        return np.ones(len(self)) if self.grid is None else self._sizes.pixels_per_grid_pixel

    @property
    def boxes(self) -> NDArray[np.int64]:
        """The side of each particle's image in its stack, (n,); of those that are enabled."""
        return self._sizes.boxes

    @property
    def sizes(self) -> dict[Grid, int]:
        """The boxes and pixel sizes of the enabled particles, and how many have each."""
        return self._sizes.counts(self._particles.enabled)

    def batches(self, rows: NDArray[Any], size: int) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
        """Rows and images, ``size`` at a time, the next batch being read while the caller works on one.

        Parameters
        ----------
        rows : (m,) array of int
        size : int
            Images per batch; the last may have fewer.

        Yields
        ------
        (b,) int array, (b, box, box) float32 array
        """
        rows = np.asarray(rows, dtype=np.int64)
        parts = [rows[start : start + size] for start in range(0, len(rows), size)]
        with ThreadPoolExecutor(max_workers=1) as reader:
            ahead = [reader.submit(self.read, part) for part in parts[:1]]
            for number, part in enumerate(parts):
                images = ahead.pop().result()
                ahead += [reader.submit(self.read, following) for following in parts[number + 1 : number + 2]]
                yield part, images

    def _check(self, rows: NDArray[Any]) -> None:
        """Open the header of every stack that the rows use and hold the rows against them."""
        particles = self._particles
        used, first_rows = np.unique(particles.stack_of[rows], return_index=True)
        counts = np.zeros(len(particles.stacks), dtype=np.int64)
        for place in np.argsort(first_rows):
            stack = int(used[place])
            counts[stack] = self._header_for_row(stack, int(rows[first_rows[place]])).count
        past = rows[particles.index_in_stack[rows] >= counts[particles.stack_of[rows]]]
        if len(past):
            stack, index = int(particles.stack_of[past[0]]), int(particles.index_in_stack[past[0]])
            has = f"{particles.stacks[stack]} has {counts[stack]}"
            raise InputError(f"{self._where(int(past[0]))}: asks for image {index + 1}, but {has}")

    def _header_for_row(self, stack: int, row: int) -> StackHeader:
        path = self._particles.stacks[stack]
        try:
            header = read_header(path)
        except InputError as error:
            more = f"; {missing_message(self._particles)}" if is_missing(path) else ""
            raise InputError(f"{self._where(row)}: {error}{more}") from error
        if stack in self._particles.lone and header.count != 1:
            raise InputError(f"{self._where(row)}: {path} holds {header.count} images; name one as number@stack")
        if self._headers and self._particles.sampling_rate is None:
            other, expected = next(iter(self._headers.items()))
            if header.box != expected.box:
                boxes = f"{header.box} pixels, but {self._particles.stacks[other]} of {expected.box}"
                raise InputError(
                    f"{self._where(row)}: {path} holds images of {boxes}; give pixel sizes in the metadata"
                )
        self._headers[stack] = header
        return header

    def _where(self, row: int) -> str:
        return f"{self._particles.source}, row {row + 1}"

    def _as_stored(self, stack: int) -> bool:
        """Whether images are what the bytes of a stack say, without a change of type or grid."""
        return self.grid is None and self._headers[stack].dtype == np.float32

    def _run(self, stack: int, index: int, count: int) -> NDArray[Any]:
        """(count, box, box) consecutive images, in the type of the file."""
        header = self._headers[stack]
        images = np.empty((count, header.box, header.box), dtype=header.dtype)
        self._read_run(stack, index, images)
        return images

    def _read_run(self, stack: int, index: int, images: NDArray[Any]) -> None:
        """Consecutive images into a contiguous array of the type of the file."""
        header, path = self._headers[stack], self._particles.stacks[stack]
        if self._files.read(path, header.offset + index * header.image_bytes, images) < images.nbytes:
            raise InputError(f"{path}: ends before image {index + len(images)}")


class AbsentStacks(StackReader):
    """Stands for the stacks of particles none of which can be read any more.

    Parameters
    ----------
    particles : ParticleSet
    box : int
        What is known of the images: their side in pixels.
    """

    def __init__(self, particles: ParticleSet, box: int) -> None:
        self._particles, self.box, self.pixel_size, self.grid = particles, box, None, None
        self._files = OpenStacks()

    def read(self, rows: NDArray[Any], out: NDArray[np.float32] | None = None) -> NDArray[Any]:
        """There is nothing to read."""
        raise InputError(f"{self._particles.source}: none of its stacks can be read any more")


def readable_rows(particles: ParticleSet, box: int | None) -> tuple[NDArray[np.bool_], str]:
    """Which rows (n,) are enabled and have an image of this box that can be read; why the first of the others cannot.

    Without a box any will do. Only headers are read.
    """
    counts, why = np.zeros(len(particles.stacks), dtype=np.int64), ""
    for stack in np.unique(particles.stack_of[particles.enabled]).tolist():
        try:
            header = read_header(particles.stacks[stack])
        except InputError as error:
            why = why or str(error)
            continue
        counts[stack] = header.count if box in (None, header.box) else 0
        if box not in (None, header.box):
            why = why or f"{particles.stacks[stack]}: holds images of {header.box} pixels, not {box}"
    there = particles.index_in_stack < counts[particles.stack_of]
    past = particles.enabled & ~there
    if past.any() and not why:
        row = int(past.argmax())
        why = f"{particles.stacks[particles.stack_of[row]]}: has no image {particles.index_in_stack[row] + 1}"
    return particles.enabled & there, why


def write_stack(path: str | Path, images: NDArray[Any], pixel_size: float | None = None) -> None:
    """Write images as an MRC stack of float32, atomically.

    Parameters
    ----------
    path : str or Path
    images : (n, box, box) array
    pixel_size : float, Å
        Written to the header; 1 where it is not known.
    """
    pixels = np.ascontiguousarray(images, dtype=np.float32)
    with atomic_path(path) as temporary, mrcfile.new(temporary, pixels, overwrite=True) as stack:
        stack.set_image_stack()
        stack.voxel_size = pixel_size or 1.0
        # mrcfile signs with the time of day: the same images would never give the same file twice.
        stack.header.label[:] = b""
        stack.header.label[0] = b"alignpca2d"
        stack.header.nlabl = 1
