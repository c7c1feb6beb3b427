"""A table of a STAR file as text: values that are not ours to change come back as they were written.

:func:`take_apart` divides a file into what stands before the rows of one of its tables, the rows, and what stands
behind them; :func:`put_together` writes it again, with columns replaced or added and rows left out or changed.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ..atomic_files import atomic_path
from ..star.star_reader import Block, scan
from ..star.star_writer import HEAD, PIECE_ROWS, quoted, value_format

PIECE_BYTES = 1 << 20
_VALUE = re.compile(rb"""#[^\n]*|(["'])(.*?)\1(?=[ \t\r]|\Z)|([^ \t\r]+)""")
_DATA_LINE = re.compile(rb"(?:\A(?:\xef\xbb\xbf)?|\n)[ \t]*data_(\S*)")


@dataclass(frozen=True)
class TextTable:
    """A file with one of its tables taken out.

    Parameters
    ----------
    path : Path
    labels : tuple of str
        Of the table, without their underscores.
    prefix, suffix : bytes
        What stands before the labels, the ``loop_`` line included, and behind the last row.
    start, stop : int
        The bytes of the file that hold the rows.
    is_loop : bool
        False for a list of labels and values: a single row.
    is_numbered : bool
        Whether the labels are followed by their number, as RELION writes them.
    """

    path: Path
    labels: tuple[str, ...]
    prefix: bytes
    suffix: bytes
    start: int
    stop: int
    is_loop: bool = True
    is_numbered: bool = False

    def lines(self) -> Iterator[bytes]:
        """The rows, one line each, without comments and line ends."""
        with self.path.open("rb") as file:
            file.seek(self.start)
            if not self.is_loop:
                values = (words(line) for line in file.read(self.stop - self.start).split(b"\n"))
                by_label = {found[0][1:]: found[1] for found in values if found}
                yield b" ".join(by_label[label.encode("utf-8", "surrogateescape")] for label in self.labels)
                return
            for line in _lines(file, self.stop - self.start):
                text = line.strip()
                if text and not text.startswith(b"#"):
                    yield text

    def renamed(self, name: str) -> TextTable:
        """The same with another name of the block."""
        last = list(_DATA_LINE.finditer(self.prefix))[-1]
        return replace(self, prefix=self.prefix[: last.start(1)] + encoded(name) + self.prefix[last.end(1) :])


def take_apart(path: str | Path, name: str) -> TextTable:
    """The file at ``path`` around its block ``name``.

    Raises
    ------
    InputError
        When the file cannot be read, or has no such block or no table in it.
    """
    block = next((block for block in scan(path) if block.name == name), None)
    if block is None or not block.labels:
        raise InputError(f"{path}: has no table '{name}'")
    with block.path.open("rb") as file:
        prefix = file.read(block.head)
        head = file.read(block.start - block.head)
        stop = _end_of_rows(file, block) if block.is_loop else block.stop
        file.seek(stop)
        suffix = file.read()
    return TextTable(
        path=block.path,
        labels=block.labels,
        prefix=prefix if block.is_loop else prefix + b"\n\nloop_",
        suffix=suffix,
        start=block.start,
        stop=stop,
        is_loop=block.is_loop,
        is_numbered=bool(re.search(rb"_\S+[ \t]*#[ \t]*\d", head)),
    )


def put_together(path: str | Path, table: TextTable, labels: Sequence[str], rows: Iterable[bytes]) -> None:
    """Write the file again, atomically, with these labels and rows (one line each, without line ends)."""
    end = b"\r\n" if table.prefix.endswith(b"\r") or b"\r\n" in table.prefix else b"\n"
    shape = b"_%b #%d" if table.is_numbered else b" _%b"
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        file.write(table.prefix.rstrip(b"\r") + end)
        for number, label in enumerate(labels, start=1):
            file.write((shape % ((encoded(label), number) if table.is_numbered else encoded(label))) + end)
        file.writelines(row + end for row in rows)
        file.write(re.sub(rb"\A\r?\n", b"", table.suffix))


def as_xmipp(table: TextTable) -> TextTable:
    """The same as Xmipp recognises it, and as our block of particles unless there is another of that name."""
    if not re.search(rb"(\A|\n)[ \t]*data_particles\s", table.prefix + table.suffix):
        table = table.renamed("particles")
    return table if table.prefix.startswith(HEAD[:14].encode()) else replace(table, prefix=HEAD.encode() + table.prefix)


def with_columns(
    lines: Iterable[bytes], labels: Sequence[str], columns: Mapping[str, NDArray[Any]]
) -> tuple[list[str], Iterator[bytes]]:
    """Labels and rows with columns put in the place of those that are there, or behind the last one.

    Parameters
    ----------
    lines : iterable of n lines
    labels : sequence of str
        Of the values in a line.
    columns : mapping of label to (n,) array
    """
    added = [label for label in columns if label not in labels]
    places = [labels.index(label) if label in labels else None for label in columns]
    return [*labels, *added], _rows(iter(lines), len(labels), places, list(columns.values()))


def _rows(
    lines: Iterator[bytes], width: int, places: Sequence[int | None], columns: Sequence[NDArray[Any]]
) -> Iterator[bytes]:
    for start in itertools.count(0, PIECE_ROWS):
        piece = list(itertools.islice(lines, PIECE_ROWS))
        if not piece:
            return
        texts = [formatted(column[start : start + len(piece)]) for column in columns]
        inside = [(place, text) for place, text in zip(places, texts, strict=True) if place is not None]
        behind = [text for place, text in zip(places, texts, strict=True) if place is None]
        ends = [b" ".join(values) for values in zip(*behind, strict=True)] if behind else None
        for row, line in enumerate(piece):
            if inside:
                values = words(line, width)
                for place, text in inside:
                    values[place] = text[row]
                line = b" ".join(values)
            elif b"#" in line:
                line = b" ".join(words(line, width))
            yield line if ends is None else line + b" " + ends[row]


def words(line: bytes, width: int = -1) -> list[bytes]:
    """The values of a line as they stand there, in their quotes; ``width`` is how many there should be."""
    if b"#" not in line and b"'" not in line and b'"' not in line:
        plain = line.split()
        if width in (-1, len(plain)):
            return plain
    return [match.group() for match in _VALUE.finditer(line) if not match.group().startswith(b"#")]


def formatted(column: NDArray[Any]) -> list[bytes]:
    """Values (n,) as they are written."""
    if column.dtype.kind in "iubf":
        pattern = value_format(column).encode()
        return [pattern % value for value in column.tolist()]
    return [encoded(quoted(str(value))) for value in column.tolist()]


def encoded(text: str) -> bytes:
    """Names that are no UTF-8 keep their bytes."""
    return text.encode("utf-8", "surrogateescape")


def chosen(lines: Iterable[bytes], rows: NDArray[np.int64]) -> Iterator[bytes]:
    """The lines of these rows (n,), which are numbers from 0 in any order."""
    if (np.diff(rows) > 0).all():
        wanted = iter(rows.tolist())
        following = next(wanted, -1)
        for number, line in enumerate(lines):
            if number == following:
                yield line
                following = next(wanted, -1)
    else:
        found = list(lines)
        yield from (found[row] for row in rows.tolist())


def _lines(file: BinaryIO, left: int) -> Iterator[bytes]:
    """The lines of the next ``left`` bytes."""
    while left > 0:
        piece = file.read(min(PIECE_BYTES, left))
        if not piece:
            return
        piece += file.readline(left - len(piece)) if left > len(piece) else b""
        left -= len(piece)
        yield from piece.split(b"\n")


def _end_of_rows(file: BinaryIO, block: Block) -> int:
    """The byte behind the last row: comments and empty lines at the end of a block belong to what follows."""
    size = 1 << 12
    while True:
        first = max(block.start, block.stop - size)
        file.seek(first)
        lines = file.read(block.stop - first).split(b"\n")
        behind = len(list(itertools.takewhile(lambda line: not line.strip() or line.strip()[:1] == b"#", lines[::-1])))
        if behind < len(lines) or first == block.start:
            rest = lines[len(lines) - behind :]
            return max(block.start, block.stop - sum(map(len, rest)) - len(rest))
        size *= 8
