"""The rows of one STAR block turned into columns: numbers where every value is one, else text.

pandas' C parser does the large loop.  It knows one quotation mark and no STAR comments, so a stream between
the file and the parser rewrites both, a piece at a time; memory holds the columns and one piece.
"""

from __future__ import annotations

import csv
import io
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ...errors import InputError

PIECE_BYTES = 1 << 20
PIECE_ROWS = 1 << 17
NOT_A_NUMBER = ["nan", "-nan", "+nan", "NaN", "-NaN", "NAN"]
EMPTY = "\x1a"
"""Stands for a quoted empty value while rows are parsed, so that it differs from a value that is missing."""
Condense: TypeAlias = "Callable[[NDArray[Any], int], NDArray[Any]]"
"""Makes of some values of a column (p,), the first of which is in a row from 0, what is kept of them, (p, ...)."""
NOTHING: Mapping[str, Condense] = MappingProxyType({})
_QUOTE_OR_COMMENT = re.compile(rb"""(["'#])(?<!\S.)(?:(?<=#)[^\n]*|(?<!#)([^\n]*?)\1(?!\S)|)""")
_VALUE = re.compile(r"""#.*|(["'])(.*?)\1(?!\S)|(\S+)""")


def parse_rows(
    path: Path, labels: Sequence[str], span: tuple[int, int], condensed: Mapping[str, Condense] = NOTHING
) -> dict[str, NDArray[Any]]:
    """Columns of the loop whose rows are the bytes of a span of the file.

    Returns
    -------
    dict of label to (n,) array
        int64 or float64 where every value is a number, else object arrays of str; of what is condensed (n, ...).

    Raises
    ------
    InputError
        When a row has more or fewer values than there are labels: the line of the file and both counts.
    """
    shorten = {number: condensed[label] for number, label in enumerate(labels) if label in condensed}
    text = {number for number, label in enumerate(labels) if _holds_names(label)} | set(shorten)
    mixed: set[int] | None = None
    while mixed is None or mixed:
        text |= mixed or set()
        columns, mixed = _collect((path, len(labels), span), text, shorten)
    found = {}
    for label in labels:
        found[label] = _kept_once(columns.pop(0))
    return found


def parse_pairs(
    path: Path, labels: Sequence[str], span: tuple[int, int], condensed: Mapping[str, Condense] = NOTHING
) -> dict[str, NDArray[Any]]:
    """Columns of length 1 of the label-value pairs in the bytes of a span of the file.

    Raises
    ------
    InputError
        When a label has no value or several.
    """
    columns = {}
    for line, values in _lines(path, *span):
        if len(values) != 2:
            raise InputError(f"{path}, line {line}: {values[0]} has {len(values) - 1} values, it must have one")
        label, column = values[0][1:], _typed(values[1])
        columns[label] = condensed[label](column, 0) if label in condensed else column
    return {label: columns[label] for label in labels}


def _kept_once(column: NDArray[Any]) -> NDArray[Any]:
    """The column (n,), in the memory of one value where all have the same bits."""
    if column.dtype == object or column.ndim > 1 or len(column) < 2:
        return column
    bits = column.view(np.int64)
    return np.broadcast_to(column[:1].copy(), column.shape) if (bits == bits[0]).all() else column


def _holds_names(label: str) -> bool:
    """Whether values are names even where all of them look like numbers (a micrograph called 0012)."""
    return label.endswith(("Name", "image", "micrograph"))


def _typed(value: str) -> NDArray[Any]:
    """One value as a column of the narrowest type that holds it."""
    if re.fullmatch(r"[+-]?\d{1,18}", value):
        return np.array([int(value)], dtype=np.int64)
    try:
        return np.array([float(value)])
    except ValueError:
        return np.array([value], dtype=object)


def _collect(
    rows: tuple[Path, int, tuple[int, int]], text: set[int], shorten: Mapping[int, Condense]
) -> tuple[list[NDArray[Any]], set[int]]:
    """The columns of (file, width, span), and those outside ``text`` that turn out to hold text."""
    path, width, span = rows
    most = _line_count(path, span)
    found: list[NDArray[Any]] = []
    count = 0
    for frame in _frames(path, width, span, text):
        columns = [frame[number].to_numpy() for number in range(width + 1)]
        surplus = columns.pop()
        mixed = {number for number, column in enumerate(columns) if column.dtype.kind not in "iuf"} - text
        if mixed:
            return found, mixed
        if _is_ragged(columns[-1] if columns else surplus, surplus):
            raise _ragged_error(path, width, span)
        for number, column in enumerate(columns):
            if column.dtype == object:
                column = np.where(column == EMPTY, "", column)
            kept = column.astype(np.float64) if column.dtype.kind == "u" else column
            piece = shorten[number](kept, count) if number in shorten else kept
            if not count:
                found.append(np.empty((most, *piece.shape[1:]), dtype=piece.dtype))
            found[number] = _with_room_for(piece.dtype, found[number], count)
            found[number][count : count + len(piece)] = piece
        count += len(surplus)
    return [column[:count] for column in found] or [np.zeros(0)] * width, set()


def _line_count(path: Path, span: tuple[int, int]) -> int:
    """How many lines there are in a span of a file: as many rows, or more."""
    with path.open("rb") as file:
        file.seek(span[0])
        sizes = (min(PIECE_BYTES, span[1] - start) for start in range(*span, PIECE_BYTES))
        return 1 + sum(file.read(size).count(b"\n") for size in sizes)


def _with_room_for(dtype: np.dtype[Any], column: NDArray[Any], count: int) -> NDArray[Any]:
    """A column of which ``count`` values are there, in a type that holds those that come too."""
    wider = np.result_type(column.dtype, dtype)
    if wider == column.dtype:
        return column
    copy = np.empty(column.shape, dtype=wider)
    copy[:count] = column[:count]
    return copy


def _is_ragged(last: NDArray[Any], surplus: NDArray[Any]) -> bool:
    """Whether a row is too long, or too short: the parser leaves the end of a short row empty."""
    return bool((surplus != "").any() or (last.dtype == object and (last == "").any()))


def _frames(path: Path, width: int, span: tuple[int, int], text: set[int]) -> Iterator[pd.DataFrame]:
    """The rows in pieces, with one column more than there are labels, where surplus values show."""
    with path.open("rb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore", pd.errors.ParserWarning)
        lines = io.TextIOWrapper(io.BufferedReader(_Rows(file, *span)), "utf-8", "surrogateescape", newline="")
        try:
            yield from pd.read_csv(
                lines,
                sep=r"\s+",
                header=None,
                names=range(width + 1),
                index_col=False,
                dtype=dict.fromkeys((*text, width), object),
                keep_default_na=False,
                na_values={number: NOT_A_NUMBER for number in range(width) if number not in text},
                quoting=csv.QUOTE_MINIMAL,
                encoding_errors="surrogateescape",
                chunksize=PIECE_ROWS,
                engine="c",
            )
        except pd.errors.EmptyDataError:
            return
        except pd.errors.ParserError as error:
            raise _ragged_error(path, width, span) from error


class _Rows(io.RawIOBase):
    """Part of a file, with every quoted value in double quotes and the comments left out."""

    def __init__(self, file: BinaryIO, start: int, stop: int) -> None:
        self._file, self._left, self._ready = file, stop - start, memoryview(b"")
        file.seek(start)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self._ready and self._left:
            piece = self._file.read(min(PIECE_BYTES, self._left))
            piece += self._file.readline(self._left - len(piece))
            self._left -= len(piece)
            plain = not any(mark in piece for mark in (b"'", b'"', b"#"))
            self._ready = memoryview(piece if plain else _QUOTE_OR_COMMENT.sub(_rewrite, piece))
        count = min(len(buffer), len(self._ready))
        buffer[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count


def _rewrite(match: re.Match[bytes]) -> bytes:
    mark, content = match.group(1, 2)
    if mark == b"#":
        return b""
    if content is None:
        return b'""""' if mark == b'"' else mark
    return b'"' + (content.replace(b'"', b'""') or EMPTY.encode()) + b'"'


def _lines(path: Path, start: int, stop: int) -> Iterator[tuple[int, list[str]]]:
    """Line number in the file and values of each line that has any: the slow way, for few lines or an error."""
    with path.open("rb") as file:
        line_number = file.read(start).count(b"\n") + 1
        rows = file.read(stop - start).decode("utf-8", "surrogateescape")
    for offset, line in enumerate(rows.split("\n")):
        found = [match.group(2) if match.group(1) else match.group(3) for match in _VALUE.finditer(line)]
        values = [value for value in found if value is not None]
        if values:
            yield line_number + offset, values


def _ragged_error(path: Path, width: int, span: tuple[int, int]) -> InputError:
    for row, (line, values) in enumerate(_lines(path, *span), start=1):
        if len(values) != width:
            return InputError(f"{path}, line {line}: row {row} has {len(values)} values for {width} labels")
    return InputError(f"{path}: the rows from byte {span[0]} on cannot be parsed")
