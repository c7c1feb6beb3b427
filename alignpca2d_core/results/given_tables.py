"""The metadata that a folder of results was made from, as it was given: what an export writes back.

A whole run keeps a copy of its metadata; a stream keeps the rows of each batch, and each file around them once.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..io.verbatim.origin import FOLDER
from ..io.verbatim.row_text import TextTable, take_apart
from ..state.tensor_store import FOLDER as STATE

RECORD = "stream.json"
ROWS_SUFFIX = ".given"


@dataclass(frozen=True)
class GivenTable:
    """Particles that came one after the other from one file.

    Parameters
    ----------
    path : Path
        The file, or what stood around its rows.
    block : str
    dialect : str
        ``relion``, ``xmipp`` or ``cryosparc``.
    count : int or None
        How many particles; None for all rows of the file.
    rows : Path or None
        The file that holds the rows, where ``path`` does not, with those of others.
    first : int
        Where they begin in ``rows``.
    """

    path: Path
    block: str
    dialect: str
    count: int | None = None
    rows: Path | None = None
    first: int = 0

    def text(self) -> TextTable:
        """The file around the table."""
        return take_apart(self.path, self.block)

    def lines(self) -> Iterator[bytes]:
        """The rows, as they are written there."""
        if self.rows is None or self.count is None:
            yield from self.text().lines()
            return
        with self.rows.open("rb") as file:
            for line in itertools.islice(file, self.first, self.first + self.count):
                yield line.rstrip(b"\n")


def given_tables(directory: Path, summary: Mapping[str, Any]) -> list[GivenTable]:
    """The tables that the particles of a folder of results come from, in their order; none where it does not know.

    Raises
    ------
    InputError
        When what the folder should have kept is missing.
    """
    stream = directory / STATE / RECORD
    if stream.is_file():
        return _of_stream(stream)
    said = summary.get("input", {})
    path = directory / FOLDER / str(said.get("metadata", ""))
    if "block" not in said or not path.is_file():
        return []
    return [GivenTable(path, said["block"], said.get("dialect", "xmipp"))]


def _of_stream(stream: Path) -> list[GivenTable]:
    folder, found = stream.parent, []
    try:
        batches = json.loads(stream.read_text(encoding="utf-8"))["batches"]
        for batch in batches:
            first = 0
            for count, head, block, dialect in batch["given"]:
                rows = folder / f"{batch['name']}{ROWS_SUFFIX}"
                found.append(GivenTable(folder / head, block, dialect, count, rows, first))
                first += count
            if first != batch["count"]:
                return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{stream}: damaged ({error})") from error
    return found
