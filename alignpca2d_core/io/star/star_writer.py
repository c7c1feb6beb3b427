"""Writing tables as Xmipp's metadata (.xmd), which RELION-style readers of STAR files understand as well."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from numpy.typing import NDArray

from ..atomic_files import atomic_path
from .star_reader import Table

HEAD = "# XMIPP_STAR_1 * \n# \n"
PIECE_ROWS = 1 << 14


def write_blocks(path: str | Path, tables: Mapping[str, Table] | Iterable[tuple[str, Table]]) -> None:
    """Write the tables as blocks of one file, atomically.

    Parameters
    ----------
    path : str or Path
    tables : mapping, or iterable of pairs, of block name to Table
        An iterable is consumed one table at a time, so that many blocks need not be in memory together.
    """
    pairs = tables.items() if isinstance(tables, Mapping) else tables
    with (
        atomic_path(path) as temporary,
        temporary.open("w", encoding="utf-8", errors="surrogateescape", newline="\n") as file,
    ):
        file.write(HEAD)
        for name, table in pairs:
            _write_loop(file, name, table)


def _write_loop(file: TextIO, name: str, table: Table) -> None:
    file.write(loop_head(name, table.columns))
    file.writelines(laid_out(list(table.columns.values())))


def loop_head(name: str, labels: Iterable[str]) -> str:
    """What stands before the rows of a block."""
    return f"data_{name}\nloop_\n" + "".join(f" _{label}\n" for label in labels)


def laid_out(columns: Sequence[NDArray[Any]]) -> Iterator[str]:
    """The rows of columns (n,), many lines at a time."""
    pattern = " ".join(value_format(column) for column in columns) + "\n"
    for start in range(0, len(columns[0]) if columns else 0, PIECE_ROWS):
        piece = [_printable(column[start : start + PIECE_ROWS]) for column in columns]
        yield pattern * len(piece[0]) % tuple(itertools.chain.from_iterable(zip(*piece, strict=True)))


def value_format(column: NDArray[Any]) -> str:
    """The conversion that keeps a column's precision: 7 digits are all that a float32 has."""
    if column.dtype.kind in "iub":
        return "%10d"
    if column.dtype.kind == "f":
        return "%12.7g" if column.dtype.itemsize <= 4 else "%12.12g"
    return "%s"


def _printable(column: NDArray[Any]) -> list[object]:
    values = column.tolist()
    return values if column.dtype.kind in "iubf" else [quoted(str(value)) for value in values]


def quoted(value: str) -> str:
    """``value`` as one word of a row: in quotes where it is empty or has spaces, or begins as something else.

    Xmipp ends a quoted value at the next such mark, wherever it stands; RELION and we only before a space.
    """
    if value and value[0] not in "'\"#_" and not any(character.isspace() for character in value):
        return value
    absent = [mark for mark in "'\"" if mark not in value]
    harmless = [mark for mark in "'\"" if not re.search(rf"{mark}(\s|$)", value, re.ASCII)]
    mark = (absent or harmless or ["'"])[0]
    return f"{mark}{value}{mark}"
