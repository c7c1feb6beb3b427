"""The order of a classification; every step is explained where it is done.

sample -> whitening and PCA -> stage 1: distinct classes -> settling -> stage 2: all particles -> classes asked for
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..alignment.exhaustive_search import locate
from ..alignment.fourier_pca import FourierPCA
from ..alignment.local_search import refine
from ..alignment.match_buffer import MatchBuffer
from ..alignment.matches import Matches
from ..alignment.search_grids import Schedule, nested_schedule
from ..averaging.band_sample import BandSample, average_mask
from ..averaging.class_averages import (
    Averages,
    BinnedSums,
    ClassSums,
    averages,
    centre_offsets,
    filtered,
    pick_offsets,
    recentre,
)
from ..averaging.model import Model
from ..averaging.noise_scores import NOISE_IMAGES, Templates, matched_filter_ratio
from ..averaging.usable_particles import UsableParticles, halves_of, spread
from ..fourier.band import Band, as_real
from ..preprocessing.particle_source import Source
from ..preprocessing.preprocess import Vectors
from ..runtime import distributed
from ..runtime.memory import BATCH, batch_size
from ..runtime.progress import Progress
from ..settings import Settings
from ..state.checkpoint import Checkpoint
from .discovery.discovery import Discovery, decided_by_first_rank, refined_on_ranks
from .discovery.initialization import Rounds, Sweep, aligned
from .discovery.sample_refinement import SampleRefinement
from .junk_separation import Search, Sifted
from .subdivision.median_cuts import split_close_views
from .subdivision.subdivision import Division

SAMPLE_PER_CLASS, LEAST_SAMPLE = 100, 3000
TWIN_LEVEL = 1
"""Local level at which twins are parted: before it, what is left of the poses' errors looks like a second view."""
LEAST_MEMBERS = 20
"""Particles per class below which what is usual cannot be told, and nobody is set aside."""
KEEP = (12, 6, 3, 2)
"""Poses that a particle keeps after the exhaustive level and after each local one."""
ROUGH_FINENESS, SAMPLE_FINENESS, FINENESS = 8 / 15, 16 / 15, 4 / 3
"""Of the grids on which a sample begins, on which it finds the classes, and on which all particles are searched, over
the paper's: 24, 48 and 60 rotations, which quarter turns divide."""


class Classifier:
    """Classify the particles of a source.

    Parameters
    ----------
    settings : Settings
    source : Source
    band : Band
    mask_radius : float
        In pixels.
    progress : Progress

    Attributes
    ----------
    model_ : Model
    matches_ : Matches
        One for each member.
    members_ : UsableParticles
        The rows of the source that were classified.
    sifted_ : Sifted
        Scores of each member.
    """

    SIFTS = True
    """Whether particles may be moved into a class of noise."""
    SETTLES = True
    """Whether there are passes over the sample before stage 2."""
    PRUNES = True
    """Whether these may take classes out."""

    def __init__(self, settings: Settings, source: Source, band: Band, mask_radius: float, progress: Progress) -> None:
        self.settings, self.source, self.band = settings, source, band
        self.mask_radius, self.progress = mask_radius, progress
        self.generator = torch.Generator().manual_seed(settings.seed)
        self.mask = average_mask(band, mask_radius)
        self.schedule = self.make_schedule()
        self.batch = settings.batch_size or distributed.least(batch_size(len(band), band.device))
        self.keep = KEEP + KEEP[-1:] * (len(self.schedule.local) + 1 - len(KEEP))

    def make_schedule(self) -> Schedule:
        """The grids, each on the band that it resolves."""
        return nested_schedule(self.band.box, self.band.radius, FINENESS)

    def fit(self, checkpoint: Checkpoint | None = None) -> Classifier:
        """The whole way from images to classes; what is in the checkpoint is not done again."""
        checkpoint, everybody = checkpoint or Checkpoint(), False
        if not checkpoint.restore_references(self):
            sample, particles = self.learn()
            matches, parents = self.discover(sample, particles)
            self.sums, matches = self.sharpen(sample, particles, matches, parents)
            if self.SETTLES:
                matches = self.settle(sample, particles, matches)
                everybody = len(sample) == len(self.source.rows)
            del particles
            if everybody:  # nobody is left for stage 2
                self.members_, self.found = self.members_of(sample), matches
                checkpoint.save_matches(self)
            checkpoint.save_references(self)
        if not everybody and not checkpoint.restore_matches(self):
            self.found = self.assign(self.sums, self.source.rows)
            checkpoint.save_matches(self)
        self.finish(self.found)
        return self

    def learn(self) -> tuple[NDArray[np.int64], Vectors]:
        """Whitening and PCA from a random sample; both stay as they are from here on."""
        rows = self.source.rows
        wanted = self.settings.initial_particles or max(LEAST_SAMPLE, SAMPLE_PER_CLASS * self.settings.classes)
        order = torch.randperm(len(rows), generator=self.generator)[:wanted]
        with self.progress.stage("Reading and PCA"):
            sample, particles = self.source.learn(np.sort(rows[order.numpy()]))
            self.basis = self.learned_basis(particles, self.schedule)
        return sample, particles

    def learned_basis(self, particles: Vectors, schedule: Schedule) -> FourierPCA:
        """The PCA of the band on which a schedule begins."""
        narrow = particles.narrowed(schedule.exhaustive.radius)
        basis = FourierPCA(self.settings.variance)
        for part in narrow.z.split(BATCH):
            basis.partial_fit(as_real(part))
        basis.symmetrise(narrow.band.symmetries()).finalize()
        basis.components_ = distributed.first_tensor(basis.components_)
        return basis

    def discover(self, sample: NDArray[np.int64], particles: Vectors) -> tuple[Matches, int]:
        """Stage 1."""
        classes = min(self.settings.classes, len(sample))
        with self.progress.stage("Stage 1", unit="rounds") as stage:
            halves = halves_of(sample, self.band.device)
            rough, fine = (self.sweep(particles, halves, one) for one in (ROUGH_FINENESS, SAMPLE_FINENESS))
            rounds = Rounds(stage)
            matches, parents = aligned(rough, fine, classes, self.generator, rounds)
            search = Discovery(particles, fine, self.mask_radius, classes, self.generator, self.inside())
            matches, parents = search.run(matches, parents, rounds, self.settings.iterations)
            stage.advance(0, note=f"{parents} distinct classes")
        self.source.rescale(search.noise)
        return matches, parents

    def sweep(self, particles: Vectors, halves: Tensor, fineness: float) -> Sweep:
        """A search of the sample on a grid so many times as fine as the paper's."""
        schedule = nested_schedule(self.band.box, self.band.radius, fineness)
        return Sweep.make(particles, halves, schedule, self.learned_basis(particles, schedule), self.mask_radius)

    def sharpen(
        self, sample: NDArray[np.int64], particles: Vectors, matches: Matches, parents: int
    ) -> tuple[ClassSums, Matches]:
        """Refine the sample's poses on ever wider bands, and centre the averages; these, and the matches (n, 1)."""
        halves = halves_of(sample, self.band.device)
        with self.progress.stage("Refining references", len(self.schedule.local), "levels") as stage:
            for number, level in enumerate(self.schedule.local):
                scope = BandSample.make(particles.narrowed(level.radius), halves, self.mask_radius)
                references = filtered(scope.average_together(matches, parents), scope.particles.band)
                matches = refined_on_ranks(scope.particles, references, level, matches)
                if number == TWIN_LEVEL:
                    parted = split_close_views(scope, matches, parents, self.settings.classes, self.generator)
                    matches, parents = decided_by_first_rank(*parted)
                stage.advance(note=f"{parents} distinct classes")
            scope = BandSample.make(particles, halves, self.mask_radius)
            sums = scope.sums_together(matches, parents)
            return recentre(sums, matches, pick_offsets(matches, parents), self.band)

    def settle(self, sample: NDArray[np.int64], particles: Vectors, matches: Matches) -> Matches:
        """Search the sample in its own averages until few particles move; the two best classes of each.

        ``self.sums``, of which ``matches`` (n, 1) are the members, become the sums of the best of what is found.
        """
        scope = BandSample.make(particles, halves_of(sample, self.band.device), self.mask_radius)
        with self.progress.stage("SampleRefinement", unit="rounds") as stage:
            settling = SampleRefinement(scope, self.noise_search(), self.templates, self.PRUNES)
            self.sums, matches = settling.run(self.sums, matches, stage)
        return matches

    def density_offsets(self, sums: ClassSums, parent_of: Tensor) -> Tensor:
        """Where the density of each class is, (k, 2) pixels; divisions of one parent stay where they are to it."""
        parents = self.references(self.average(sums.grouped(parent_of)))
        return centre_offsets(parents, self.band, self.mask)[parent_of]

    def assign(self, references: ClassSums, rows: NDArray[np.int64]) -> Matches:
        """Stage 2: every particle against every parent, in batches.

        The references are renewed when there are three times as many particles as before.  Which particles come before
        is drawn at random: sets are often in an order that has to do with what is seen, and a view that had not come
        yet would be left without a reference.

        Returns matches of ``self.members_``, each with its two best classes; ``self.sums`` holds their sums.
        """
        known, templates = int(references.sizes.sum()), self.references(self.average(references))
        fresh, stop = ClassSums.zeros(len(templates), self.band), 0
        # The same that this rank works on later: it has kept them.
        own = distributed.part_of_batches(len(rows), self.batch)
        turn = np.random.default_rng(self.settings.seed).permutation(len(rows))[own]
        found = MatchBuffer(len(own), 2, self.band.device)
        with self.progress.stage("Stage 2", len(rows), "particles") as stage:
            while stop < len(rows):
                start, stop = stop, stop + max(self.batch, known, 2 * stop)
                sums = BinnedSums(len(templates), self.band)
                for part, particles in self.source.batches(rows[own[(turn >= start) & (turn < stop)]], self.batch):
                    matches = locate(particles, templates, self.schedule, self.basis, self.keep)
                    sums.add(particles, matches.best(1), halves_of(part, self.band.device))
                    found.add(part, matches.best(2))
                    stage.advance(len(part) * distributed.count())
                fresh = fresh + sums.total_together()
                if fresh.sizes.sum() >= known:
                    templates = self.references(self.average(fresh))
        self.sums = fresh
        return self.of_all_ranks(found)

    def of_all_ranks(self, found: MatchBuffer) -> Matches:
        """The matches of all rows that were found usable; sets ``members_`` to these, ascending."""
        self.source.usable = distributed.everywhere(self.source.usable)
        rows = distributed.gathered_tensor(torch.from_numpy(found.numbers), found.numbers)
        self.members_ = self.members_of(rows.numpy())
        return distributed.gathered(found.matches, found.numbers)

    def members_of(self, rows: NDArray[np.int64]) -> UsableParticles:
        """The particles of rows (n,), ascending, to be read again."""
        return UsableParticles(self.source, rows, self.batch)

    def average(self, sums: ClassSums) -> Averages:
        """The averages of sums, masked."""
        return averages(sums, self.band, self.mask)

    def references(self, average: Averages) -> Tensor:
        """The filtered averages C of eq. 9, (k, m), that particles are compared with."""
        return filtered(average, self.band)

    def finish(self, found: Matches) -> None:
        """Final poses against the parents, then the classes asked for, as divisions of the parents."""
        templates = self.templates(self.average(self.sums))
        self.refined, ratio = self.final_poses(found, templates)
        self.sifted_ = self.sift(self.refined, ratio, templates).of_first_rank()
        matches, parent_of, noise = self.divided(self.sifted_.matches, self.sifted_.noise_class)
        sums = BinnedSums(len(parent_of), self.band)
        with self.progress.stage("Class averages", len(self.members_), "particles") as stage:
            for chosen, particles in self.members_.batches():
                sums.add(particles, matches.rows(chosen), self.members_.halves(chosen))
                stage.advance(len(chosen) * distributed.count())
            total = sums.total_together()
            offsets = self.density_offsets(total, parent_of)
            if noise is not None:  # nothing to centre: as they were picked
                offsets[parent_of == noise] = 0
            total, self.matches_ = recentre(total, matches, offsets, self.band)
        self.model_ = Model(total, parent_of, offsets, self.basis, self.schedule, self.band, self.mask_radius, noise)

    def final_poses(self, found: Matches, templates: Templates) -> tuple[Matches, Tensor]:
        """The matches on the finest grid, and the matched filter's ratio of the best of each particle."""
        level = self.schedule.final
        mine = self.members_.own_positions()
        refined = MatchBuffer(len(mine), found.score.shape[1], self.band.device)
        with self.progress.stage("Final poses", len(self.members_), "particles") as stage:
            for chosen, particles in self.members_.batches():
                matches = refine(particles, templates.references, self.band, level, found.rows(chosen))
                ratio = matched_filter_ratio(particles, templates, level, matches.best(1))
                refined.add(chosen.cpu().numpy(), matches, ratio)
                stage.advance(len(chosen) * distributed.count())
        return distributed.gathered(refined.matches, mine), distributed.gathered_tensor(refined.ratio, mine)

    def templates(self, average: Averages) -> Templates:
        """The references of averages, with what scores need to know of them."""
        return Templates.of(self.references(average), average, self.band, self.inside())

    def inside(self) -> float:
        """Share of a particle's noise that the mask of the averages lets in."""
        around = self.noise_search().mask.square()
        return float((self.mask * around).sum() / around.sum())

    def sift(self, found: Matches, ratio: Tensor, templates: Templates) -> Sifted:
        """Every particle's score against noise; what is doubtful is looked for again, or set aside."""
        search = self.noise_search()
        q = self.members_.weights(spread(len(self.members_), NOISE_IMAGES))
        sifted = Sifted.of(found, search.noise(q, templates, self.band).normal(ratio))
        enough = len(self.members_) >= LEAST_MEMBERS * self.settings.classes
        if self.SIFTS and enough and self.settings.preset != "paper":
            with self.progress.stage("Second look"):
                sifted.sift(self.members_, templates, search, min(self.settings.classes, len(self.members_)))
            if sifted.recovered or sifted.aside:
                off_centre = f"{sifted.recovered:,} particles found in a second look"
                self.progress.say(f"{off_centre}, {sifted.aside:,} set aside: no better than noise")
        return sifted

    def noise_search(self) -> Search:
        """The search of stage 2, as images of noise go through it."""
        radius = min(self.mask_radius + self.schedule.reach, self.band.box / 2)
        return Search(self.schedule, self.basis, self.keep, average_mask(self.band, radius))

    def divided(self, matches: Matches, noise: int | None = None) -> tuple[Matches, Tensor, int | None]:
        """The classes asked for, as :meth:`.subdivision.Division.of` makes them."""
        classes = min(self.settings.classes, len(self.members_))
        division = Division(self.members_, classes, self.mask_radius, self.generator, self.progress)
        return division.of(matches, self.refined, noise)
