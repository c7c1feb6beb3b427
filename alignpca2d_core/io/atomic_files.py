"""Files that are either whole or absent: written under a temporary name, flushed to disk, renamed."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

_TEMPORARY = re.compile(r"\..*\.(\d+)\.part(\.[^.]*)?")


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that takes its place when the block ends well.

    The temporary name keeps the suffix, since some writers choose the format by it.  After an exception
    the temporary file is removed and whatever ``path`` held before is untouched.  The file gets the mode that
    the umask gives to a new file, whatever the writer thinks of it.
    """
    final = Path(path)
    temporary = final.with_name(f".{final.stem}.{os.getpid()}.part{final.suffix}")
    try:
        mode = _create(temporary)
        yield temporary
        temporary.chmod(mode)
        flush_to_disk(temporary)
        temporary.replace(final)
    finally:
        temporary.unlink(missing_ok=True)
    flush_to_disk(final.parent)


def _create(path: Path) -> int:
    """Make an empty file, never through a link that lies there, and return its mode."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        return stat.S_IMODE(os.fstat(descriptor).st_mode)
    finally:
        os.close(descriptor)


def sweep(directory: str | os.PathLike[str]) -> None:
    """Remove the temporary files in a folder whose processes were killed before they could do so."""
    for path in Path(directory).iterdir():
        match = _TEMPORARY.fullmatch(path.name)
        if match and not _is_alive(int(match[1])):
            path.unlink(missing_ok=True)


def _is_alive(process: int) -> bool:
    """Whether a process of this number runs here, other than this one, which writes no file at this moment."""
    if process == os.getpid():
        return False
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def flush_to_disk(path: Path) -> None:
    """Wait until a file, or the names in a folder, would survive a loss of power."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: str | os.PathLike[str], content: Any) -> None:
    """Write ``content`` as JSON, atomically; numpy values become plain ones, NaN and infinity null.

    Objects take a line per key and lists one line, so that a person can read it with long curves in it.
    """
    with atomic_path(path) as temporary:
        temporary.write_text(_layout(plain(content), "\n") + "\n", encoding="utf-8")


class Laid(str):
    """JSON that is laid out already, to be written as it is."""

    __slots__ = ()


def _layout(value: Any, margin: str) -> str:
    if isinstance(value, Laid):
        return value
    if not isinstance(value, dict) or not value:
        return _dumped(value)
    inner = margin + "  "
    lines = [f"{_dumped(key)}: {_layout(item, inner)}" for key, item in value.items()]
    return "{" + inner + f",{inner}".join(lines) + margin + "}"


def plain(value: Any) -> Any:
    """``value`` in the types that JSON has."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value


def _dumped(value: Any) -> str:
    """JSON on one line; names that are no UTF-8 keep their bytes as escapes."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return json.dumps(value, allow_nan=False)
    return text
