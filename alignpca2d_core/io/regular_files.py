"""Opening regular files for reading; a pipe, a socket or a device, which may never deliver, is refused."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """A file opened for reading bytes.

    Raises
    ------
    OSError
        When it cannot be opened, or is no file.
    """
    # Looked at first, since opening alone makes some devices act; and again once it is open, as it may be another.
    _check(Path(path).stat().st_mode, path)
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _check(os.fstat(descriptor).st_mode, path)
    except OSError:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, "rb")


def _check(mode: int, path: str | os.PathLike[str]) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(Path(path)))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "Is a pipe, a socket or a device", str(Path(path)))
