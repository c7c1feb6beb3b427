"""The order of an update: keep what has come, start the classes or assign it, revisit earlier particles.

After every batch the state is committed, so that a process that is killed loses one batch's work at most, and
none of the particles.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ..classes import recentre
from ..classifier import Classifier
from ..concatenation import concatenate
from ..errors import InputError
from ..given import GivenClasses
from ..metadata import ParticleSet
from ..preprocess import Vectors
from ..run import Run
from ..search import Matches
from ..source import Source
from ..stacks import StackReader
from ..workflow import make_classifier
from .journal import Assignments, Batch, Journal, images_of
from .living import LivingClasses, Placed, moments_of
from .novelty import DEVIATIONS, WORSE, NewViews, find_new_views

PER_CLASS = 100
"""Particles for each class that start a stream, unless ``--initial-particles`` says how many."""
GROWTH = 2.0
"""The classes are worth going back for when this many times as many particles have made them."""
IMPROVEMENT = 0.9
"""Or when their mean resolution is this share of what it was."""
LEAST_SAMPLE = 2000
"""Recent particles that are looked through for new views."""
SETTLING_ROUNDS = 2
"""Times that these are assigned anew when there are some."""
RECENT = 0.3
"""Weight of the last batch in the usual score."""
SAME_ANGLE, SAME_SHIFT = 0.01, 0.1
"""Radians and pixels within which a pose has not changed."""


@dataclass
class Tally:
    """What an update has done: particles that are new, were assigned anew, and changed by that."""

    new: int = 0
    revisited: int = 0
    changed: int = 0


class Stream:
    """A stream of particles and its classes.

    Parameters
    ----------
    journal : Journal
    run : Run
        Of the particles that came last; decides device, band, mask and CTF.
    """

    def __init__(self, journal: Journal, run: Run) -> None:
        self.journal, self.record = journal, journal.record
        self.run, self.settings, self.progress = run, run.settings, run.progress
        self.preparation = run.preparation()
        self.tally = Tally()
        self.classes: LivingClasses | None = None
        if self.record.classes:
            tensors = journal.load_classes()
            method = make_classifier(run, run.source())
            self.classes = LivingClasses.kind(method).restored(method, tensors)
            self.preparation.whitening = self.classes.whitening

    @property
    def due(self) -> int:
        """Earlier particles that are still to be compared with the classes as they are now."""
        return sum(batch.count for batch in self.record.batches if batch.generation < self.record.generation)

    @property
    def has_news(self) -> bool:
        """Whether anything has changed since the last delivery."""
        record = self.record
        said = record.delivered, record.delivered_frame, record.delivered_closed
        coming = record.delivered + 1
        fresh = any(batch.delivery == coming for batch in record.batches)
        return fresh or said != (record.delivered, record.frame, record.closed) or not record.delivered

    @property
    def initial_particles(self) -> int:
        """How many particles start the classes."""
        return self.settings.initial_particles or PER_CLASS * self.settings.classes

    @property
    def missing(self) -> int:
        """How many particles are still to come before the classes can start; 0 once they have."""
        return 0 if self.record.classes else max(0, self.initial_particles - self.record.count)

    def take(self, particles: ParticleSet | None, last: bool) -> None:
        """New particles, and whether they are the last; everything that follows from them."""
        if particles is not None and len(particles):
            self.journal.append(particles)
            self.record.closed = self.record.ending = False
            # What is saved is no more than one batch needs, so that no update has to do the work of many.
            saved = min(self.record.credit, max(batch.count for batch in self.record.batches))
            self.record.credit = saved + self.settings.revisit * len(particles)
            self.tally.new = len(particles)
        self.journal.commit()
        if self.missing and not last:
            return
        if not self.record.classes:
            self.start()
        self.assign_new()
        if self._may_hold_new_views(last):
            self.look_for_new_views()
        self.revisit(last)
        if last and not self.record.closed:
            self.finish()

    def start(self) -> None:
        """The first classes, from all particles that are there: a whole classification."""
        batches = self.record.batches
        everything = concatenate([self.journal.particles(batch) for batch in batches])
        source = Source(StackReader(everything), everything, self.preparation)
        method = make_classifier(self.run, source).fit()
        order = torch.argsort(method.model_.sums.sizes, descending=True, stable=True)
        if isinstance(method, GivenClasses):
            order = torch.arange(len(order), device=order.device)
        self.classes = LivingClasses.kind(method).of(method, order)
        rank = torch.empty_like(order)
        rank[order] = torch.arange(len(order), device=order.device)
        matches = recentre(method.model_.sums, method.matches_, -method.model_.offsets, method.band)[1]
        matches.classes = rank[matches.classes]
        placed = Placed(matches, method.sifted_.score, method.sifted_.certainty)
        self.classes.moments = moments_of(placed.score, matches.classes[:, 0], len(order))
        self.record.generation = 1
        self.record.looked, self.record.patience = self.record.count, LEAST_SAMPLE // 2
        self.record.usual_score = float(placed.score.mean())
        self._remember_references()
        for batch in batches:
            here = np.flatnonzero((method.rows_ >= batch.first) & (method.rows_ < batch.first + batch.count))
            some = placed.rows(torch.from_numpy(here).to(method.band.device))
            self._record(batch, method.rows_[here] - batch.first, some)
        self._learn_noise()
        self._commit_classes()

    def assign_new(self) -> None:
        """Assign the batches that have no classes yet, and let each improve the references."""
        waiting = [batch for batch in self.record.batches if not batch.version]
        if not waiting:
            return
        with self.progress.stage("New particles", sum(batch.count for batch in waiting)) as stage:
            for batch in waiting:
                self._assign(batch)
                self._commit_classes()
                stage.advance(batch.count)

    def look_for_new_views(self) -> None:
        """Give views that recent particles bring classes of their own, or say that there are none left."""
        assert self.classes is not None
        recent = newest(self.record.batches, max(LEAST_SAMPLE, PER_CLASS * self.settings.classes))
        with self.progress.stage("Looking for new views") as stage:
            read = [(batch, *self.vectors(batch)) for batch in recent]
            sample = [(batch, rows, vectors) for batch, rows, vectors in read if vectors is not None]
            if not sample:
                return
            halves = torch.cat([self._halves(batch, rows) for batch, rows, _ in sample])
            particles = Vectors.join([vectors for _, _, vectors in sample])
            found = find_new_views(self.classes, particles, halves, self.settings.seed + self.record.count)
            stage.advance(0, note=f"{len(found.members)} found")
        self._settle(found, sample)
        record = self.record
        record.patience = LEAST_SAMPLE if found.members else 2 * max(record.patience, LEAST_SAMPLE // 2)
        record.looked, record.suspect = record.count, False

    def _settle(self, found: NewViews, sample: list[tuple[Batch, NDArray[np.int64], Vectors]]) -> None:
        """Move the members of new views into classes that can be spared, and let these settle."""
        assert self.classes is not None
        classes, settled = self.classes, []
        target = torch.full((len(found.matches),), -1, dtype=torch.int64, device=classes.band.device)
        for members in found.members:
            number = classes.spare()
            if number is None:
                break
            heir = classes.give_up(number)
            self.journal.rename(number, heir)
            target[members] = number
            settled.append(number)
            self.progress.warn(
                f"class {number + 1} holds a view that came up before particle {self.record.count}; "
                f"what it held is in class {heir + 1}, of the same view"
            )
        if len(settled) < len(found.members):
            self.progress.warn(
                f"{len(found.members) - len(settled)} views that came up before particle {self.record.count} find no "
                f"class: they are among others; start again with more than --classes {self.settings.classes}"
            )
        if not settled:
            return
        start = 0
        for batch, rows, vectors in sample:
            here = slice(start, start + len(rows))
            self._move(batch, rows, vectors, target[here], found.matches.rows(torch.arange(here.start, here.stop)))
            start = here.stop
        for _ in range(SETTLING_ROUNDS):
            for batch, _, _ in sample:
                self._reassign(batch)
        for number in settled:
            classes.centre_one(number)
        self._learn_noise()
        self._commit_classes()

    def _move(
        self, batch: Batch, rows: NDArray[np.int64], vectors: Vectors, target: torch.Tensor, matches: Matches
    ) -> None:
        """Put the particles of a batch that have a target (n,) there, at the poses of these matches (n, 1)."""
        assert self.classes is not None
        moving = torch.nonzero(target >= 0)[:, 0]
        if not len(moving):
            return
        some, rows = vectors.rows(moving), rows[moving.cpu().numpy()]
        halves = self._halves(batch, rows)
        before = self.journal.assignments(batch).placed(rows, some.z.device)
        poses = matches.rows(moving)
        poses.classes = target[moving, None]
        placed = Placed(poses, before.score, torch.ones_like(before.certainty))
        self.classes.release(self.classes.share_of(some, before, halves))
        self.classes.readmit(self.classes.share_of(some, placed, halves))
        self._record(batch, rows, placed)

    def _may_hold_new_views(self, last: bool) -> bool:
        """Whether it is worth looking for views that the classes do not have."""
        record, settings = self.record, self.settings
        if settings.preset == "paper" or settings.references is not None or record.ending:
            return False
        since = record.count - record.looked
        grown = record.count >= GROWTH * record.looked
        return since > 0 and (grown or last or (record.suspect and since >= record.patience))

    def _watch(self, placed: Placed) -> None:
        """Notice particles that fit worse than those before them."""
        assert self.classes is not None
        record, moments = self.record, self.classes.moments
        mean, count = float(placed.score.mean()), len(placed.score)
        total = max(float(moments.count.sum()), 1.0)
        variance = float(moments.square.sum()) / total - (float(moments.total.sum()) / total) ** 2
        error = (max(variance, 1e-12) / count) ** 0.5
        if mean < WORSE * record.usual_score and record.usual_score - mean > DEVIATIONS * error:
            record.suspect = True
        record.usual_score += RECENT * (mean - record.usual_score)

    def revisit(self, last: bool) -> None:
        """Assign earlier particles anew when the classes have improved enough since, within the budget."""
        if self._have_improved(last):
            self.record.generation += 1
            self._remember_references()
            self._learn_noise()
        due = [batch for batch in self.record.batches if batch.version and batch.generation < self.record.generation]
        due.sort(key=lambda batch: (batch.generation, batch.first))
        if last and not self.record.ending:
            self.record.ending = True
            self.record.credit = max(self.record.credit, self.settings.revisit * sum(batch.count for batch in due))
        affordable = within(due, self.record.credit)
        if not affordable:
            return
        with self.progress.stage("Earlier particles", sum(batch.count for batch in affordable)) as stage:
            for batch in affordable:
                try:
                    self._reassign(batch)
                except InputError as error:
                    self.progress.warn(f"{error}; its particles keep the classes that they have")
                    batch.generation = self.record.generation
                self.record.credit -= batch.count
                self._commit_classes()
                stage.advance(batch.count)
        if len(affordable) == len(due):
            self.record.credit = 0.0

    def _have_improved(self, last: bool) -> bool:
        """Whether the classes are so much better that earlier particles are to be compared with them again."""
        record = self.record
        if not self.settings.revisit:
            return False
        if last:
            return not record.ending and record.count > record.generation_size
        finer = self.mean_resolution() < IMPROVEMENT * record.generation_resolution
        return record.count >= GROWTH * record.generation_size or finer

    def _remember_references(self) -> None:
        self.record.generation_size = self.record.count
        self.record.generation_resolution = self.mean_resolution()

    def mean_resolution(self) -> float:
        """Of the classes, weighted by their particles, Å."""
        assert self.classes is not None
        return self.classes.mean_resolution(self.run.sampling_rate)

    def finish(self) -> None:
        """The end of a stream: the classes are centred anew."""
        assert self.classes is not None
        self.classes.centre()
        self.record.frame += 1
        self.record.closed = True
        self._commit_classes()

    def vectors(self, batch: Batch) -> tuple[NDArray[np.int64], Vectors | None]:
        """Positions in a batch of the particles that can be used, and their vectors."""
        particles = self.journal.particles(batch)
        if not particles.enabled.any():
            return np.zeros(0, dtype=np.int64), None
        with StackReader(particles) as reader:
            source = Source(reader, particles, self.preparation, cache_bytes=0)
            for rows, vectors in source.batches(source.rows, batch.count):
                return rows, vectors
        return np.zeros(0, dtype=np.int64), None

    def _assign(self, batch: Batch) -> None:
        assert self.classes is not None
        rows, vectors = self.vectors(batch)
        if vectors is None:
            self.journal.assign(batch, Assignments.none(batch.count), self.record.generation)
            return
        placed = self.classes.place(vectors, self.classes.templates(), members=False)
        self._watch(placed)
        self.classes.absorb(self.classes.share_of(vectors, placed, self._halves(batch, rows)))
        self._record(batch, rows, placed)

    def _reassign(self, batch: Batch) -> None:
        """Compare a batch again; sums lose what it gave and gain what it gives now."""
        assert self.classes is not None
        before = self.journal.assignments(batch)
        if images_of(self.journal.particles(batch)) != batch.imprint:
            raise InputError(f"particles {batch.first + 1} to {batch.first + batch.count}: their images have changed")
        rows, vectors = self.vectors(batch)
        # A particle whose image has become unusable since keeps the place that it has.
        known = before.classes.numpy()[rows] >= 0
        rows = rows[known]
        if vectors is None or not len(rows):
            batch.generation = self.record.generation
            return
        device = vectors.z.device
        vectors = vectors.rows(torch.from_numpy(np.flatnonzero(known)).to(device))
        halves = self._halves(batch, rows)
        placed = self.classes.place(vectors, self.classes.templates(), members=True)
        self.classes.release(self.classes.share_of(vectors, before.placed(rows, device), halves))
        self.classes.readmit(self.classes.share_of(vectors, placed, halves))
        self._record(batch, rows, placed)
        self.tally.revisited += batch.count

    def _record(self, batch: Batch, rows: NDArray[np.int64], placed: Placed) -> None:
        """Write down where the particles at some rows of a batch are now."""
        before = self.journal.assignments(batch)
        after = before.clone()
        after.put(torch.from_numpy(rows), placed.matches, placed.score, placed.certainty)
        moved = after.differs(before, SAME_ANGLE, SAME_SHIFT)
        after.delivery[moved] = self.record.delivered + 1
        if batch.version:
            self.tally.changed += int((after.classes != before.classes).sum())
        if moved.any():
            batch.delivery = self.record.delivered + 1
        self.journal.assign(batch, after, self.record.generation)

    def _learn_noise(self) -> None:
        """Score against noise as it fares in the classes as they are now."""
        assert self.classes is not None
        for batch in reversed(self.record.batches):
            _, vectors = self.vectors(batch)
            if vectors is not None:
                self.classes.learn_noise(vectors.q)
                return

    def _halves(self, batch: Batch, rows: NDArray[np.int64]) -> torch.Tensor:
        assert self.classes is not None
        return self.classes.method.halves(rows + batch.first)

    def _commit_classes(self) -> None:
        assert self.classes is not None
        self.journal.save_classes(self.classes.tensors())
        self.journal.commit()

    @property
    def method(self) -> Classifier:
        """How the stream classifies."""
        assert self.classes is not None
        return self.classes.method


def newest(batches: list[Batch], count: int) -> list[Batch]:
    """The last batches that hold so many particles together, in order of arrival."""
    chosen: list[Batch] = []
    for batch in reversed(batches):
        if sum(one.count for one in chosen) >= count:
            break
        chosen.append(batch)
    return chosen[::-1]


def within(batches: list[Batch], credit: float) -> list[Batch]:
    """The first of the batches that a number of particles pays for."""
    affordable = []
    for batch in batches:
        credit -= batch.count
        if credit < 0:
            break
        affordable.append(batch)
    return affordable
