"""Names of images, ``000001@stack.mrcs``, taken apart into a stack that exists and a number in it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

MOST_IMAGES = 10**12
FORMAT_MARKS = (":mrcs", ":mrc")
"""Endings that tell Xmipp how to read a file and are not part of its name."""


@dataclass(frozen=True)
class ImageLocations:
    """Where n images lie; see :class:`~alignpca2d_core.io.particle_set.ParticleSet` for the fields."""

    stacks: tuple[Path, ...]
    stack_of: NDArray[Any]
    index_in_stack: NDArray[Any]
    lone: frozenset[int]


class ImageNames:
    """Names of images, taken apart as they are read, so that strings are kept of stacks alone.

    Parameters
    ----------
    metadata : Path
        The file that the names come from.
    """

    def __init__(self, metadata: Path) -> None:
        self._metadata = metadata
        self._numbers: dict[tuple[str, bool], int] = {}

    def taken_apart(self, names: Iterable[object], first: int = 0) -> NDArray[np.int64]:
        """The number in its stack, from 0, and the number of its stack of each name, (n, 2).

        Parameters
        ----------
        names : iterable of str
            ``index@stack`` with the index from 1, or a bare stack of one image.
        first : int
            Number of the first of them among the rows, from 0.

        Raises
        ------
        InputError
            When a name has no number before its ``@`` or no stack after it; the line names the row.
        """
        found: list[int] = []
        numbers = self._numbers
        for row, name in enumerate(names, start=first + 1):
            index, at, stack = str(name).partition("@")
            if not at:
                index, stack = "1", index
            if not (stack and index.isascii() and index.isdigit() and 0 < int(index) <= MOST_IMAGES):
                where = f"{self._metadata}, row {row}"
                raise InputError(f"{where}: '{name}' is no image name (expected number@stack, from 1)")
            found += (int(index) - 1, numbers.setdefault((stack, not at), len(numbers)))
        return np.array(found, dtype=np.int64).reshape(-1, 2)

    def located(self, places: NDArray[np.int64]) -> ImageLocations:
        """Where the images at places (n, 2) as :meth:`taken_apart` gives them lie; the stacks are looked for."""
        folders = [Path(), *self._metadata.parents, *self._metadata.absolute().parents]
        found = [_find(stack, folders) for stack, _ in self._numbers]
        # Where the others are, those that are gone have been: a stream knows them by their place.
        home = folders[0] if any(found) else Path()
        return ImageLocations(
            stacks=tuple(path or home / _bare(stack) for path, (stack, _) in zip(found, self._numbers, strict=True)),
            stack_of=places[:, 1].astype(np.int32),
            index_in_stack=places[:, 0].copy(),
            lone=frozenset(number for (_, bare), number in self._numbers.items() if bare),
        )

    def of_stacks(self, stack_of: NDArray[Any]) -> NDArray[np.object_]:
        """The name of each image's stack (n,), as it was given."""
        names: NDArray[np.object_] = np.array([stack for stack, _ in self._numbers], dtype=object)
        return names[stack_of]


def _bare(stack: str) -> str:
    """The name without the mark of its format."""
    for mark in FORMAT_MARKS:
        stack = stack.removesuffix(mark)
    return stack


def _find(stack: str, folders: list[Path]) -> Path | None:
    """The stack in the first folder that has it; None where it is missing, which opening it will say.

    The working directory comes first, as for Xmipp; then the metadata's folder; then the folders above it,
    since RELION's names start from the project while its metadata lies in a job of the project.  The folder
    that had the last stack is asked first for the next.
    """
    for folder in folders:
        candidate = folder / _bare(stack)
        if _is_file(candidate):
            folders.remove(folder)
            folders.insert(0, folder)
            return candidate
    return None


def _is_file(path: Path) -> bool:
    """Whether there is such a file; a name that no file system takes is none."""
    try:
        return path.is_file()
    except OSError:
        return False
