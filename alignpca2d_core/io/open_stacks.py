"""Files that are kept open while images are read from them, by several threads at once."""

from __future__ import annotations

import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ..errors import InputError

MOST_OPEN_FILES = 64


class OpenStacks:
    """Open files by path; the one not used for longest is closed when too many are open."""

    def __init__(self) -> None:
        self._descriptors: OrderedDict[Path, int] = OrderedDict()
        self._lock = threading.Lock()
        weakref.finalize(self, _close_all, self._descriptors)

    def close(self) -> None:
        """Close all; reading opens them again."""
        with self._lock:
            _close_all(self._descriptors)

    def read(self, path: Path, offset: int, images: NDArray[Any]) -> int:
        """Fill a contiguous array with the bytes from ``offset`` on; returns how many there were.

        Raises
        ------
        InputError
            When the file cannot be read.
        """
        buffer, filled = images.reshape(-1).view("u1").data, 0
        with self._open(path) as descriptor:
            while filled < len(buffer):
                try:
                    got = os.preadv(descriptor, [buffer[filled:]], offset + filled)
                except OSError as error:
                    raise InputError(f"{path}: cannot be read ({error.strerror})") from error
                if not got:
                    break
                filled += got
        return filled

    @contextmanager
    def _open(self, path: Path) -> Iterator[int]:
        """A descriptor that stays open for the block, whatever other threads open and close."""
        with self._lock:
            descriptor = os.dup(self._known(path))
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _known(self, path: Path) -> int:
        if path not in self._descriptors:
            if len(self._descriptors) >= MOST_OPEN_FILES:
                os.close(self._descriptors.popitem(last=False)[1])
            try:
                self._descriptors[path] = os.open(path, os.O_RDONLY)
            except OSError as error:
                raise InputError(f"{path}: cannot be read any more ({error.strerror})") from error
        self._descriptors.move_to_end(path)
        return self._descriptors[path]


def _close_all(descriptors: OrderedDict[Path, int]) -> None:
    while descriptors:
        os.close(descriptors.popitem()[1])
