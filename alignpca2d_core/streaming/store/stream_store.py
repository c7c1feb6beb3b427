"""What a stream leaves in DIR/state, so that the next process goes on where the last one was, or was killed.

Only ``stream.json`` is replaced; it names the versions that count, written before it.  Others are removed after it.

================================  ==================================================================================
``batch-000001.xmd``, ``.given``  the particles that came together, as Xmipp metadata; and the rows that RELION wrote
``batch-head.X.star``             a metadata file without its rows (:mod:`.given_rows`)
``batch-000001.V.safetensors``    their classes and poses, version V
``batch-000001.V.W.lines``        their rows as they are delivered, in frame W
``known.V.safetensors``           an identity and an id of every particle, to tell which are new
``classes.V.safetensors``         sums of the classes, PCA and whitening
``history.jsonl``                 figures of each delivery; the one file that is added to
================================  ==================================================================================
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...errors import InputError
from ...fourier.common_grid import Grid
from ...io.atomic_files import write_json
from ...io.particle_reading import read_particles
from ...io.particle_set import ParticleSet, particle_table
from ...state.tensor_store import FOLDER, State
from .delivery_log import DeliveryLog
from .given_rows import FLAGS, NOT_NEEDED, GivenRows, is_set, write_input
from .particle_identity import identities, images_of, unique_ids
from .stream_records import Assignments, Batch, Record

RECORD = "stream.json"
HISTORY = "history.jsonl"
VERSION = 3
MOST_TOGETHER = 4096
"""Particles of one batch; more that come at once are several batches."""
REMEDY = "start again in a new folder"


class StreamStore:
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
            content = {"several_sizes": False, "made_of": 0, **content}  # streams of earlier versions say neither
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
        state, theirs = State(self.directory, fingerprint, REMEDY), self.state.fingerprint
        ours, keys = state.fingerprint, state.changed_since(theirs)
        if self.record.batches and keys:
            changed = ", ".join(f"{key} ({theirs.get(key)}, now {ours.get(key)})" for key in keys)
            said = f"the stream was begun with other {changed}; give it the same options, or {REMEDY}"
            raise InputError(f"{self.state.folder / RECORD}: {said}")
        self.state.fingerprint = ours

    @property
    def grid(self) -> Grid | None:
        """What images of several boxes and pixel sizes are brought to; None while the stream has one size."""
        found = self.state.fingerprint.get("common grid") if self.record.batches else None
        if found is None:
            return self.size if self.record.several_sizes else None
        return Grid(*found)

    @property
    def size(self) -> Grid | None:
        """Box and pixel size that the stream began with; None before it has."""
        known = self.state.fingerprint
        return Grid(known["box"], known["pixel size"]) if self.record.batches and "pixel size" in known else None

    def commit(self) -> None:
        """Make everything written so far the state that counts, and remove what no longer does."""
        self.state.folder.mkdir(parents=True, exist_ok=True)
        content = {"version": VERSION, "fingerprint": self.state.fingerprint, **vars(self.record)}
        content["batches"] = [vars(batch) for batch in self.record.batches]
        write_json(self.state.folder / RECORD, content)
        self._remove_others()

    def history(self) -> DeliveryLog:
        """Figures of each delivery so far."""
        return DeliveryLog(self.state.folder / HISTORY, self.record.history)

    def _remove_others(self) -> None:
        kept = {self.state.path(name).name for name in self._names()}
        kept |= {self.input_path(batch).name for batch in self.record.batches}
        kept |= {self.rows_path(batch).name for batch in self.record.batches}
        kept |= {self.given_path(batch).name for batch in self.record.batches}
        kept |= {head for batch in self.record.batches for _, head, _, _ in batch.given}
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

    def given_path(self, batch: Batch) -> Path:
        """The rows of a batch as RELION's metadata had them."""
        return self.state.folder / f"{batch.name}.given"

    def rows_path(self, batch: Batch) -> Path:
        """The rows of a batch as they are delivered; made again when it is missing."""
        return self.state.folder / f"{batch.name}.{batch.version}.{self.record.frame}.lines"

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
        given, batches = GivenRows.of(particles), []
        for start in range(0, len(particles), MOST_TOGETHER):
            part = particles.subset(slice(start, start + MOST_TOGETHER))
            batch = Batch(self.new_name(), len(part), self.record.count, [(len(part), images_of(part))], [])
            self.state.folder.mkdir(parents=True, exist_ok=True)
            lines = write_input(self.input_path(batch), part, given, self.labels() if self.record.batches else [])
            if given is not None:
                batch.given.append(given.keep(self.given_path(batch), lines))
            self.record.batches.append(batch)
            batches.append(batch)
        self.record.disabled += int((~particles.enabled & ~particles.failed).sum())
        every = np.sort(np.concatenate([identity, identities(particles, self.directory)]))
        self._known = every, np.concatenate([ids, particles.ids])
        self.record.known += 1
        columns = {"identity": torch.from_numpy(every), "id": torch.from_numpy(self._known[1])}
        self.state.save(f"known.{self.record.known}", columns)
        return batches

    def new_name(self) -> str:
        """A name that no batch has had."""
        self.record.named += 1
        return f"batch-{self.record.named:06d}"

    def unchanged(self, batch: Batch, readable: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Which images of a batch (n,) are what they were when it came, as far as a sample tells; which have changed.

        Of particles that came together, some of which can no longer be read (``readable``, (n,)), nothing can be told:
        they are neither.
        """
        particles, start = self.particles(batch), 0
        same, changed = np.zeros((2, batch.count), dtype=bool)
        for count, digest in batch.imprints:
            part = slice(start, start + count)
            if readable[part][particles.enabled[part]].all():
                verdict = same if images_of(particles.subset(part)) == digest else changed
                verdict[part] = particles.enabled[part]
            start += count
        return same, changed

    def _check_columns(self, particles: ParticleSet) -> None:
        if not self.record.batches:
            return
        table = particle_table(particles, {}).columns
        missing = [label for label in self.labels() if label not in (*table, *NOT_NEEDED)]
        if missing:
            raise InputError(f"{particles.source}: has no column _{missing[0]}, which the particles before it have")
        surplus = [label for label, flag in FLAGS.items() if label not in self.labels() and is_set(particles, flag)]
        if surplus:
            raise InputError(
                f"{particles.source}: has particles with _{surplus[0]} set, of which those before it say nothing; "
                f"give all of the stream that column, and {REMEDY}"
            )

    def labels(self) -> list[str]:
        """Columns of the particles as they came."""
        with self.input_path(self.record.batches[0]).open(encoding="utf-8", errors="surrogateescape") as lines:
            head = [line.split()[0] for _, line in zip(range(1000), lines, strict=False) if line.startswith(" _")]
        return [label[1:] for label in head]

    def particles(self, batch: Batch) -> ParticleSet:
        """The particles of a batch."""
        found = read_particles(self.input_path(batch))
        if self.state.fingerprint.get("CTF") == "none":
            found.do_without_ctf()
        found.warnings = []
        return found

    def assignments(self, batch: Batch) -> Assignments:
        """Classes and poses of a batch."""
        if not batch.version:
            return Assignments.none(batch.count)
        found = self._load(f"{batch.name}.{batch.version}")
        return Assignments.restored(found)

    def assign(self, batch: Batch, assignments: Assignments, generation: int) -> None:
        """Give a batch new classes and poses."""
        batch.version += 1
        batch.generation = generation
        self.save(batch, assignments)

    def save(self, batch: Batch, assignments: Assignments) -> None:
        """Write the assignments of a batch under its version."""
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
