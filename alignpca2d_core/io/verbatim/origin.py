"""Where particles came from: their rows in a metadata file, and a copy of it that stays with the results."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..atomic_files import atomic_path
from .row_text import TextTable, chosen, take_apart

FOLDER = "state/input"
"""Where results keep the metadata that they were made from."""


@dataclass(frozen=True)
class Origin:
    """Which rows of a table n particles are.

    Parameters
    ----------
    path : Path
        Of the metadata file.
    block : str
    rows : (n,) int64 array
        Numbers of rows from 0.
    """

    path: Path
    block: str
    rows: NDArray[np.int64]

    def subset(self, index: slice | NDArray[Any]) -> Origin:
        """Of some of the particles."""
        return replace(self, rows=self.rows[index])

    def text(self) -> tuple[TextTable, Iterator[bytes]]:
        """The file around the table, and the rows (n,) as they are written there."""
        table = take_apart(self.path, self.block)
        return table, chosen(table.lines(), self.rows)

    def kept_in(self, directory: Path) -> Origin:
        """The same in a copy of the file in a folder of results."""
        copy = directory / FOLDER / self.path.name
        copy.parent.mkdir(parents=True, exist_ok=True)
        for other in set(copy.parent.iterdir()) - {copy}:
            other.unlink()
        if not (copy.exists() and copy.samefile(self.path)):
            with atomic_path(copy) as temporary:
                shutil.copyfile(self.path, temporary)
        return replace(self, path=copy)
