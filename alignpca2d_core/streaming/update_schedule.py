"""The order of an update: keep what has come, start the classes or assign it, revisit earlier particles.

Classes that began with few particles, so that there is something to see early, are made again once there are enough:
what few particles leave unseen, views, junk and what is usual, no later batch brings back.

After every batch the state is committed, so that a process that is killed loses one batch's work at most, and
none of the particles.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..classification.choose_method import make_classifier
from ..fourier.ring_correlation import resolution_angstrom
from ..io.concatenation import concatenate
from ..io.particle_set import ParticleSet
from ..io.stacks import StackReader
from ..preprocessing.defect_warnings import COVERED, WITH_NOISE, warnings_of_defects
from ..preprocessing.particle_source import Source
from ..preprocessing.prepared_run import Run
from .assignment_updates import AssignmentUpdates
from .losses import STAY
from .new_view_policy import NewViewPolicy
from .store.stream_records import Batch
from .store.stream_store import StreamStore

PER_CLASS = 100
"""Particles for each class that start a stream, unless ``--initial-particles`` says how many."""
AGAIN_GROWTH = 2.0
"""Classes of fewer are made again when there are enough, or no more will come, and these are so many times as many."""
GROWTH = 2.0
"""Earlier particles are worth going back to when this many times as many have made the classes."""
IMPROVEMENT = 0.9
"""Or when the classes' mean resolution is this share of what it was."""


class UpdateSchedule:
    """A stream of particles and its classes.

    Parameters
    ----------
    journal : StreamStore
    run : Run
        Of the particles that came last.

    Attributes
    ----------
    members : AssignmentUpdates
    """

    def __init__(self, journal: StreamStore, run: Run) -> None:
        self.journal, self.record = journal, journal.record
        self.run, self.settings, self.progress = run, run.settings, run.progress
        self.members = AssignmentUpdates(journal, run)
        self.newcomers = NewViewPolicy(self.members, run.settings, run.progress)

    @property
    def initial_particles(self) -> int:
        """How many particles start the classes."""
        return self.settings.initial_particles or PER_CLASS * self.settings.classes

    @property
    def missing(self) -> int:
        """How many particles are still to come before the classes can start; 0 once they have."""
        return 0 if self.record.classes else max(0, self.initial_particles - self.record.count)

    @property
    def has_classes(self) -> bool:
        """Whether the classes have been made."""
        return self.record.classes > 0

    @property
    def due(self) -> list[Batch]:
        """Batches that are still to be compared with the classes as they are now, those longest waiting first."""
        now = self.record.generation
        waiting = [batch for batch in self.record.batches if batch.version and batch.generation < now]
        return sorted(waiting, key=lambda batch: (batch.generation, batch.first))

    @property
    def has_news(self) -> bool:
        """Whether anything has changed since the last delivery."""
        record = self.record
        fresh = any(batch.delivery > record.delivered for batch in record.batches)
        said = record.delivered_frame, record.delivered_closed
        return fresh or not record.delivered or said != (record.frame, record.closed)

    def take(self, particles: ParticleSet | None, last: bool) -> None:
        """New particles, and whether they are the last; everything that follows from them."""
        self._take(particles, last)
        losses, record = self.members.losses, self.record
        for line in self.members.contrast.warnings():
            self.progress.warn(line)
        for ending, said in (
            ((STAY,), losses.warnings()),
            ((WITH_NOISE, COVERED), warnings_of_defects(record.repaired, record.damaged)),
        ):
            if said:  # as things are now: an earlier count is out of date
                record.warnings = [line for line in record.warnings if not line.endswith(ending)]
            for line in said:
                self.progress.warn(line)

    def _take(self, particles: ParticleSet | None, last: bool) -> None:
        if particles is not None and len(particles):
            self._keep(particles)
        self.journal.commit()
        if self.missing and not last:
            return
        if not self.has_classes or self._are_worth_making_again(last):
            self.start()
        self.assign_new()
        if self.newcomers.are_likely(last):
            self.newcomers.look()
        self.revisit(last)
        if last and not self.record.closed:
            self.finish()

    def _keep(self, particles: ParticleSet) -> None:
        self.journal.append(particles)
        self.record.closed = self.record.ending = False
        # What is saved is no more than one batch needs, so that no update has to do the work of many.
        saved = min(self.record.credit, max(batch.count for batch in self.record.batches))
        self.record.credit = saved + self.settings.revisit * len(particles)
        self.members.tally.new = len(particles)

    def start(self) -> None:
        """The classes, from all particles that are there: a whole classification, on a sample as large as any."""
        everything = concatenate([self.journal.particles(batch) for batch in self.record.batches])
        readable = np.concatenate([self.members.readable(batch) for batch in self.record.batches])
        everything.enabled = readable if readable.any() else everything.enabled
        reader = StackReader(everything, self.journal.grid)
        source = Source(reader, everything, self.members.prepared_for(reader, everything))
        fitted = make_classifier(self.run, source, replace(self.settings, initial_particles=None)).fit()
        for batch in self.record.batches:
            rows = slice(batch.first, batch.first + batch.count)
            self.members.losses.note_defects(batch, source.repaired[rows], source.damaged[rows])
        record = self.record
        if record.classes:
            self.progress.say(f"The classes of {record.made_of} particles were made again, of {record.count}")
        record.generation, record.made_of, record.frame = record.generation + 1, record.count, record.frame + 1
        self.members.begin(fitted)
        self.newcomers.begin(float(fitted.placement_.score.mean()))
        self._remember_references()
        self._count_defects()
        self.members.commit()

    def _count_defects(self) -> None:
        """Count defects of new images, with the batches that they are of: a process may end after any commit."""
        repaired, damaged = self.members.losses.take_defects()
        self.record.repaired += repaired
        self.record.damaged += damaged

    def _are_worth_making_again(self, last: bool) -> bool:
        """Whether the classes were made of few particles, and there are enough by now, or will be no more.

        Not where a particle is in a class that could not be compared with it: what is gone stays where it is.
        """
        record, enough = self.record, PER_CLASS * self.settings.classes
        few = record.made_of < enough and record.count >= AGAIN_GROWTH * record.made_of
        if not (record.made_of and few and self.settings.revisit and (last or record.count >= enough)):
            return False
        return self.members.can_begin_again()

    def assign_new(self) -> None:
        """Assign the batches that have no classes yet, and let each improve the references."""
        waiting = [batch for batch in self.record.batches if not batch.version]
        if not waiting:
            return
        with self.progress.stage("New particles", sum(batch.count for batch in waiting), "particles") as stage:
            for batch in waiting:
                placed = self.members.assign(batch)
                if placed is not None:
                    self.newcomers.watch(placed)
                self._count_defects()
                self.members.commit()
                stage.advance(batch.count)

    def revisit(self, last: bool) -> None:
        """Assign earlier particles again when the classes have improved enough since, within the budget."""
        if self._have_improved(last):
            self.record.generation += 1
            self._remember_references()
            self.members.learn_noise()
        due = self.due
        if last and not self.record.ending:
            self.record.ending = True
            self.record.credit = max(self.record.credit, self.settings.revisit * sum(batch.count for batch in due))
        affordable = within(due, self.record.credit)
        if affordable:
            count = sum(batch.count for batch in affordable)
            with self.progress.stage("Earlier particles", count, "particles") as stage:
                for batch in affordable:
                    self._revisit(batch)
                    stage.advance(batch.count)
        if len(affordable) == len(due):
            self.record.credit = 0.0

    def _revisit(self, batch: Batch) -> None:
        self.members.reassign(batch)
        self.record.credit -= batch.count
        self.members.commit()

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
        classes = self.members.classes
        average = classes.method.average(classes.sums)
        resolution = resolution_angstrom(average.frc.cpu(), classes.band.box, self.run.sampling_rate)
        return float((resolution * average.sizes.cpu()).sum() / average.sizes.sum().clamp_min(1).cpu())

    def finish(self) -> None:
        """The end of a stream: the classes are centred again."""
        self.members.classes.centre()
        self.record.frame += 1
        self.record.closed = True
        self.members.commit()


def within(batches: list[Batch], credit: float) -> list[Batch]:
    """The first of the batches that a number of particles pays for."""
    affordable = []
    for batch in batches:
        credit -= batch.count
        if credit < 0:
            break
        affordable.append(batch)
    return affordable
