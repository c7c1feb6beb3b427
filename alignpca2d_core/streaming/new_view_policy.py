"""When to look for new views, and where they go."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from ..averaging.placement import Placement
from ..preprocessing.preprocess import Vectors
from ..runtime.progress import Progress
from ..settings import Settings
from .assignment_updates import AssignmentUpdates
from .new_view_search import NewViewSearch, find_new_views
from .store.stream_records import Batch

SAMPLE_PER_CLASS, LEAST_SAMPLE = 100, 2000
"""Recent particles that are looked through."""
GROWTH = 2.0
"""A look is due when this many times as many particles have come as at the last one."""
LAST_GROWTH = 1.5
"""The same where no more will come: what fewer bring is no view that the classes do without."""
REFINEMENT_ROUNDS = 2
"""Times that the sample is assigned again when there are new views."""
WORSE, DEVIATIONS = 0.9, 5.0
"""A batch is suspect below this share of the usual mean score, and by so many standard errors."""
RECENT = 0.3
"""Weight of the last batch in the usual score."""

Sample = list[tuple[Batch, NDArray[np.int64], Vectors]]
"""Batches with the positions of the particles that can be used, and their vectors."""


class NewViewPolicy:
    """Watches over how particles fit.

    Parameters
    ----------
    members : AssignmentUpdates
    settings : Settings
    progress : Progress
    """

    def __init__(self, members: AssignmentUpdates, settings: Settings, progress: Progress) -> None:
        self.members, self.record = members, members.record
        self.settings, self.progress = settings, progress

    def begin(self, usual_score: float) -> None:
        """The classes have just been made, of everything that is there."""
        record = self.record
        record.looked, record.patience, record.usual_score = record.count, LEAST_SAMPLE // 2, usual_score

    def watch(self, placed: Placement) -> None:
        """Notice a batch that fits worse than those before it."""
        record, moments = self.record, self.members.classes.moments
        mean, count = float(placed.score.mean()), len(placed.score)
        total = max(float(moments.count.sum()), 1.0)
        variance = float(moments.square.sum()) / total - (float(moments.total.sum()) / total) ** 2
        error = (max(variance, 1e-12) / count) ** 0.5
        if mean < WORSE * record.usual_score and record.usual_score - mean > DEVIATIONS * error:
            record.suspect = True
        record.usual_score += RECENT * (mean - record.usual_score)

    def are_likely(self, last: bool) -> bool:
        """Whether it is worth looking: much has come since the last look, or it fitted badly."""
        record, settings = self.record, self.settings
        if settings.preset == "paper" or settings.references is not None or record.ending:
            return False
        since = record.count - record.looked
        grown = record.count >= (LAST_GROWTH if last else GROWTH) * record.looked
        badly = record.suspect and (last or since >= record.patience)
        return since > 0 and (grown or badly)

    def look(self) -> None:
        """Give views that recent particles bring classes of their own, or say that there are none left."""
        record = self.record
        recent = newest(record.batches, max(LEAST_SAMPLE, SAMPLE_PER_CLASS * self.settings.classes))
        with self.progress.stage("Looking for new views") as stage:
            read = ((batch, *self.members.vectors_of_placed(batch)) for batch in recent)
            sample = [(batch, rows, vectors) for batch, rows, vectors in read if vectors is not None]
            if not sample:
                return
            halves = torch.cat([self.members.halves(batch, rows) for batch, rows, _ in sample])
            particles = Vectors.join([vectors for _, _, vectors in sample])
            found = find_new_views(self.members.classes, particles, halves, self.settings.seed + record.count)
            stage.advance(0, note=f"{len(found.members)} found")
        # Particles that fit badly for another reason, thicker ice say, are not looked through again and again.
        record.patience = LEAST_SAMPLE // 2 if found.members else 2 * record.patience
        record.looked, record.suspect = record.count, False
        numbers = self._house(found)
        if numbers:
            self._settle(found, numbers, sample)

    def _house(self, found: NewViewSearch) -> list[int]:
        """A class for each new view, as long as there are some to spare: those that divide another view."""
        classes, numbers, when = self.members.classes, [], f"came up before particle {self.record.count}"
        for _ in found.members:
            number = classes.spare()
            if number is None:
                break
            other = classes.give_up(number)
            self.members.journal.rename(number, other)
            numbers.append(number)
            self.progress.warn(
                f"class {number + 1} now holds a view that {when}; what it held is in class {other + 1}, the same view"
            )
        unplaced = len(found.members) - len(numbers)
        if unplaced:
            self.progress.warn(
                f"{unplaced} {'view' if unplaced == 1 else 'views'} that {when} fit none of the classes, and none can "
                f"be spared: start again with more than --classes {self.settings.classes}"
            )
        return numbers

    def _settle(self, found: NewViewSearch, numbers: list[int], sample: Sample) -> None:
        """Move members to their classes, and assign the whole sample again until poses and classes are fine."""
        classes = self.members.classes
        target = torch.full((len(found.matches),), -1, dtype=torch.int64, device=classes.band.device)
        for number, members in zip(numbers, found.members, strict=False):
            target[members] = number
        edges = np.cumsum([0, *(len(rows) for _, rows, _ in sample)])
        for (batch, rows, vectors), first, end in zip(sample, edges[:-1], edges[1:], strict=True):
            self.members.move(batch, rows, vectors, target[first:end], found.matches.rows(torch.arange(first, end)))
        for _ in range(REFINEMENT_ROUNDS):
            for batch, _, _ in sample:
                self.members.reassign(batch)
        for number in numbers:
            classes.centre_one(number)
        self.members.learn_noise()
        self.members.commit()


def newest(batches: list[Batch], count: int) -> list[Batch]:
    """The last batches that hold so many particles together, in order of arrival."""
    chosen: list[Batch] = []
    for batch in reversed(batches):
        if sum(one.count for one in chosen) >= count:
            break
        chosen.append(batch)
    return chosen[::-1]
