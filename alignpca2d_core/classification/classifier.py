"""The order of a classification; every step is explained where it is done.

sample -> whitening and PCA -> stage 1: distinct views -> refinement of the sample -> stage 2: all particles
-> classes asked for
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..alignment.fourier_pca import FourierPCA
from ..alignment.local_search import refine, refined_on_ranks
from ..alignment.match_buffer import MatchBuffer
from ..alignment.matches import Matches
from ..alignment.pose_search import PoseSearch
from ..alignment.template_bank import ring_power
from ..averaging.band_sample import BandSample
from ..averaging.beyond_band import Shown
from ..averaging.certainty import figures_of_best
from ..averaging.class_averages import BinnedSums, ClassSums, filtered, pick_offsets, recentre
from ..averaging.model import Model
from ..averaging.noise_scores import NOISE_IMAGES, noise_level
from ..averaging.placement import Placement
from ..averaging.second_particle import Comparison
from ..averaging.templates import Templates
from ..averaging.usable_particles import UsableParticles, halves_of, spread
from ..preprocessing.preprocess import Vectors
from ..runtime import distributed
from ..state.checkpoint import Checkpoint, FirstStage, SecondStage
from .discovery.discovery import Discovery, noise_share
from .discovery.initialization import Rounds, Sweep, aligned
from .discovery.sample_refinement import SampleRefinement
from .junk_separation import Separated, second_look, with_sieved
from .method import ROUGH_FINENESS, SAMPLE_FINENESS, Method
from .micrograph_contrast import MicrographContrast
from .overfull_images import CoarsePower, coarse_power
from .stages import Sample, Views
from .subdivision.divisions import Divisions
from .subdivision.subdivision import Division

LEAST_MEMBERS = 20
"""Particles per class below which what is usual cannot be told, and no particle is set aside."""


class Classifier(Method):
    """Classify the particles of a source.

    Parameters are those of :class:`.method.Method`.

    Attributes
    ----------
    model_ : Model
    members_ : UsableParticles
        The rows of the source that were classified.
    placement_ : Placement
        Class, pose, score, certainty and misfit of each member.
    separated_ : Separated
        What the second look recovered and set aside.
    shown_ : Shown
        FRC of halves that were aligned by themselves, and what there is beyond the band; see :mod:`.beyond_band`.
    """

    SIFTS = True
    """Whether particles may be moved into a class of noise."""
    REFINES_SAMPLE = True
    """Whether there are passes over the sample before stage 2."""
    DROPS_EMPTY = True
    """Whether these take out views that are the best of no particle."""

    ordered: Tensor | None = None
    """The order in which classes are delivered, where others have joined them since they were ordered."""
    model_: Model
    members_: UsableParticles
    placement_: Placement
    separated_: Separated
    shown_: Shown

    # ------------------------------------------------------------------------------------------ the order of stages

    def fit(self, checkpoint: Checkpoint | None = None) -> Classifier:
        """The whole way from images to classes; what is in the checkpoint is not done again."""
        checkpoint, assigned = checkpoint or Checkpoint(), None
        first = self.restored_first(checkpoint)
        if first is None:
            first, assigned = self.first_stage(checkpoint)
        assigned = assigned or self.restored_second(checkpoint)
        if assigned is None:
            assigned = self.assign(first.sums, self.search(first.basis), self.source.rows)
            checkpoint.save_second(assigned)
        self.members_ = self.members_of(assigned.rows)
        self.finish(Views(assigned.sums, assigned.matches), first.basis)
        return self

    def first_stage(self, checkpoint: Checkpoint) -> tuple[FirstStage, SecondStage | None]:
        """Stage 1, saved; and stage 2, where the sample is everything and nothing is left for it."""
        source, (sample, matches, views) = self.source, self.discover(self.learn())
        found = self.sharpen(sample, matches, views)
        assigned = None
        if self.REFINES_SAMPLE:
            found = self.refine_sample(*self.in_contrast(sample, found))
            if len(sample.rows) == len(source.rows):
                flags = source.usable, source.sieved, self.known_scales, source.damaged
                assigned = SecondStage(found.sums, found.matches, sample.rows, *flags)
                checkpoint.save_second(assigned)
        learned = source.whitening, source.usable, source.sieved, source.sieve
        random, screen = self.generator.get_state(), self.schedule.screen
        first = FirstStage(found.sums, sample.basis, *learned, random, screen, self.known_scales, source.damaged)
        checkpoint.save_first(first)
        return first, assigned

    # ---------------------------------------------------------------------------------------------------- stage 1

    def learn(self) -> Sample:
        """Whitening and PCA from a random sample; both stay as they are from here on, but for the unit of noise."""
        with self.progress.stage("Reading and PCA"):
            rows, particles = self.source.learn(self.sample_rows())
            return Sample(rows, particles, self.learned_basis(particles, self.schedule))

    def discover(self, sample: Sample) -> tuple[Sample, Matches, int]:
        """The distinct views of the sample: the sample in the unit of its noise alone, its best matches, and how many.

        The matches (n, 1) are coarse.
        """
        classes = min(self.views_wanted(), len(sample.rows))
        with self.progress.stage("Stage 1", unit="rounds") as stage:
            halves = halves_of(sample.rows, self.band.device)
            rough, fine = (self.sweep(sample.particles, halves, one) for one in (ROUGH_FINENESS, SAMPLE_FINENESS))
            rounds = Rounds(stage)
            matches, views = aligned(rough, fine, classes, self.generator, rounds)
            noise = self.noise_in(fine, matches, views)
            sample = sample.rewhitened(noise)
            fine = fine.of(sample.particles)
            search = Discovery(sample.particles, fine, self.mask_shape, classes, self.generator, self.inside())
            matches, views = search.run(matches, views, rounds, self.settings.iterations)
            stage.advance(0, note=f"{views} distinct classes")
        self.source.rescale(noise)
        return sample, matches, views

    def noise_in(self, sweep: Sweep, matches: Matches, views: int) -> Tensor:
        """Deviation of the noise alone over what it was taken for, ring by ring, (rings,)."""
        return noise_share(sweep.band_sample, matches, views, self.band.rings)

    def sweep(self, particles: Vectors, halves: Tensor, fineness: float) -> Sweep:
        """A search of the sample on a grid so many times as fine as the paper's."""
        schedule = replace(self.grids(fineness), learns=True)
        return Sweep.make(particles, halves, schedule, self.learned_basis(particles, schedule), self.mask_shape)

    def sharpen(self, sample: Sample, matches: Matches, views: int) -> Views:
        """Refine the sample's poses on ever wider bands, and centre the averages."""
        halves = halves_of(sample.rows, self.band.device)
        with self.progress.stage("Refining references", len(self.schedule.local), "levels") as stage:
            for level in self.schedule.local:
                band_sample = BandSample.make(sample.particles.narrowed(level.radius), halves, self.mask_shape)
                references = filtered(band_sample.average_together(matches, views), band_sample.particles.band)
                matches = refined_on_ranks(band_sample.particles, references, level, matches)
                stage.advance(note=f"{views} distinct views")
            band_sample = BandSample.make(sample.particles, halves, self.mask_shape)
            sums = band_sample.sums_together(matches, views)
            return Views(*recentre(sums, matches, pick_offsets(matches, views), self.band))

    def refine_sample(self, sample: Sample, found: Views) -> Views:
        """Search the sample in its own averages until few particles move; with the two best classes of each."""
        band_sample = BandSample.make(sample.particles, halves_of(sample.rows, self.band.device), self.mask_shape)
        with self.progress.stage("Refining the sample", unit="rounds") as stage:
            self.learn_screen(sample.particles, self.references(self.average(found.sums)), sample.basis)
            passes = SampleRefinement(band_sample, self.search(sample.basis), self.templates, self.DROPS_EMPTY)
            return Views(*passes.run(found.sums, found.matches, stage))

    # ---------------------------------------------------------------------------------------------------- stage 2

    def assign(self, references: ClassSums, search: PoseSearch, rows: NDArray[np.int64]) -> SecondStage:
        """Every particle against every view, in batches; each gets its best views.

        The references are renewed when there are three times as many particles as before.  Which particles come before
        is drawn at random: sets are often in an order that has to do with what is seen, and a view that had not come
        yet would be left without a reference.
        """
        known, contrast, average = int(references.sizes.sum()), None, self.average(references)
        templates = self.references(average)
        if self.scales is not None:
            q = self.members_of(rows).weights(spread(len(rows), NOISE_IMAGES))
            contrast = MicrographContrast.of(self.scales, self.templates(average), search, q, self.band)
            self.source.agree()
            rows = np.intersect1d(rows, self.source.rows)  # without what has just turned out to be no particle
        fresh, stop, kept = ClassSums.zeros(len(templates), self.band), 0, min(self.keep[-1], len(templates))
        # The same that this rank works on later: it has kept them.
        own = distributed.part_of_batches(len(rows), self.batch)
        turn = np.random.default_rng(self.settings.seed).permutation(len(rows))[own]
        found = MatchBuffer(len(own), kept, self.band.device)
        with self.progress.stage("Stage 2", len(rows), "particles") as stage:
            while stop < len(rows):
                start, stop = stop, stop + max(self.batch, known, 2 * stop)
                bank = search.bank(templates, self.band)
                sums, power = BinnedSums(len(templates), self.band), ring_power(templates, self.band, self.band.radius)
                for part, particles in self.source.batches(rows[own[(turn >= start) & (turn < stop)]], self.batch):
                    matches = search.locate_in(bank, particles)
                    sums.add(particles, matches.best(1), halves_of(part, self.band.device))
                    found.add(part, matches.best(kept))
                    if contrast is not None:
                        contrast.add_matches(part, particles, matches.best(1), power)
                    stage.advance(len(part) * distributed.count())
                if contrast is not None:
                    contrast.teach()
                fresh = fresh + sums.total_together()
                if fresh.sizes.sum() >= known:
                    templates = self.references(self.average(fresh))
        return self.of_all_ranks(fresh, found)

    # ----------------------------------------------------------------------------------------- poses and classes

    def finish(self, found: Views, basis: FourierPCA) -> None:
        """Final poses against the views, then the classes asked for, as divisions of the views."""
        templates = self.templates(self.average(found.sums))
        refined, fits = self.final_poses(found.matches, templates)
        separated = self.separate(refined, fits, templates, self.search(basis)).decided_by_first_rank()
        room = range(len(templates.references), self.settings.classes)
        rows = self.members_.rows, self.source.sieved_rows
        self.separated_, refined, every = with_sieved(separated, refined, *rows, room)
        self.members_ = self.members_of(every)
        placement = self.separated_.placement
        matches, view_of, noise = self.divided(placement.matches, refined, self.separated_.noise_class)
        sums = BinnedSums(len(view_of), self.band)
        with self.progress.stage("Class averages", len(self.members_), "particles") as stage:
            for chosen, particles in self.members_.batches():
                sums.add(particles, matches.rows(chosen), self.members_.halves(chosen))
                stage.advance(len(chosen) * distributed.count())
            total = sums.total_together()
            offsets = self.density_offsets(total, view_of)
            if noise is not None:  # nothing to centre: as they were picked
                offsets[view_of == noise] = 0
            total, matches = recentre(total, matches, offsets, self.band)
        divisions = Divisions(self.templates(self.average(total)), self.band, view_of)
        placement = replace(placement, matches=matches)
        self.placement_ = divisions.told_apart(placement, self.members_, self.mask, self.progress)
        self.model_ = Model(total, view_of, offsets, basis, self.schedule, self.band, self.mask_shape, noise)
        with self.progress.stage("Resolution"):
            self.shown_ = self.model_.shown(self.members_, self.placement_.matches)

    def order(self) -> Tensor:
        """The classes (k,) in the order in which they are delivered: the largest first, unless it was said before."""
        if self.ordered is not None:
            return self.ordered
        return torch.argsort(self.model_.sums.sizes, descending=True, stable=True)

    def final_poses(self, found: Matches, templates: Templates) -> tuple[Matches, Tensor]:
        """The matches on the finest grid; and of each particle ratio, misfit and certainty of the best, and its coarse
        power, (n, 4).
        """
        level = self.schedule.final
        mine = self.members_.own_positions()
        refined = MatchBuffer(len(mine), found.score.shape[1], self.band.device, figures=4)
        with self.progress.stage("Final poses", len(self.members_), "particles") as stage:
            for chosen, particles in self.members_.batches():
                before = found.rows(chosen)
                matches = refine(particles, templates.references, self.band, level, before)
                fits = figures_of_best(particles, templates, level, matches, before.best(1), self.mask)
                refined.add(chosen.cpu().numpy(), matches, torch.cat((fits, coarse_power(particles)[:, None]), 1))
                stage.advance(len(chosen) * distributed.count())
        return distributed.gathered(refined.matches, mine), distributed.gathered_tensor(refined.figures, mine)

    def separate(self, found: Matches, fits: Tensor, templates: Templates, search: PoseSearch) -> Separated:
        """Every particle's score against noise; what is doubtful is looked for again, or set aside.

        ``fits`` (n, 3) are ratio, misfit and certainty of the best match of each; where particles may be set aside, the
        coarse power of each is the fourth.
        """
        ratio, misfit, certain = fits[:, :3].unbind(1)
        q = self.members_.weights(spread(len(self.members_), NOISE_IMAGES))
        comparison = Comparison(templates, search, noise_level(search, q, templates, self.band), self.band)
        placement = Placement.of(found, comparison.noise.normal(ratio), misfit, certain)
        enough = len(self.members_) >= LEAST_MEMBERS * self.settings.classes
        if not (self.SIFTS and enough and self.settings.preset != "paper"):
            return Separated(placement)
        with self.progress.stage("Second look"):
            most = min(self.settings.classes, len(self.members_))
            sieved, micrograph = len(self.source.sieved_rows), self.micrograph_of(self.members_.rows)
            coarse = None if micrograph is None else CoarsePower(fits[:, 3], micrograph)
            found_again = second_look(placement, self.members_, comparison, most, sieved, coarse)
        if found_again.recovered or found_again.set_aside:
            off_centre = f"{found_again.recovered:,} particles found in a second look"
            self.progress.say(f"{off_centre}, {found_again.set_aside:,} set aside: like noise, or something else")
        return found_again

    def divided(self, matches: Matches, refined: Matches, noise: int | None) -> tuple[Matches, Tensor, int | None]:
        """The classes asked for, as :meth:`.subdivision.Division.of` makes them."""
        classes = min(self.settings.classes, len(self.members_))
        division = Division(self.members_, classes, self.mask_shape, self.generator, self.progress)
        return division.of(matches, refined, noise)
