"""Headers of MRC stacks: what a file says of itself, checked against its size before anything is read."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mrcfile.dtypes import HEADER_DTYPE

from .errors import InputError

HEADER_BYTES = 1024
LARGEST_BOX = 1 << 14
PIXEL_TYPES = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}
REFUSED_MODES = {3: "complex 16-bit integers", 4: "complex numbers", 101: "4-bit integers"}
_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZ": "bzip2"}


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
    dtype: np.dtype
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
        with path.open("rb") as file:
            raw = file.read(HEADER_BYTES)
            size = os.fstat(file.fileno()).st_size
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    if raw[:2] in _COMPRESSED:
        raise InputError(f"{path}: is compressed with {_COMPRESSED[raw[:2]]}; decompress it first")
    if len(raw) < HEADER_BYTES:
        raise InputError(f"{path}: is not an MRC stack ({len(raw)} bytes, a header alone has {HEADER_BYTES})")
    header = _in_byte_order(path, raw)
    return _checked(path, header, size)


def _in_byte_order(path: Path, raw: bytes) -> np.void:
    """The header in the byte order that makes sense of it."""
    for order in "<>":
        header = np.frombuffer(raw, HEADER_DTYPE.newbyteorder(order))[0]
        sides = (int(header["nx"]), int(header["ny"]))
        known_mode = int(header["mode"]) in PIXEL_TYPES.keys() | REFUSED_MODES.keys()
        if known_mode and all(0 < side <= LARGEST_BOX for side in sides) and int(header["nz"]) > 0:
            return header
    raise InputError(f"{path}: is not an MRC stack (its header makes no sense in either byte order)")


def _checked(path: Path, header: np.void, size: int) -> StackHeader:
    columns, rows, count, mode = (int(header[name]) for name in ("nx", "ny", "nz", "mode"))
    if mode in REFUSED_MODES:
        raise InputError(f"{path}: holds {REFUSED_MODES[mode]} (MRC mode {mode}); real images are needed")
    if columns != rows:
        raise InputError(f"{path}: images of {columns} × {rows} pixels are not square")
    dtype = np.dtype(PIXEL_TYPES[mode]).newbyteorder(header.dtype["nx"].byteorder)
    offset = HEADER_BYTES + int(header["nsymbt"])
    stack = StackHeader(columns, count, dtype, offset, _pixel_size(header))
    if offset < HEADER_BYTES:
        raise InputError(f"{path}: is not an MRC stack (extended header of {offset - HEADER_BYTES} bytes)")
    whole = max(size - offset, 0) // stack.image_bytes
    if whole < count:
        raise InputError(f"{path}: is truncated ({whole} whole images of the {count} that its header promises)")
    return stack


def _pixel_size(header: np.void) -> float | None:
    """Å per pixel along x, where the header has a plausible one."""
    sampling = int(header["mx"])
    size = float(header["cella"]["x"]) / sampling if sampling > 0 else 0.0
    return size if 0.01 <= size <= 100.0 else None
