"""One process at a time in an output folder: a lock of the operating system, which ends with its process."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import InputError
from ..io.atomic_files import sweep
from .tensor_store import FOLDER

LOCK = ".lock"
UNSUPPORTED = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)
"""What flock answers where the file system, or its server, has no locks."""


@contextmanager
def sole_use(directory: Path, warn: Callable[[str], None]) -> Iterator[None]:
    """Keep other processes out of an output folder, and remove what killed ones left there half-written.

    The lock is flock's on ``state/.lock``.  The file stays and means nothing by itself: a process that is
    killed leaves no lock behind.  Linux carries it over NFS to the server, so that it holds between machines.

    Parameters
    ----------
    directory : Path
    warn : function of str
        Told where the file system knows no locks; the run goes on without.

    Raises
    ------
    InputError
        When another process works there, or the folder cannot be written to.
    """
    path = directory / FOLDER / LOCK
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise InputError(f"--output {directory}: cannot be written to ({path}: {error.strerror})") from error
    try:
        _lock(descriptor, directory, warn)
        for folder in (directory, path.parent):
            sweep(folder)
        yield
    finally:
        os.close(descriptor)


def check_not_in_use(directory: Path) -> None:
    """Whether no process writes into a folder of results that is to be read.

    Raises
    ------
    InputError
        When one does.
    """
    try:
        descriptor = os.open(directory / FOLDER / LOCK, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InputError(f"{directory}: in use by {_holder(descriptor)}; wait until it has ended") from None
    except OSError:
        return
    finally:
        os.close(descriptor)


def _holder(descriptor: int) -> str:
    """Who has the lock, as it has said itself."""
    return os.pread(descriptor, 200, 0).decode("utf-8", "replace").strip() or "another process"


def _lock(descriptor: int, directory: Path, warn: Callable[[str], None]) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InputError(
            f"--output {directory}: in use by {_holder(descriptor)}; wait for it, or choose another folder"
        ) from None
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
        warn(f"{directory} cannot be locked ({error.strerror}): see to it that no other run writes there")
        return
    # Only for the message above; a full disk must not stop a run here.
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {platform.node()}\n".encode(), 0)
