"""Which particles are in which classes: batches come in, are moved, and every sum follows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from ..alignment.matches import Matches
from ..averaging.class_averages import recentre
from ..averaging.placement import Placement
from ..averaging.usable_particles import halves_of
from ..classification.choose_method import make_classifier
from ..classification.classifier import Classifier
from ..classification.initial_references import GivenClasses
from ..classification.method import check_low_rings
from ..classification.paper_preset import PaperClassifier
from ..io.particle_set import ParticleSet
from ..io.stacks import StackReader, readable_rows
from ..preprocessing.particle_source import Source
from ..preprocessing.prepared_run import Run
from ..preprocessing.preprocess import Preparation, Vectors
from ..results.class_quality import ScoreMoments
from .batch_contrast import UNLIKE, contrast_of, in_contrast
from .class_numbers import in_numbers_of
from .contrast_watch import ContrastWatch
from .losses import Losses
from .rmsprop_classes import RmsPropClasses
from .running_classes import RunningClasses
from .store.stream_records import Assignments, Batch
from .store.stream_store import StreamStore

Read: TypeAlias = "tuple[NDArray[np.int64], Vectors | None]"
"""Positions in a batch, ascending, and the vectors there; None where there are none."""
SAME_ANGLE, SAME_SHIFT = 0.01, 0.1
"""Radians and pixels within which a pose has not changed."""


@dataclass
class Tally:
    """What an update has done: particles that are new, were assigned again, and changed their class by that."""

    new: int = 0
    revisited: int = 0
    changed: int = 0


class AssignmentUpdates:
    """The batches of a journal in the classes of a stream.

    Parameters
    ----------
    journal : StreamStore
    run : Run
        Of the particles that came last; decides device, band, mask and CTF.

    Attributes
    ----------
    tally : Tally
    losses : Losses
    """

    def __init__(self, journal: StreamStore, run: Run) -> None:
        self.journal, self.record, self.run = journal, journal.record, run
        check_low_rings(run.settings, run.band)
        run.outlier_limit = self.record.outlier_limit
        self.preparation = run.preparation()
        self.tally, self.losses, self.contrast = Tally(), Losses(), ContrastWatch()
        self._classes: RunningClasses | None = None
        if self.record.classes:
            method = make_classifier(run, run.source())
            self._classes = running_classes_for(method).restored(method, journal.load_classes())
            self.preparation.whitening, self.preparation.sieve = self._classes.whitening, self._classes.sieve

    @property
    def classes(self) -> RunningClasses:
        """The classes; there are some once :meth:`begin` was called."""
        assert self._classes is not None
        return self._classes

    def prepared_for(self, reader: StackReader, particles: ParticleSet) -> Preparation:
        """What is done to every image from now on, as the first particles say."""
        self.record.outlier_limit = self.run.outlier_limit = self.run.outlier_limit_of(reader, particles)
        self.preparation = self.run.preparation()
        return self.preparation

    def begin(self, fitted: Classifier) -> None:
        """The classes that all batches so far have made.

        They are in the order given, or the largest comes first; where there have been classes before, each has the
        number of the one that it shares most particles with.
        """
        model = fitted.model_
        order = torch.argsort(model.sums.sizes, descending=True, stable=True)
        if isinstance(fitted, GivenClasses):
            order = torch.arange(len(order), device=order.device)
        rows, scales = fitted.members_.rows, fitted.scales
        if self._classes is not None:
            every = torch.cat([self.journal.assignments(batch).classes for batch in self.record.batches])
            now = fitted.placement_.matches.classes[:, 0].cpu()
            order = in_numbers_of(every[torch.from_numpy(rows)], now, order.cpu()).to(order.device)
        self._classes = running_classes_for(fitted).of(fitted, order)
        rank = torch.empty_like(order)
        rank[order] = torch.arange(len(order), device=order.device)
        matches = recentre(model.sums, fitted.placement_.matches, -model.offsets, fitted.band)[1]
        matches.classes = rank[matches.classes]
        placed = replace(fitted.placement_, matches=matches)
        self.preparation.sieve = self.classes.sieve
        self.classes.moments = ScoreMoments.of_particles(placed.score, matches.classes[:, 0], len(order))
        for batch in self.record.batches:
            if not self.readable(batch).any():
                continue
            here = np.flatnonzero((rows >= batch.first) & (rows < batch.first + batch.count))
            some = placed.rows(torch.from_numpy(here).to(fitted.band.device))
            before, after = self.journal.assignments(batch), Assignments.none(batch.count)
            after.delivery = before.delivery.clone()
            if scales is not None:
                after.scale = scales.of_rows(np.arange(batch.first, batch.first + batch.count))
            after.put(torch.from_numpy(rows[here] - batch.first), some)
            self._write_down(batch, before, after)
        self.learn_noise()

    def can_begin_again(self) -> bool:
        """Whether the classes were searched for, and every particle that is in one can be compared again."""
        method = self.classes.method
        if isinstance(method, (GivenClasses, PaperClassifier)):
            return False
        placed = ((batch, self.journal.assignments(batch).classes.numpy() >= 0) for batch in self.record.batches)
        return all((self.unchanged(batch) | ~some).all() for batch, some in placed)

    def readable(self, batch: Batch) -> NDArray[np.bool_]:
        """Which particles of a batch (n,) are enabled and can be read; the others are noted."""
        particles = self.journal.particles(batch)
        readable, why = readable_rows(particles, None if self.journal.grid else self.run.reader.box)
        self.losses.note_absent(batch, particles.enabled & ~readable, why)
        return readable

    def vectors(self, batch: Batch, among: NDArray[np.bool_] | None = None) -> Read:
        """Positions in a batch of the particles that can be read and used (among some, (n,)), and their vectors."""
        return self.read(batch, self.readable(batch) if among is None else among)[0]

    def read(self, batch: Batch, among: NDArray[np.bool_]) -> tuple[Read, Read]:
        """The same of some (n,), and of what the sieve sets aside of them; both in the contrast that is known."""
        particles, scale = self.journal.particles(batch), self.journal.assignments(batch).scale
        particles.enabled = among
        nothing: Read = (np.zeros(0, dtype=np.int64), None)
        if not among.any():
            return nothing, nothing
        with StackReader(particles, self.journal.grid) as reader:
            source = Source(reader, particles, self.preparation, cache_bytes=0)
            found = next(in_contrast(source.batches(source.rows, batch.count), scale), nothing)
            junk = next(in_contrast(source.batches(source.sieved_rows, batch.count), scale), nothing)
            self.losses.note_defects(batch, source.repaired, source.damaged)
            return found, junk

    def unchanged(self, batch: Batch) -> NDArray[np.bool_]:
        """Which images of a batch (n,) can be read and are what they were when they came; the others are noted."""
        readable = self.readable(batch)
        same, changed = self.journal.unchanged(batch, readable)
        self.losses.note_changed(batch, changed, readable & ~same & ~changed)
        return same

    def vectors_of_placed(self, batch: Batch) -> Read:
        """The same of the particles that have a class, and whose images are what they were when they came."""
        placed = self.journal.assignments(batch).classes.numpy() >= 0
        return self.vectors(batch, self.unchanged(batch) & placed)

    def halves(self, batch: Batch, rows: NDArray[np.int64]) -> torch.Tensor:
        """The half of each particle, by its number in the order of arrival."""
        return halves_of(rows + batch.first, self.classes.band.device)

    def assign(self, batch: Batch) -> Placement | None:
        """Let a batch that has just come into the classes; None when it has no particle that can be used."""
        placed = self._take_in(batch, self.readable(batch))
        # What cannot be read now may be there again the next time.
        if placed is None and not batch.version and not self.losses.of(batch):
            none = Assignments.none(batch.count)
            self._write_down(batch, none, none)
        return placed

    def _take_in(self, batch: Batch, among: NDArray[np.bool_]) -> Placement | None:
        """Place particles of a batch (n,) that are in no class; None when none of them can be used."""
        is_new = not batch.version
        (rows, vectors), (sieved, junk) = self.read(batch, among)
        if junk is not None:
            self._absorb(batch, sieved, junk, self.classes.at_rest_in_noise(len(sieved)))
        if vectors is None:
            return None
        templates = self.classes.templates()
        if is_new:
            self.contrast.look(self.journal.particles(batch).subset(rows), vectors, templates.references, self.classes)
        placed = self.classes.place(vectors, templates, members=False)
        scale = contrast_of(self.journal.particles(batch), rows, placed.score, self.classes)
        if scale is not None:
            vectors = vectors.scaled(scale.to(vectors.z.device))
            again = torch.nonzero(scale.log().abs() > UNLIKE)[:, 0].to(vectors.z.device)
            if len(again):
                placed.put(again, self.classes.place(vectors.rows(again), templates, members=False))
        self._absorb(batch, rows, vectors, placed, scale)
        return placed

    def _absorb(
        self,
        batch: Batch,
        rows: NDArray[np.int64],
        vectors: Vectors,
        placed: Placement,
        scale: torch.Tensor | None = None,
    ) -> None:
        """Let new particles, which have been scaled (n,), into the places that they have been given."""
        self.classes.absorb(self.classes.share_of(vectors, placed, self.halves(batch, rows)))
        before = self.journal.assignments(batch)
        after = before.clone()
        if scale is not None:
            after.scale[torch.from_numpy(rows)] = scale
        after.put(torch.from_numpy(rows), placed)
        self._write_down(batch, before, after)

    def reassign(self, batch: Batch) -> None:
        """Compare a batch again; sums lose what it gave and gain what it gives now.

        Particles whose images are no longer there, or no longer the same, stay where they are.
        """
        same, known = self.unchanged(batch), self.journal.assignments(batch).classes.numpy() >= 0
        batch.generation = self.record.generation
        self._take_in(batch, same & ~known)
        rows, vectors = self.vectors(batch, same & known)
        if vectors is not None:
            before, templates = self.journal.assignments(batch), self.classes.templates()
            placed = before.placed(rows, vectors.z.device)
            # What was set aside has no part in the averages that it is compared with.
            aside = self.classes.model().is_aside[placed.matches.classes[:, 0]]
            for some, members in ((~aside, True), (aside, False)):
                here = torch.nonzero(some)[:, 0]
                if len(here):
                    placed.put(here, self.classes.place(vectors.rows(here), templates, members))
            self._exchange(batch, before, rows, vectors, placed)
            self.tally.revisited += batch.count

    def move(
        self, batch: Batch, rows: NDArray[np.int64], vectors: Vectors, target: torch.Tensor, poses: Matches
    ) -> None:
        """Put the particles of a batch (n) that have a target (n,) from 0 there, at these poses (n, 1)."""
        moving = torch.nonzero(target >= 0)[:, 0]
        if not len(moving):
            return
        rows = rows[moving.cpu().numpy()]
        matches = poses.rows(moving)
        matches.classes = target[moving, None]
        before = self.journal.assignments(batch)
        earlier = before.placed(rows, matches.score.device)
        placed = Placement(matches, earlier.score, torch.ones_like(earlier.certainty), earlier.misfit)
        self._exchange(batch, before, rows, vectors.rows(moving), placed)

    def _exchange(
        self, batch: Batch, before: Assignments, rows: NDArray[np.int64], vectors: Vectors, placed: Placement
    ) -> None:
        """Take particles out of the places that they had, and into those that they have now."""
        halves = self.halves(batch, rows)
        self.classes.release(self.classes.share_of(vectors, before.placed(rows, vectors.z.device), halves))
        self.classes.readmit(self.classes.share_of(vectors, placed, halves))
        after = before.clone()
        after.put(torch.from_numpy(rows), placed)
        self._write_down(batch, before, after)

    def _write_down(self, batch: Batch, before: Assignments, after: Assignments) -> None:
        """Write down where the particles of a batch are now, and which of them that changes."""
        moved = after.differs(before, SAME_ANGLE, SAME_SHIFT)
        if not batch.version:  # what cannot be used is new all the same
            moved = torch.ones_like(moved)
        after.delivery[moved] = self.record.delivered + 1
        self.tally.changed += int(((before.classes >= 0) & (after.classes != before.classes)).sum())
        if moved.any():
            batch.delivery = self.record.delivered + 1
        self.journal.assign(batch, after, self.record.generation)

    def learn_noise(self) -> None:
        """Score from now on against noise as it fares in the classes as they are."""
        for batch in reversed(self.record.batches):
            _, vectors = self.vectors(batch)
            if vectors is not None:
                self.classes.learn_noise(vectors.q)
                return

    def commit(self) -> None:
        """Make the classes and all that was written down the state that counts."""
        self.journal.save_classes(self.classes.tensors())
        self.journal.commit()


def running_classes_for(method: Classifier) -> type[RunningClasses]:
    """The kind of classes that goes with a way of classifying."""
    return RmsPropClasses if isinstance(method, PaperClassifier) else RunningClasses
