"""``--preset paper``: sections 2.1 and 2.2 as printed, so that the paper's experiment can be repeated.

CTF-corrected particles, one PCA of the whole band, averages filtered by eq. 6, stage 1 on N1 particles with
grids from 8 degrees and 5 pixels down to 2 degrees and one pixel (of 128), stage 2 by RMSProp over batches.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .classes import Averages, ClassSums, accumulate, averages, pick_offsets, recentre
from .classifier import Classifier
from .convergence import changed_share
from .discovery import kmeans_start
from .fourier import Band, as_real
from .poses import ROTATION_STEP_DEG, SHIFT_RANGE, SHIFT_STEP, Level, Schedule
from .preprocess import Vectors
from .resolution import adapted_filter
from .search import Matches, exhaustive, refine
from .updates import RmsProp, RunningSums

ROUNDS_PER_LEVEL = 4


def paper_schedule(band: Band) -> Schedule:
    """8, 4 and 2 degrees with 5, 2.5 and 1 pixels of 128, all on the whole band."""
    first = Level(ROTATION_STEP_DEG, SHIFT_STEP * band.box, band.radius)
    second = Level(first.rotation_step / 2, first.shift_step / 2, band.radius)
    third = Level(first.rotation_step / 4, first.shift_step / 5, band.radius)
    return Schedule(first, (second, third), SHIFT_RANGE * band.box + 1e-6)


def emphasised(average: Averages, band: Band) -> Tensor:
    """W^(1/2)·x of eq. 9 with the adapted filter of eq. 6, (k, m)."""
    return average.mean * adapted_filter(average.mean, average.frc, band)[:, band.ring]


class PaperClassifier(Classifier):
    """The order of figure 1 of the paper."""

    symmetric_basis = False

    def make_schedule(self) -> Schedule:
        return paper_schedule(self.band)

    def references(self, sums: ClassSums) -> Tensor:
        return emphasised(averages(sums, self.band, self.mask), self.band)

    def discover(self, sample: NDArray[np.int64], particles: Vectors) -> tuple[Matches, int]:
        """Stage 1: k-means, then means of the assigned particles, the grid refined as rounds go on."""
        classes = min(self.settings.classes, len(sample))
        label = kmeans_start(self.basis.transform(as_real(particles.z)), classes, self.generator)[:, None]
        still = torch.zeros(label.shape, device=label.device)
        matches = Matches(label, still, still.clone(), still.clone(), still.clone())
        levels = 1 + len(self.schedule.local)
        rounds = self.settings.iterations or ROUNDS_PER_LEVEL * levels
        with self.progress.stage("Stage 1", rounds, "rounds") as stage:
            for turn in range(rounds):
                before = matches.classes[:, 0].clone()
                sums = accumulate(particles, matches, classes, self.halves(sample))
                sums, _ = recentre(sums, matches, pick_offsets(matches, classes), self.band)
                matches = self.nearest(particles, self.references(sums), turn * levels // rounds)
                matches = self.reseeded(matches, classes)
                stage.advance()
                changed = changed_share(before, matches.classes[:, 0])
                score = float(matches.score[:, 0].double().mean())
                stage.record("rounds", round=turn + 1, classes=classes, changed=changed, score=score)
        return matches, classes

    def nearest(self, particles: Vectors, references: Tensor, local_levels: int) -> Matches:
        """The best template of the exhaustive grid, refined on the first local grids."""
        matches = exhaustive(particles, references, self.band, self.schedule, self.basis)
        for level in self.schedule.local[:local_levels]:
            matches = refine(particles, references, self.band, level, matches)
        return matches

    def reseeded(self, matches: Matches, classes: int) -> Matches:
        """Give each empty class a random half of the largest."""
        for k in range(classes):
            sizes = torch.bincount(matches.classes[:, 0], minlength=classes)
            if sizes[k] == 0:
                members = torch.nonzero(matches.classes[:, 0] == sizes.argmax())[:, 0]
                order = torch.randperm(len(members), generator=self.generator).to(members.device)
                matches.classes[members[order[: len(members) // 2]], 0] = k
        return matches

    def step(self, optimiser: RmsProp, batch: ClassSums, total: ClassSums) -> None:
        """Eqs. 11 to 13 with the means of a batch, filtered by what is known from all particles."""
        average = averages(total, self.band, self.mask)
        weights = adapted_filter(average.mean, average.frc, self.band)[:, self.band.ring]
        means = averages(batch, self.band, self.mask).mean
        optimiser.step(means * weights, batch.sizes > 0)

    def assign(self, references: RunningSums, rows: NDArray[np.int64]) -> Matches:
        """Stage 2: batches of N_b particles, each followed by a step of eqs. 11 to 13."""
        optimiser = RmsProp(self.references(references.sums))
        found, kept = [], []
        total = ClassSums.zeros(len(optimiser.references), self.band)
        with self.progress.stage("Stage 2", len(rows)) as stage:
            for part, particles in self.source.batches(rows, self.batch):
                matches = self.nearest(particles, optimiser.references, len(self.schedule.local))
                sums = accumulate(particles, matches, len(optimiser.references), self.halves(part))
                total = total + sums
                self.step(optimiser, sums, total)
                found.append(matches)
                kept.append(part)
                stage.advance(len(part))
        self.rows_, self.sums = np.concatenate(kept), total
        return Matches.join(found, 0)
