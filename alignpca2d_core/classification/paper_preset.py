"""``--preset paper``: sections 2.1 and 2.2 as printed, so that the paper's experiment can be repeated.

CTF-corrected particles, one PCA of the whole band, averages filtered by eq. 6, stage 1 on N1 particles with
grids from 8 degrees and 5 pixels down to 2 degrees and one pixel (of 128), stage 2 by RMSProp over batches.

What the paper leaves open is read as follows.  Every grid goes round the whole circle, as a particle that changes
its class changes its angle with it; finer shifts lie in ever narrower windows about the shift that a particle has
accumulated.  A grid is kept until the classes are stable.  The PCA is learned from all particles, up to as many
as the simulated experiment has: only then has it as many components as Table S1 says.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..alignment.fourier_pca import FourierPCA
from ..alignment.literal_search import literal_exhaustive
from ..alignment.match_buffer import MatchBuffer
from ..alignment.matches import Matches
from ..alignment.pose_search import PoseSearch
from ..alignment.search_grids import ROTATION_STEP_DEG, SHIFT_STEP, Level, Schedule
from ..averaging.class_averages import Averages, ClassSums, accumulate, pick_offsets, recentre
from ..averaging.convergence import changed_share, record_round
from ..averaging.usable_particles import halves_of
from ..fourier.band import Band, as_real
from ..fourier.ring_correlation import adapted_filter
from ..preprocessing.preprocess import SHIFT_RANGE, Vectors
from ..state.checkpoint import SecondStage
from .classifier import Classifier
from .discovery.initialization import kmeans_start
from .rmsprop import RmsProp
from .stages import Sample, Views

MOST_ROUNDS = (20, 8, 3)
"""Rounds of stage 1 on each grid, at most."""
LEAST_ROUNDS = 2
STABLE = 0.02
"""Share of particles that change their class in a round once the classes are stable."""
WINDOW_STEPS = 2
"""Shifts to each side of the accumulated one, on the grids after the first: 25 of them, where the first has 49."""
PCA_PARTICLES = 30_000


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

    REFINES_SAMPLE = SCALES = False

    def make_schedule(self) -> Schedule:
        return paper_schedule(self.band)

    def references(self, average: Averages) -> Tensor:
        return emphasised(average, self.band)

    def learn(self) -> Sample:
        """The sample, in one unit for all frequencies, as eq. 10 weighs them."""
        with self.progress.stage("Reading and PCA"):
            rows, particles = self.source.learn(self.sample_rows())
            noise = self.source.whitening.noise
            even = noise.square().mean().sqrt() / noise
            self.source.rescale(even)
            return Sample(rows, particles.rewhitened(even), self.basis_of_all())

    def basis_of_all(self) -> FourierPCA:
        """The PCA of as many particles as it takes."""
        rows = self.source.rows
        order = torch.randperm(len(rows), generator=self.generator)[:PCA_PARTICLES]
        basis = FourierPCA(self.settings.variance)
        for _, part in self.source.batches(np.sort(rows[order.numpy()]), self.batch):
            basis.fit_vectors(part.z)
        return basis.finalize()

    def discover(self, sample: Sample) -> tuple[Sample, Matches, int]:
        """Stage 1: k-means, then means of the assigned particles, on each grid until the classes are stable."""
        classes = min(self.settings.classes, len(sample.rows))
        start = kmeans_start(sample.basis.transform(as_real(sample.particles.z)), classes, self.generator)
        matches = Matches.at_rest(start)
        with self.progress.stage("Stage 1", unit="rounds") as stage:
            for level, most in enumerate(self.rounds()):
                for turn in range(most):
                    before = matches.classes[:, 0].clone()
                    matches = self.round(sample, matches, classes, level)
                    changed = changed_share(before, matches.classes[:, 0])
                    record_round(stage, changed, matches, classes)
                    if self.settings.iterations is None and turn + 1 >= LEAST_ROUNDS and changed < STABLE:
                        break
        return sample, matches, classes

    def rounds(self) -> tuple[int, ...]:
        """Rounds on each grid at most; those asked for in equal parts."""
        wanted, levels = self.settings.iterations, 1 + len(self.schedule.local)
        if wanted is None:
            return MOST_ROUNDS
        return tuple(wanted * (i + 1) // levels - wanted * i // levels for i in range(levels))

    def round(self, sample: Sample, matches: Matches, classes: int, level: int) -> Matches:
        """Average what is assigned, and search one grid for the nearest class of each particle."""
        particles, basis = sample.particles, sample.basis
        sums = accumulate(particles, matches, classes, halves_of(sample.rows, self.band.device))
        sums, matches = recentre(sums, matches, pick_offsets(matches, classes), self.band)
        references = self.references(self.average(sums))
        if level == 0:
            return self.reseeded(self.everywhere(particles, references, self.schedule, basis), classes)
        finer = self.schedule.local[level - 1]
        return self.reseeded(self.around(particles, references, finer, matches, basis), classes)

    def sharpen(self, sample: Sample, matches: Matches, views: int) -> Views:
        """The averages that stage 2 begins with: nothing is sharpened between the stages."""
        sums = accumulate(sample.particles, matches, views, halves_of(sample.rows, self.band.device))
        return Views(*recentre(sums, matches, pick_offsets(matches, views), self.band))

    def nearest(self, particles: Vectors, references: Tensor, basis: FourierPCA) -> Matches:
        """The best template of the exhaustive grid, then of the local grids about what was accumulated."""
        matches = self.everywhere(particles, references, self.schedule, basis)
        for level in self.schedule.local:
            matches = self.around(particles, references, level, matches, basis)
        return matches

    def everywhere(self, particles: Vectors, references: Tensor, schedule: Schedule, basis: FourierPCA) -> Matches:
        """The best template of an exhaustive grid, templates being shifted as eq. 10 has it."""
        return literal_exhaustive(particles, references, schedule, basis)

    def around(
        self, particles: Vectors, references: Tensor, level: Level, matches: Matches, basis: FourierPCA
    ) -> Matches:
        """The best of all classes and rotations at shifts about the accumulated one of each particle."""
        x, y = matches.shift_x, matches.shift_y
        back = Vectors(particles.z * self.band.shift_ramps(-x[:, 0], -y[:, 0]), particles.q, self.band)
        grid = Schedule(level, (), WINDOW_STEPS * level.shift_step)
        found = self.everywhere(back, references, grid, basis)
        found.shift_x += x
        found.shift_y += y
        return found

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
        average = self.average(total)
        weights = adapted_filter(average.mean, average.frc, self.band)[:, self.band.ring]
        means = self.average(batch).mean
        optimiser.step(means * weights, batch.sizes > 0)

    def assign(self, references: ClassSums, search: PoseSearch, rows: NDArray[np.int64]) -> SecondStage:
        """Stage 2: batches of N_b particles drawn at random, each followed by a step of eqs. 11 to 13."""
        optimiser = RmsProp(self.references(self.average(references)))
        found = MatchBuffer(len(rows), 1, self.band.device)
        total = ClassSums.zeros(len(optimiser.references), self.band)
        drawn = np.random.default_rng(self.settings.seed).permutation(rows)
        batches = (np.sort(drawn[start : start + self.batch]) for start in range(0, len(rows), self.batch))
        with self.progress.stage("Stage 2", len(rows)) as stage:
            for part, particles in (one for batch in batches for one in self.source.batches(batch, self.batch)):
                matches = self.nearest(particles, optimiser.references, search.basis)
                sums = accumulate(particles, matches, len(optimiser.references), halves_of(part, self.band.device))
                total = total + sums
                self.step(optimiser, sums, total)
                found.add(part, matches)
                stage.advance(len(part))
        return self.of_all_ranks(total, found)
