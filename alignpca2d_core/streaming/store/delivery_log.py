"""Figures of each delivery, a line of JSON each: added to, never rewritten, so that a thousandth costs what the
first did.  The record of the stream says how many bytes count; what a process that was killed left beyond them
goes with the next line.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...errors import InputError
from ...io import atomic_files
from ...io.atomic_files import Laid, plain


class DeliveryLog:
    """The history of a stream.

    Parameters
    ----------
    path : Path
    length : int
        Bytes that count.

    Raises
    ------
    InputError
        When they are not all there.
    """

    def __init__(self, path: Path, length: int) -> None:
        self.path, self.length = path, length
        self.lines: list[str] = []
        if length:
            self.lines = self._read().split("\n")[:-1]

    def _read(self) -> str:
        try:
            with self.path.open("rb") as file:
                text = file.read(self.length).decode("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{self.path}: cannot be read ({error}); start again in a new folder") from error
        if len(text.encode()) < self.length or not text.endswith("\n"):
            raise InputError(f"{self.path}: damaged (cut off); start again in a new folder")
        return text

    def add(self, figures: Mapping[str, Any]) -> None:
        """Add a delivery; it counts once ``length`` is written down elsewhere."""
        line = json.dumps(plain(dict(figures)), ensure_ascii=False, allow_nan=False)
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        with os.fdopen(descriptor, "wb") as file:
            file.truncate(self.length)
            file.seek(self.length)
            file.write(f"{line}\n".encode())
            length = file.tell()
        atomic_files.flush_to_disk(self.path)
        self.length = length
        self.lines.append(line)

    def particles(self) -> list[int]:
        """Particles after the last delivery but one, and after the last."""
        return [int(json.loads(line)["particles"]) for line in self.lines[-2:]]

    def laid(self) -> Laid:
        """All of it as one list."""
        return Laid(f"[{', '.join(self.lines)}]")
