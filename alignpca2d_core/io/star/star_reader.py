"""Reading STAR files as Xmipp (.xmd) and RELION (.star) write them: blocks of labels and rows.

What the two dialects need and no more: a block is one loop or one list of label-value pairs, a row is one
line, single or double quotes hold values with spaces, ``#`` begins a comment.  A file is scanned once for
its blocks (:func:`scan`); rows are parsed only of the blocks that are asked for (:func:`parse`).
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ...errors import InputError
from ..diagnosis.file_kinds import START_BYTES, is_folder, other_kind
from ..regular_files import open_regular
from .star_rows import NOTHING, Condense, parse_pairs, parse_rows

_KEYWORD_LINE = rb"[ \t]*(?:data_(\S*)|(loop_))[ \t]*(?:#[^\n]*)?\r?(?=\n|\Z)"
_FIRST_KEYWORD = re.compile(rb"(?:\xef\xbb\xbf)?" + _KEYWORD_LINE)
_KEYWORD = re.compile(rb"\n" + _KEYWORD_LINE)


@dataclass
class Table:
    """One block: equally long columns by label (without its underscore), in the order of the file.

    Numbers are int64 or float64 arrays, everything else object arrays of str.  A number that all rows share is kept
    once: such a column cannot be written to.
    """

    name: str = ""
    columns: dict[str, NDArray[Any]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()))) if self.columns else 0

    def __contains__(self, label: str) -> bool:
        return label in self.columns

    def __getitem__(self, label: str) -> NDArray[Any]:
        return self.columns[label]

    def subset(self, index: slice | NDArray[Any]) -> Table:
        """The rows of ``index``."""
        return Table(self.name, {label: column[index] for label, column in self.columns.items()})


@dataclass(frozen=True)
class Block:
    """A block that :func:`scan` found: its labels and the bytes ``start:stop`` that hold its values.

    ``head`` is the byte at which its labels begin.
    """

    path: Path
    name: str
    labels: tuple[str, ...] = ()
    is_loop: bool = False
    start: int = 0
    stop: int = 0
    problem: str = ""
    head: int = 0

    def __str__(self) -> str:
        return f"{self.path}, block '{self.name}'" if self.name else f"{self.path}"


def read_blocks(path: str | Path) -> dict[str, Table]:
    """Every block of the file, by name.

    Raises
    ------
    InputError
        When the file is missing, is not STAR, or a block cannot be read; the line says which and where.
    """
    return {block.name: parse(block) for block in scan(path)}


def scan(path: str | Path) -> list[Block]:
    """The blocks of a STAR file, with their labels, their rows not read yet.

    Raises
    ------
    InputError
        When the file is missing, unreadable or holds no ``data_`` block, or a block's name comes twice.
    """
    path = Path(path)
    try:
        with open_regular(path) as file:
            start = file.read(START_BYTES)
            if not start:
                raise InputError(f"{path}: is empty")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                blocks = list(_blocks(path, data))
                zero_byte = data.find(b"\0")
                line = data[: max(zero_byte, 0)].count(b"\n") + 1
    except IsADirectoryError as error:
        raise InputError(f"{path}: {is_folder(path)}") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    if not blocks:
        kind = other_kind(path, start)
        raise InputError(f"{path}: {kind or 'is not a STAR file (no line begins with data_)'}")
    if zero_byte >= 0:
        raise InputError(f"{path}, line {line}: holds a zero byte, the file is damaged")
    names = [block.name for block in blocks]
    for number, name in enumerate(names):
        if name in names[:number]:
            raise InputError(f"{path}: has two blocks named '{name}'")
    return blocks


def parse(block: Block, condensed: Mapping[str, Condense] = NOTHING) -> Table:
    """The values of a block.

    Parameters
    ----------
    block : Block
    condensed : mapping of label to function
        Columns whose text is not kept as it is: see :data:`.star_rows.Condense`.

    Raises
    ------
    InputError
        When a row has more or fewer values than the block has labels (the line says which row), when a
        label comes twice, or when the block holds more than one table.
    """
    if block.problem:
        raise InputError(f"{block}: {block.problem}")
    parse_values = parse_rows if block.is_loop else parse_pairs
    columns = parse_values(block.path, block.labels, (block.start, block.stop), condensed)
    return Table(block.name, columns)


def _blocks(path: Path, data: mmap.mmap) -> Iterator[Block]:
    """Each ``data_`` block with the one table in it; a block of several tables carries its problem."""
    keywords = [match for match in (_FIRST_KEYWORD.match(data), *_KEYWORD.finditer(data)) if match]
    ends = [match.start() for match in keywords[1:]] + [len(data)]
    block: Block | None = None
    for match, end in zip(keywords, ends, strict=False):
        if not match.group(2):
            if block is not None:
                yield block
            name = match.group(1).decode("utf-8", "surrogateescape")
            block = _fill(Block(path, name), data, match.end(), end)
        elif block is not None:
            block = _fill(block, data, match.end(), end, is_loop=True)
    if block is not None:
        yield block


def _fill(block: Block, data: mmap.mmap, start: int, stop: int, is_loop: bool = False) -> Block:
    """``block`` with the table that begins at byte ``start``, where there is one."""
    labels: list[str] = []
    position, problem = start, block.problem
    while position < stop:
        end = data.find(b"\n", position, stop)
        end = stop if end < 0 else end
        line = data[position:end].strip()
        if line and not line.startswith(b"#"):
            if not line.startswith(b"_"):
                break
            labels.append(re.split(rb"[\s#]", line, maxsplit=1)[0][1:].decode("utf-8", "surrogateescape"))
        position = min(end + 1, stop)
    if not labels and not (is_loop and not block.labels):
        return block
    if block.labels:
        problem = "holds more than one table; give each a data_ line of its own"
    elif len(set(labels)) < len(labels):
        twice = next(label for number, label in enumerate(labels) if label in labels[:number])
        problem = f"label _{twice} comes twice"
    elif not is_loop and position < stop:
        problem = "values without a loop_ line before their labels"
    rows = position if is_loop else start
    return Block(block.path, block.name, tuple(labels), is_loop, rows, stop, problem, start)
