"""The files of DIR after an update: whole at every delivery, at a cost per batch that hardly grows.

The rows of a batch are laid out once for each version of its assignments and kept beside the state; a delivery
copies them.  Memory holds one batch, and a class number for each particle, whatever the length of the stream.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ..fourier.common_grid import PIXEL_SIZE_TOLERANCE
from ..io.atomic_files import atomic_path
from ..io.given_poses import given_poses, poses_wanted
from ..io.star.star_writer import HEAD, laid_out, loop_head
from ..io.verbatim.row_text import as_xmipp, encoded, put_together, take_apart, with_columns
from ..results.from_classifier import poses_of
from ..results.result_files import (
    CERTAINTY,
    EARLIER_ALIGNMENT,
    MISFIT,
    RESULT_LABELS,
    SCORE,
    Classification,
    class_table,
    result_columns,
)
from .running_classes import RunningClasses
from .store.given_rows import split_lines
from .store.stream_records import Batch
from .store.stream_store import StreamStore


class RowFiles:
    """The rows of the particles as they are delivered.

    Parameters
    ----------
    journal : StreamStore
    classes : RunningClasses
    """

    def __init__(self, journal: StreamStore, classes: RunningClasses) -> None:
        self.journal, self.classes = journal, classes
        self._given = journal.labels()
        self.labels = [*self._given, *(label for label in RESULT_LABELS if label not in self._given)]

    def of(self, batch: Batch) -> bytes:
        """The rows of a batch, one line each."""
        path = self.journal.rows_path(batch)
        if not path.is_file():
            with atomic_path(path) as temporary:
                temporary.write_bytes(self._laid_out(batch))
        return path.read_bytes()

    def _laid_out(self, batch: Batch) -> bytes:
        """What came, with what was found."""
        lines = self.journal.input_path(batch).read_bytes().split(b"\n")[-batch.count - 1 : -1]
        return b"".join(row + b"\n" for row in with_columns(lines, self._given, self._columns(batch))[1])

    def _columns(self, batch: Batch) -> dict[str, NDArray[np.generic]]:
        assigned = self.journal.assignments(batch)
        rows = np.arange(batch.count)
        matches = assigned.matches(rows)
        matches.classes = matches.classes.clamp_min(0)
        centred = self.classes.delivered_poses(matches.to(self.classes.band.device))
        poses, flip = poses_of(centred).scaled(self._pixels_per_grid_pixel(batch)), None
        wanted = poses_wanted(self.classes.method.settings)
        if wanted is not None:
            given = given_poses(self.journal.particles(batch), wanted, None)
            assert given is not None
            poses, flip = given.delivered(poses), given.flip
        found = {SCORE: assigned.score, CERTAINTY: assigned.certainty, MISFIT: assigned.misfit}
        figures = {label: figure.numpy() for label, figure in found.items()}
        columns = result_columns(assigned.classes.numpy(), poses, figures, flip)
        none = {label: np.zeros(batch.count, dtype=np.int64) for label in EARLIER_ALIGNMENT if label in self._given}
        return {**columns, **none}

    def _pixels_per_grid_pixel(self, batch: Batch) -> NDArray[np.float64]:
        """How many pixels of its own a pixel of the stream's grid is to each particle of a batch, (n,)."""
        grid = self.journal.grid
        if grid is None:
            return np.ones(batch.count)
        particles = self.journal.particles(batch)
        rates = (
            particles.pixel_sizes if particles.pixel_sizes is not None else particles.sampling_rate or grid.pixel_size
        )
        ratio = np.broadcast_to(grid.pixel_size / rates, batch.count)
        return np.where(np.abs(ratio - 1) > PIXEL_SIZE_TOLERANCE, ratio, 1.0)

    def write_particles(self, path: Path, batches: Sequence[Batch]) -> None:
        """All particles in the order of their arrival, between the other blocks of Xmipp metadata that began them."""
        _, head, block, dialect = (batches[0].given or [(0, "", "", "")])[0]
        if dialect == "xmipp":
            table = take_apart(self.journal.state.folder / head, block)
            put_together(path, as_xmipp(table), self.labels, (self.of(batch)[:-1] for batch in batches))
            return
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            file.write(self._head("particles"))
            for batch in batches:
                file.write(self.of(batch))

    def write_changed(self, path: Path, batches: Sequence[Batch], delivery: int, everything: bool) -> None:
        """The particles that the delivery brings something new of; all of them when the classes were moved."""
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            file.write(self._head("particles"))
            for batch in batches:
                if everything:
                    file.write(self.of(batch))
                elif batch.delivery == delivery:
                    lines = split_lines(self.of(batch))
                    fresh = self.journal.assignments(batch).delivery == delivery
                    file.writelines(lines[row] for row in torch.nonzero(fresh)[:, 0].tolist())

    def write_classes(self, path: Path, batches: Sequence[Batch], result: Classification) -> None:
        """The table of classes, then the particles of each; every row goes straight to its place in the file."""
        bytes_of = np.zeros((len(batches), len(result)), dtype=np.int64)
        classes_of = [self.journal.assignments(batch).classes.numpy() for batch in batches]
        for number, (batch, classes) in enumerate(zip(batches, classes_of, strict=True)):
            np.add.at(bytes_of[number], classes[classes >= 0], lengths(self.of(batch))[classes >= 0])
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            table = class_table(result).columns
            file.write((HEAD + loop_head("classes", table) + "".join(laid_out(list(table.values())))).encode())
            starts = np.zeros(len(result), dtype=np.int64)
            for k in range(len(result)):
                file.write(encoded(loop_head(f"class{k + 1:06d}_images", self.labels)))
                starts[k] = file.tell()
                file.seek(int(bytes_of[:, k].sum()), 1)
            file.truncate()
            for batch, classes in zip(batches, classes_of, strict=True):
                rows = split_lines(self.of(batch))
                order = np.argsort(classes, kind="stable")
                edges = np.searchsorted(classes[order], np.arange(len(result) + 1))
                for k in np.flatnonzero(np.diff(edges)):
                    part = b"".join([rows[row] for row in order[edges[k] : edges[k + 1]]])
                    file.seek(int(starts[k]))
                    file.write(part)
                    starts[k] += len(part)

    def _head(self, name: str) -> bytes:
        return encoded(HEAD + loop_head(name, self.labels))


def lengths(lines: bytes) -> NDArray[np.int64]:
    """Bytes of each line, its end included."""
    ends = np.flatnonzero(np.frombuffer(lines, dtype=np.uint8) == 10) + 1
    return np.diff(ends, prepend=0)
