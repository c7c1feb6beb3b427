"""What the stages of every way of classifying share: grids and masks, references, the search and the sample."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..alignment.fourier_pca import FourierPCA
from ..alignment.match_buffer import MatchBuffer
from ..alignment.pose_search import PoseSearch
from ..alignment.screen_learning import learned_screen, pays
from ..alignment.search_grids import Schedule, Screen, nested_schedule
from ..averaging.band_sample import BandSample
from ..averaging.class_averages import Averages, ClassSums, average_mask, averages, centre_offsets, filtered, shrunk
from ..averaging.noise_scores import matched_filter_ratio
from ..averaging.templates import Templates
from ..averaging.usable_particles import UsableParticles, halves_of, spread
from ..errors import InputError
from ..fourier.band import Band
from ..preprocessing.mask_shape import MaskShape
from ..preprocessing.micrograph_scales import MicrographScales
from ..preprocessing.particle_source import Source
from ..preprocessing.preprocess import SHIFT_RANGE, Vectors
from ..runtime import distributed
from ..runtime.memory import batch_size
from ..runtime.progress import Progress
from ..settings import Settings
from ..state.checkpoint import Checkpoint, FirstStage, SecondStage, screen_of, screen_tensor
from .micrograph_contrast import MicrographContrast
from .stages import Sample, Views

SAMPLE_PER_CLASS, LEAST_SAMPLE = 100, 3000
ROUGH_FINENESS, SAMPLE_FINENESS = 8 / 15, 16 / 15
"""Of the grids on which a sample begins, and on which it finds the classes, over the paper's: 24 and 48 rotations,
which quarter turns divide."""
LEAST_RINGS = 3
"""Of the coarsest grid, that --low-resolution must leave."""
KEEP = (12, 6, 6, 6)
"""Poses that a particle keeps after the exhaustive level and after each local one; the last, of distinct views, say how
certain the best is."""
SCREEN_SAMPLE = 1000
"""Particles that are searched in full to learn how poses are screened."""
FINENESS = 4 / 3
"""Of the grids on which all particles are searched, over the paper's: 60 rotations, which quarter turns divide."""


def check_low_rings(settings: Settings, band: Band) -> None:
    """Raise InputError where rings that do not count leave too few of the coarsest grid."""
    limit, coarsest = settings.low_resolution, nested_schedule(band.box, band.radius, ROUGH_FINENESS).exhaustive
    most = math.floor(coarsest.radius - LEAST_RINGS)
    if limit is not None and band.low > most:
        least = math.ceil(limit * band.low / max(most, 1))
        raise InputError(
            f"--low-resolution {limit:g}: leaves too little to begin with in a box of this size; give {least} or more"
        )


class Method:
    """One way of classifying the particles of a source.

    Parameters
    ----------
    settings : Settings
    source : Source
    band : Band
    mask_shape : MaskShape
    progress : Progress
    """

    SCALES = True
    """Whether particles are compared in the contrast of their micrograph."""

    def __init__(
        self, settings: Settings, source: Source, band: Band, mask_shape: MaskShape, progress: Progress
    ) -> None:
        self.settings, self.source, self.band = settings, source, band
        self.mask_shape, self.progress = mask_shape, progress
        self.generator = torch.Generator().manual_seed(settings.seed)
        self.mask = average_mask(band, mask_shape)
        check_low_rings(settings, band)
        self.schedule = self.make_schedule()
        reach = self.schedule.reach or SHIFT_RANGE * band.box
        self.search_mask = average_mask(band, mask_shape.widened(reach, band.box))
        self.batch = settings.batch_size or distributed.least(
            batch_size(len(band), band.device, band.box, settings.classes)
        )
        self.keep = KEEP + KEEP[-1:] * (len(self.schedule.local) + 1 - len(KEEP))

    @property
    def scales(self) -> MicrographScales | None:
        """Of the micrographs that the particles come from; None where they do not matter or are not known."""
        return self.source.scales if self.SCALES else None

    def micrograph_of(self, rows: NDArray[np.int64]) -> Tensor | None:
        """Number from 0 of the micrograph of each particle at some rows (n,); None where the metadata names none."""
        scales = self.scales
        return None if scales is None else torch.from_numpy(scales.micrograph[rows]).long().to(self.band.device)

    @property
    def known_scales(self) -> NDArray[np.float32] | None:
        """The scales of the micrographs, (micrographs,)."""
        return None if self.source.scales is None else self.source.scales.scale

    def take_scales(self, known: NDArray[np.float32] | None) -> None:
        """Scale by what was learned before, (micrographs,)."""
        scales = self.source.scales
        if scales is not None and known is not None and len(known) == len(scales.scale):
            scales.scale = known

    def make_schedule(self) -> Schedule:
        """The grids, each on the band that it resolves."""
        return self.grids(FINENESS)

    def grids(self, fineness: float) -> Schedule:
        """Grids so many times as fine as the paper's, of the poses that are to be searched."""
        schedule = nested_schedule(self.band.box, self.band.radius, fineness)
        if self.settings.no_align:
            return schedule.at_rest()
        return schedule if self.settings.psi_range is None else schedule.along(self.settings.psi_range)

    def sample_rows(self) -> NDArray[np.int64]:
        """Rows of the sample, drawn at random, ascending."""
        rows = self.source.rows
        wanted = self.settings.initial_particles or max(LEAST_SAMPLE, SAMPLE_PER_CLASS * self.settings.classes)
        order = torch.randperm(len(rows), generator=self.generator)[:wanted]
        return np.sort(rows[order.numpy()])

    def learned_basis(self, particles: Vectors, schedule: Schedule) -> FourierPCA:
        """The PCA of the band on which a schedule begins."""
        narrow = particles.narrowed(schedule.exhaustive.radius)
        basis = FourierPCA(self.settings.variance).fit_vectors(narrow.band.compared(narrow.z))
        if schedule.is_free:
            basis.symmetrise(narrow.band.symmetries())
        basis.finalize()
        basis.components_ = distributed.first_tensor(basis.components_)
        return basis

    def views_wanted(self) -> int:
        """Most distinct views; what the sieve has set aside has a class of its own."""
        return max(1, self.settings.classes - bool(self.source.sieved.any()))

    def search(self, basis: FourierPCA) -> PoseSearch:
        """The search of stage 2."""
        return PoseSearch(self.schedule, basis, self.keep, self.search_mask)

    def learn_screen(self, particles: Vectors, references: Tensor, basis: FourierPCA) -> None:
        """How poses are screened from here on, from some of a sample (n) that all ranks have."""
        bank = self.search(basis).bank(references, particles.band)
        if not pays(bank, self.schedule):
            return
        some = particles.rows(torch.from_numpy(spread(len(particles), SCREEN_SAMPLE)))
        self.take_screen(None)
        found = self.search(basis).locate_in(bank, some)
        screen = learned_screen(some, found, bank, self.schedule)
        self.take_screen(screen_of(distributed.first_tensor(screen_tensor(screen))))

    def take_screen(self, screen: Screen | None) -> None:
        """Screen poses as was learned before."""
        self.schedule = replace(self.schedule, screen=screen)

    def average(self, sums: ClassSums) -> Averages:
        """The averages of sums, masked."""
        return averages(sums, self.band, self.mask)

    def references(self, average: Averages) -> Tensor:
        """The filtered averages C of eq. 9, (k, m), that particles are compared with."""
        return filtered(average, self.band)

    def templates(self, average: Averages) -> Templates:
        """The references of averages, with what scores need to know of them."""
        return Templates.of(self.references(average), average, self.band, self.inside())

    def inside(self) -> float:
        """Share of a particle's noise that the mask of the averages lets in."""
        around = self.search_mask.square()
        return float((self.mask * around).sum() / around.sum())

    def density_offsets(self, sums: ClassSums, view_of: Tensor) -> Tensor:
        """Where the density of each class is, (k, 2) pixels; divisions of one view stay where they are to it.

        Classes of particles whose poses are kept stay where they are.
        """
        if self.settings.no_align:
            return torch.zeros(len(view_of), 2, device=self.band.device)
        average = self.average(sums.grouped(view_of))
        views = shrunk(average, self.band) if self.band.low else self.references(average)
        return centre_offsets(views, self.band, self.mask)[view_of]

    def of_all_ranks(self, sums: ClassSums, found: MatchBuffer) -> SecondStage:
        """The matches of all rows that were found usable, ascending."""
        self.source.agree()
        rows = distributed.gathered_tensor(torch.from_numpy(found.numbers), found.numbers).numpy()
        matches, source = distributed.gathered(found.matches, found.numbers), self.source
        return SecondStage(sums, matches, rows, source.usable, source.sieved, self.known_scales, source.damaged)

    def in_contrast(self, sample: Sample, found: Views) -> tuple[Sample, Views]:
        """The sample and its averages, now that these tell the contrast of each micrograph."""
        scales, particles = self.scales, sample.particles
        if scales is None:
            return sample, found
        templates, mine = self.templates(self.average(found.sums)), distributed.part(len(particles))
        contrast = MicrographContrast.of(scales, templates, self.search(sample.basis), particles.q, self.band)
        own = particles.rows(mine), templates, self.schedule.final, found.matches.rows(mine)
        contrast.add(sample.rows[mine], matched_filter_ratio(*own), particles.q[mine], templates.power.mean(0))
        contrast.teach()
        sample = replace(sample, particles=self.source.scaled(sample.rows, particles))
        band_sample = BandSample.make(sample.particles, halves_of(sample.rows, self.band.device), self.mask_shape)
        return sample, Views(band_sample.sums_together(found.matches, len(found.sums.sizes)), found.matches)

    def restored_first(self, checkpoint: Checkpoint) -> FirstStage | None:
        """Stage 1 of an earlier run, if there is one to be continued."""
        first = checkpoint.load_first(self.settings.variance, self.band, len(self.source.usable))
        if first is not None:
            self.source.whitening = first.whitening
            self.take_flags(first)
            self.source.sieve = first.sieve
            self.generator.set_state(first.generator)
            self.take_screen(first.screen)
            self.take_scales(first.scales)
            self.progress.say("Continuing after stage 1")
        return first

    def restored_second(self, checkpoint: Checkpoint) -> SecondStage | None:
        """Stage 2 of an earlier run, if there is one to be continued."""
        second = checkpoint.load_second(self.band, len(self.source.usable))
        if second is not None:
            self.take_flags(second)
            self.take_scales(second.scales)
            self.progress.say("Continuing after stage 2")
        return second

    def take_flags(self, done: FirstStage | SecondStage) -> None:
        """Which images cannot be used, and which the sieve has set aside, as an earlier run found."""
        self.source.usable &= done.usable
        self.source.sieved |= done.sieved
        if done.damaged is not None:
            self.source.damaged |= done.damaged

    def members_of(self, rows: NDArray[np.int64]) -> UsableParticles:
        """The particles of rows (n,), ascending, to be read again."""
        return UsableParticles(self.source, rows, self.batch)
