"""What a stream leaves in DIR/state, so that the next process goes on where the last one was, or was killed.

``stream.json`` is the only file that is ever replaced: it says which versions of the others count.  All others
are written once under a new name before it, and removed after it when it no longer names them; so the state is
always that of the last commit.

============================  ==============================================================
``batch-000001.xmd``          the particles that came together, as Xmipp metadata
``batch-000001.V``            their classes and poses, version V
``known.V``                   an identity and an id of every particle, to tell which are new
``classes.V``                 sums of the classes, PCA and whitening
============================  ==============================================================
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..atomic import write_json
from ..errors import InputError
from ..imprint import imprint
from ..metadata import ParticleSet, particle_table, read_particles
from ..results import EARLIER_ALIGNMENT, RESULT_LABELS
from ..search import Matches
from ..stacks import StackReader
from ..star import Table
from ..star_writer import write_blocks
from ..state import FOLDER, State
from .living import Placed

RECORD = "stream.json"
VERSION = 1
MOST_TOGETHER = 4096
"""Particles of one batch; more that come at once are several batches."""
REMEDY = "start again in a new folder"


@dataclass
class Batch:
    """Particles that came together.

    Attributes
    ----------
    name : str
    count : int
    first : int
        Number of the first of them in the order of arrival, from 0.
    version : int
        Of their assignments; 0 while they have none.
    generation : int
        Of the classes that they were last compared with.
    delivery : int
        The delivery that brings the last change of their assignments.
    imprint : str
        Digest of some of the images, to notice when a stack is no longer what it was.
    """

    name: str
    count: int
    first: int
    imprint: str
    version: int = 0
    generation: int = 0
    delivery: int = 0


@dataclass
class Record:
    """Everything about a stream that is not a tensor; ``stream.json``.

    Attributes
    ----------
    batches : list of Batch
    known, classes : int
        Versions of the files of those names; 0 while there are none.
    generation : int
        Counts how often the classes have become worth comparing earlier particles with again.
    generation_size : int
        Particles that were there at the last generation.
    delivered, delivered_frame, delivered_closed : int, int, bool
        Deliveries made, and what the last one said.
    disabled : int
        Particles that came disabled.
    frame : int
        Counts how often the centres of the classes were moved.
    generation_resolution : float
        Mean resolution of the classes at the last generation, Å.
    credit : float
        Earlier particles that may still be assigned anew.
    ending, closed : bool
        No more particles are expected; and everything that is to be done at the end is done.
    usual_score : float
        Mean score of the particles of recent batches.
    suspect : bool
        Particles have fitted worse than usual since the last look for new views.
    looked, patience : int
        Particles that were there at that look, and how many more must come before the next.
    history : list of dict
        Figures of each delivery.
    warnings : list of str
    """

    batches: list[Batch] = field(default_factory=list)
    known: int = 0
    classes: int = 0
    generation: int = 0
    generation_size: int = 0
    delivered: int = 0
    delivered_frame: int = 0
    delivered_closed: bool = False
    disabled: int = 0
    frame: int = 0
    generation_resolution: float = 0.0
    credit: float = 0.0
    ending: bool = False
    closed: bool = False
    usual_score: float = 0.0
    suspect: bool = False
    looked: int = 0
    patience: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        """Particles that have come."""
        return self.batches[-1].first + self.batches[-1].count if self.batches else 0


@dataclass
class Assignments:
    """Classes and poses of the n particles of a batch, in the frames that the search works in.

    Attributes
    ----------
    classes : Tensor
        From 0; -1 for particles that cannot be used, (n,) int64.
    angle, shift_x, shift_y : Tensor
        As in :class:`alignpca2d_core.search.Matches`, (n,).
    score, certainty : Tensor
        As :class:`.living.Placed` has them, (n,).
    delivery : Tensor
        The delivery that brings the last change of each, (n,) int64.
    """

    classes: Tensor
    angle: Tensor
    shift_x: Tensor
    shift_y: Tensor
    score: Tensor
    certainty: Tensor
    delivery: Tensor

    @staticmethod
    def none(count: int) -> Assignments:
        """Nothing assigned yet."""
        angle, shift_x, shift_y, score, certainty = torch.zeros(5, count).unbind()
        absent = torch.full((count,), -1, dtype=torch.int64)
        return Assignments(absent, angle, shift_x, shift_y, score, certainty, torch.zeros_like(absent))

    def clone(self) -> Assignments:
        return Assignments(*(getattr(self, item.name).clone() for item in fields(self)))

    def matches(self, rows: NDArray[np.int64]) -> Matches:
        """Classes and poses of some particles, (m, 1)."""
        index = torch.from_numpy(rows)
        names = ("classes", "angle", "shift_x", "shift_y", "score")
        return Matches(*(getattr(self, name)[index, None] for name in names))

    def placed(self, rows: NDArray[np.int64], device: torch.device) -> Placed:
        """Where some particles are."""
        index = torch.from_numpy(rows)
        return Placed(self.matches(rows).to(device), self.score[index].to(device), self.certainty[index].to(device))

    def put(self, index: Tensor, matches: Matches, score: Tensor, certainty: Tensor) -> None:
        """Give the particles at ``index`` (m,) their class and pose (m, 1), score and certainty (m,)."""
        for name in ("classes", "angle", "shift_x", "shift_y"):
            getattr(self, name)[index] = getattr(matches, name)[:, 0].cpu()
        self.score[index], self.certainty[index] = score.cpu(), certainty.cpu()

    def differs(self, other: Assignments, angle: float, shift: float) -> Tensor:
        """Which particles have another class, or a pose that differs by more than so many radians or pixels, (n,)."""
        turn = torch.remainder(self.angle - other.angle + torch.pi, 2 * torch.pi) - torch.pi
        moved = torch.maximum((self.shift_x - other.shift_x).abs(), (self.shift_y - other.shift_y).abs())
        return (self.classes != other.classes) | (turn.abs() > angle) | (moved > shift)


class Journal:
    """The state of a stream on disk.

    Parameters
    ----------
    directory : Path
        The folder of the results.

    Raises
    ------
    InputError
        When the folder holds a damaged stream.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.state = State(directory, {}, REMEDY)
        self.record = self._read()
        self._known: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None

    @staticmethod
    def exists(directory: Path) -> bool:
        """Whether a stream was begun in a folder."""
        return (directory / FOLDER / RECORD).is_file()

    def _read(self) -> Record:
        path = self.state.folder / RECORD
        if not path.is_file():
            return Record()
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            version, theirs = content.pop("version"), content.pop("fingerprint")
            names = {item.name for item in fields(Record)}
            if version != VERSION or set(content) != names:
                raise InputError(f"{path}: stream of another version of the program; {REMEDY}")
            batches = [Batch(**batch) for batch in content.pop("batches")]
            record = Record(batches=batches, **content)
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise InputError(f"{path}: damaged ({error}); {REMEDY}") from error
        self.state.fingerprint = theirs
        return record

    def begin(self, fingerprint: dict[str, Any]) -> None:
        """Hold what must stay the same through a stream against what it began with.

        Raises
        ------
        InputError
            When it has changed; the line says what.
        """
        ours = State(self.directory, fingerprint, REMEDY).fingerprint
        theirs = self.state.fingerprint
        if self.record.batches and theirs != ours:
            changed = sorted(key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key))
            path = self.state.folder / RECORD
            raise InputError(f"{path}: the stream was begun with other {', '.join(changed)}; {REMEDY}")
        self.state.fingerprint = ours

    def commit(self) -> None:
        """Make everything written so far the state that counts, and remove what no longer does."""
        self.state.folder.mkdir(parents=True, exist_ok=True)
        content = {"version": VERSION, "fingerprint": self.state.fingerprint, **asdict(self.record)}
        write_json(self.state.folder / RECORD, content)
        self._remove_others()

    def _remove_others(self) -> None:
        kept = {self.state.path(name).name for name in self._names()}
        kept |= {self.input_path(batch).name for batch in self.record.batches}
        kept |= {self.rows_path(batch).name for batch in self.record.batches}
        for path in self.state.folder.iterdir():
            ours = path.name.startswith(("batch-", "known.", "classes."))
            if ours and path.name not in kept:
                path.unlink(missing_ok=True)

    def _names(self) -> list[str]:
        names = [f"{batch.name}.{batch.version}" for batch in self.record.batches if batch.version]
        return [*names, f"known.{self.record.known}", f"classes.{self.record.classes}"]

    def input_path(self, batch: Batch) -> Path:
        """The particles of a batch as they came."""
        return self.state.folder / f"{batch.name}.xmd"

    def rows_path(self, batch: Batch) -> Path:
        """The rows of a batch as they are delivered; made again when it is missing."""
        return self.state.folder / f"{batch.name}.{batch.version}.{self.record.frame}.rows"

    def known(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Identities, sorted, and ids, in order of arrival, of all particles; (n,) each."""
        if self._known is None:
            nothing = np.zeros(0, dtype=np.int64)
            self._known = nothing, nothing
            if self.record.known:
                found = self._load(f"known.{self.record.known}")
                self._known = found["identity"].numpy(), found["id"].numpy()
        return self._known

    def new_among(self, particles: ParticleSet) -> ParticleSet:
        """Those that have not come before, each once."""
        identity, _ = self.known()
        own = identities(particles, self.directory)
        place = np.searchsorted(identity, own)
        there = identity[place.clip(max=len(identity) - 1)] == own if len(identity) else np.zeros(len(own), bool)
        once = np.zeros(len(own), dtype=bool)
        once[np.unique(own, return_index=True)[1]] = True
        return particles.subset(np.flatnonzero(once & ~there))

    def append(self, particles: ParticleSet) -> list[Batch]:
        """Keep new particles, as one batch or more.

        Raises
        ------
        InputError
            When they lack a column that the particles before them have.
        """
        identity, ids = self.known()
        self._check_columns(particles)
        particles.ids = unique_ids(particles.ids, ids)
        batches = []
        for start in range(0, len(particles), MOST_TOGETHER):
            part = particles.subset(slice(start, start + MOST_TOGETHER))
            batch = Batch(f"batch-{len(self.record.batches) + 1:06d}", len(part), self.record.count, images_of(part))
            self.state.folder.mkdir(parents=True, exist_ok=True)
            write_blocks(self.input_path(batch), {"particles": input_table(part)})
            self.record.batches.append(batch)
            batches.append(batch)
        self.record.disabled += int((~particles.enabled).sum())
        every = np.sort(np.concatenate([identity, identities(particles, self.directory)]))
        self._known = every, np.concatenate([ids, particles.ids])
        self.record.known += 1
        columns = {"identity": torch.from_numpy(every), "id": torch.from_numpy(self._known[1])}
        self.state.save(f"known.{self.record.known}", columns)
        return batches

    def _check_columns(self, particles: ParticleSet) -> None:
        if not self.record.batches:
            return
        first = self.labels()
        table = input_table(particles).columns
        missing = [label for label in first if label not in table]
        if missing:
            raise InputError(f"{particles.source}: has no column _{missing[0]}, which the particles before it have")
        particles.table.columns = {label: column for label, column in table.items() if label in first}
        particles.table.columns = {label: particles.table.columns[label] for label in first}
        particles.dialect = "xmipp"

    def labels(self) -> list[str]:
        """Columns of the particles as they came."""
        with self.input_path(self.record.batches[0]).open(encoding="utf-8", errors="surrogateescape") as lines:
            head = [line.split()[0] for _, line in zip(range(1000), lines, strict=False) if line.startswith(" _")]
        return [label[1:] for label in head]

    def particles(self, batch: Batch) -> ParticleSet:
        """The particles of a batch."""
        found = read_particles(self.input_path(batch))
        found.warnings = []
        return found

    def assignments(self, batch: Batch) -> Assignments:
        """Classes and poses of a batch."""
        if not batch.version:
            return Assignments.none(batch.count)
        found = self._load(f"{batch.name}.{batch.version}")
        return Assignments(**{item.name: found[item.name] for item in fields(Assignments)})

    def assign(self, batch: Batch, assignments: Assignments, generation: int) -> None:
        """Give a batch new classes and poses."""
        batch.version += 1
        batch.generation = generation
        columns = {item.name: getattr(assignments, item.name) for item in fields(Assignments)}
        self.state.save(f"{batch.name}.{batch.version}", columns)

    def rename(self, old: int, new: int) -> None:
        """Move all particles of a class to another one."""
        for batch in self.record.batches:
            assignments = self.assignments(batch)
            members = assignments.classes == old
            if members.any():
                assignments.classes[members] = new
                assignments.delivery[members] = batch.delivery = self.record.delivered + 1
                self.assign(batch, assignments, batch.generation)

    def save_classes(self, tensors: Mapping[str, Tensor]) -> None:
        """Keep the classes as they are now."""
        self.record.classes += 1
        self.state.save(f"classes.{self.record.classes}", tensors)

    def load_classes(self) -> dict[str, Tensor]:
        """The classes as they were kept last."""
        return self._load(f"classes.{self.record.classes}")

    def _load(self, name: str) -> dict[str, Tensor]:
        found = self.state.load(name)
        if found is None:
            raise InputError(f"{self.state.path(name)}: is missing; {REMEDY}")
        return found


def input_table(particles: ParticleSet) -> Table:
    """The particles' table without what a classification adds to it; whether they are enabled comes last."""
    table = particle_table(particles, {})
    enabled = table.columns["enabled"]
    for label in (*EARLIER_ALIGNMENT, *RESULT_LABELS):
        table.columns.pop(label, None)
    table.columns["enabled"] = enabled
    return table


def images_of(particles: ParticleSet) -> str:
    """Digest of some of the images; empty when none is enabled.

    Raises
    ------
    InputError
        When a stack is missing or damaged.
    """
    if not particles.enabled.any():
        return ""
    with StackReader(particles) as reader:
        return imprint(reader, particles)["images"]


def identities(particles: ParticleSet, directory: Path) -> NDArray[np.int64]:
    """A number for each image that no other image has, (n,).

    The stack's path, relative to the results so that a project can be moved, is hashed and the image's number
    mixed in: within a stack numbers never meet, and among ten million particles of many stacks two do with a
    chance of 3 in a million.
    """
    start = directory.absolute()
    names = (os.path.relpath(stack.absolute(), start) for stack in particles.stacks)
    digests = (hashlib.blake2b(name.encode("utf-8", "surrogateescape"), digest_size=8) for name in names)
    seeds = np.array([int.from_bytes(digest.digest(), "little") for digest in digests], dtype=np.uint64)
    index = particles.index_in_stack.astype(np.uint64)
    with np.errstate(over="ignore"):
        mixed = seeds[particles.stack_of] + (index + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    return mixed.view(np.int64)


def unique_ids(wanted: NDArray[Any], taken: NDArray[np.int64]) -> NDArray[np.int64]:
    """The ids that particles (n,) come with; one that another particle has already is replaced by a free one."""
    ids = wanted.astype(np.int64).copy()
    again = np.isin(ids, taken)
    if again.any():
        free = int(max(ids.max(), taken.max())) + 1
        ids[again] = np.arange(free, free + int(again.sum()))
    return ids
