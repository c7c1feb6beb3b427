"""The rows of a stream as they came: with the text of their values, and what stood around them in their files.

``batch-000001.given`` holds the lines of a batch that came as RELION's metadata, ``batch-head.DIGEST.star`` a file that
rows came from, without them; files that differ in their rows alone share one.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ...io.atomic_files import atomic_path
from ...io.given_poses import POSE_LABELS
from ...io.particle_set import ParticleSet, new_columns, particle_table
from ...io.star.column_labels import CTF_FLAGS
from ...io.star.star_reader import Table
from ...io.star.star_writer import HEAD, loop_head, write_blocks
from ...io.verbatim.row_text import TextTable, encoded, put_together, with_columns, words
from ...results.result_files import EARLIER_ALIGNMENT, RESULT_LABELS

HEAD_NAME = "batch-head."
OURS = (*EARLIER_ALIGNMENT, *RESULT_LABELS)
"""Columns that a classification adds, and takes away where particles come with them."""
FLAGS = {names[0]: flag for flag, names in CTF_FLAGS.items()}
NOT_NEEDED = (*OURS, *FLAGS)
"""Columns that a stream's particles need not have, even where those before them do."""


@dataclass
class GivenRows:
    """The text of particles that are read in portions, in their order.

    Parameters
    ----------
    dialect : str
        Of the file that they are in.
    block : str
    table : TextTable
    lines : iterator of bytes
    """

    dialect: str
    block: str
    table: TextTable
    lines: Iterator[bytes]

    @staticmethod
    def of(particles: ParticleSet) -> GivenRows | None:
        """The text of particles, where they come from metadata."""
        if particles.origin is None or particles.dialect == "cryosparc":
            return None
        return GivenRows(particles.dialect, particles.origin.block, *particles.origin.text())

    def take(self, count: int) -> list[bytes]:
        """The rows of the next particles.

        Raises
        ------
        InputError
            When the file has become shorter since it was read.
        """
        found = list(itertools.islice(self.lines, count))
        if len(found) < count:
            raise InputError(f"{self.table.path}: has changed while it was read; give it again")
        return found

    def keep(self, path: Path, lines: Sequence[bytes]) -> tuple[int, str, str, str]:
        """Write rows, and the file around them where that is not there already.

        Returns
        -------
        What :class:`.stream_records.Batch` says of them.
        """
        table = self.table
        digest = hashlib.sha256(b"\0".join([table.prefix, repr((self.block, table.labels)).encode(), table.suffix]))
        head = path.with_name(f"{HEAD_NAME}{digest.hexdigest()[:16]}.star")
        if not head.exists():
            put_together(head, table, table.labels, [])
        if self.dialect == "relion":
            with atomic_path(path) as temporary:
                temporary.write_bytes(b"".join(line + b"\n" for line in lines))
        return len(lines), head.name, self.block, self.dialect


def write_input(path: Path, particles: ParticleSet, given: GivenRows | None, labels: Sequence[str]) -> list[bytes]:
    """Write the particles of a batch as Xmipp metadata with these labels; whatever they have where there are none yet.

    Returns
    -------
    list of bytes
        The next rows of ``given``, which are those of the particles.
    """
    lines = given.take(len(particles)) if given is not None else []
    if given is not None and given.dialect == "xmipp":
        columns = new_columns(particles)
        columns |= {
            label: _zeros(particles)
            for label in labels
            if label in NOT_NEEDED and label not in (*given.table.labels, *columns)
        }
        found, rows = with_columns(lines, given.table.labels, columns)
        order = [found.index(label) for label in labels or found]
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            file.write(encoded(HEAD + loop_head("particles", labels or found)))
            for row in rows:
                values = words(row, len(found))
                file.write(b" ".join([values[place] for place in order]) + b"\n")
    else:
        table = input_table(particles).columns
        kept = {label: table[label] if label in table else _zeros(particles) for label in labels or table}
        write_blocks(path, {"particles": Table("particles", kept)})
    return lines


def input_table(particles: ParticleSet) -> Table:
    """The particles' table without what a classification adds to it; of other programs' with poses that are kept."""
    kept = () if particles.dialect == "xmipp" else POSE_LABELS
    poses = {label: particles.table[label] for label in kept if label in particles.table}
    table = particle_table(particles, {})
    enabled = table.columns["enabled"]
    for label in OURS:
        table.columns.pop(label, None)
    table.columns["enabled"] = enabled
    return Table(table.name, {**table.columns, **poses})


def _zeros(particles: ParticleSet) -> NDArray[Any]:
    return np.zeros(len(particles), dtype=np.int64)


def is_set(particles: ParticleSet, flag: str) -> bool:
    """Whether the CTF of any particle has a flag."""
    return particles.ctf is not None and bool(getattr(particles.ctf, flag).any())


def split_lines(text: bytes) -> list[bytes]:
    """The lines, each with its end."""
    return [line + b"\n" for line in text.split(b"\n")[:-1]]
