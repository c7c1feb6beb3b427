"""Headers of MRC stacks: what a file says of itself, checked against its size before anything is read."""

from __future__ import annotations

import os
import re
import shlex
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from .diagnosis.file_kinds import other_kind
from .regular_files import open_regular

HEADER_BYTES = 1024
EXTENDED_BYTES_AT = 92
"""Where the header says how long its extension is (NSYMBT), a word of 4 bytes."""
LARGEST_BOX = 1 << 14
PIXEL_SIZES = (0.01, 100.0)
"""Å per pixel; what lies outside was never set."""
PIXEL_TYPES = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}
REFUSED_MODES = {3: "complex 16-bit integers", 4: "complex numbers", 101: "4-bit integers"}


@dataclass(frozen=True)
class StackHeader:
    """What is needed to read images from an MRC file.

    Parameters
    ----------
    box : int
        Side of the square images, pixels.
    count : int
        Number of images.
    dtype : np.dtype
        Type of a stored pixel, byte order included.
    offset : int
        First byte of the first image.
    pixel_size : float or None
        Å per pixel; ``None`` where the header has no plausible one.
    """

    box: int
    count: int
    dtype: np.dtype[Any]
    offset: int
    pixel_size: float | None

    @property
    def image_bytes(self) -> int:
        """Bytes of one image in the file."""
        return self.box * self.box * self.dtype.itemsize


def read_header(path: str | os.PathLike[str]) -> StackHeader:
    """Header of an MRC stack of square images.

    The MAP word, the machine stamp and the space group are not believed, since programs in use leave them
    empty or wrong: the byte order is the one in which dimensions and mode make sense.

    Raises
    ------
    InputError
        When the file is missing, is not MRC, is truncated, holds complex numbers or images that are not square.
    """
    path = Path(path)
    try:
        with open_regular(path) as file:
            raw = file.read(HEADER_BYTES)
            size = os.fstat(file.fileno()).st_size
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    if len(raw) < HEADER_BYTES:
        short = f"is not an MRC stack ({len(raw)} bytes, a header alone has {HEADER_BYTES})"
        raise InputError(f"{path}: {other_kind(path, raw) or short}")
    return _checked(path, _in_byte_order(path, raw), size)


@dataclass(frozen=True)
class _Fields:
    """The fields of a header that matter, read in one byte order ("<" or ">")."""

    order: str
    columns: int
    rows: int
    sections: int
    mode: int
    sampling: int
    extended_bytes: int
    length_angstrom: float

    @classmethod
    def unpack(cls, raw: bytes, order: str) -> _Fields:
        """The fields at their places in the header (words of 4 bytes, MRC2014)."""
        columns, rows, sections, mode, *words = struct.unpack_from(f"{order}24i", raw)
        (length,) = struct.unpack_from(f"{order}f", raw, 40)
        return cls(order, columns, rows, sections, mode, words[3], words[19], length)

    def make_sense(self) -> bool:
        """Whether these can be the dimensions and the mode of a file."""
        sides_fit = all(0 < side <= LARGEST_BOX for side in (self.columns, self.rows))
        return sides_fit and self.sections > 0 and self.mode in PIXEL_TYPES.keys() | REFUSED_MODES.keys()

    def pixel_size(self) -> float | None:
        """Å per pixel along x, where the header has a plausible one."""
        size = self.length_angstrom / self.sampling if self.sampling > 0 else 0.0
        return size if PIXEL_SIZES[0] <= size <= PIXEL_SIZES[1] else None


def _in_byte_order(path: Path, raw: bytes) -> _Fields:
    """The header in the byte order that makes sense of it."""
    for order in "<>":
        header = _Fields.unpack(raw, order)
        if header.make_sense():
            return header
    kind = other_kind(path, raw)
    if kind is None and re.search(rb"^[ \t]*data_", raw, re.MULTILINE):
        kind = "is a STAR file under the name of a stack; rename it"
    raise InputError(f"{path}: {kind or 'is not an MRC stack, and no other format is read'}")


def _checked(path: Path, header: _Fields, size: int) -> StackHeader:
    """What the header says, held against what is supported and against the size of the file."""
    if header.mode in REFUSED_MODES:
        raise InputError(f"{path}: holds {REFUSED_MODES[header.mode]} (MRC mode {header.mode}), not real images")
    if header.columns != header.rows:
        raise InputError(f"{path}: images of {header.columns} × {header.rows} pixels are not square")
    if header.extended_bytes < 0:
        raise InputError(f"{path}: is not an MRC stack (extended header of {header.extended_bytes} bytes)")
    stack = StackHeader(
        box=header.columns,
        count=header.sections,
        dtype=np.dtype(header.order + PIXEL_TYPES[header.mode]),
        offset=HEADER_BYTES + header.extended_bytes,
        pixel_size=header.pixel_size(),
    )
    images = stack.count * stack.image_bytes
    if header.extended_bytes and size == HEADER_BYTES + images:
        raise InputError(
            f"{path}: its header announces {header.extended_bytes} bytes of extended header that are not there, and "
            "the file is as long as the images alone; write the stack again, or clear that number: "
            f"printf '\\0\\0\\0\\0' | dd of={shlex.quote(str(path))} bs=1 seek={EXTENDED_BYTES_AT} conv=notrunc"
        )
    whole = max(size - stack.offset, 0) // stack.image_bytes
    if whole < stack.count:
        promised = f"{stack.count} that its header promises"
        raise InputError(f"{path}: is truncated ({whole} whole images of the {promised}); copy or make it again")
    return stack
