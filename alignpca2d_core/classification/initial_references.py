"""Classes that are given: averages to start a classification from, or to assign particles to as they are."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..alignment.exhaustive_search import locate
from ..alignment.match_buffer import MatchBuffer
from ..alignment.matches import Matches
from ..alignment.pose_search import PoseSearch
from ..averaging.certainty import figures_of_best
from ..averaging.class_averages import BinnedSums, masked
from ..averaging.model import Model
from ..averaging.templates import Templates
from ..averaging.usable_particles import halves_of
from ..fourier.band import Band
from ..preprocessing.mask_shape import MaskShape
from ..preprocessing.particle_source import Source
from ..runtime import distributed
from ..runtime.progress import Progress
from ..settings import Settings
from ..state.checkpoint import Checkpoint, SecondStage
from .classifier import Classifier
from .method import KEEP
from .stages import Sample

LEAST_SCALE, LARGEST_SCALE = 0.05, 20.0
"""Grey scale of the particles over that of the averages, which are first brought to the usual power."""
GIVEN_POWER = 0.02
"""Signal per feature, against noise of 1, that averages of unknown grey scale are first taken to have."""


class GivenClasses(Classifier):
    """Starts from given averages in place of stage 1, and keeps their order.

    Attributes
    ----------
    given : (k, box, box) float32 array
    """

    SIFTS = DROPS_EMPTY = False

    def __init__(
        self,
        settings: Settings,
        source: Source,
        band: Band,
        mask_shape: MaskShape,
        progress: Progress,
        given: NDArray[np.float32],
    ) -> None:
        super().__init__(settings, source, band, mask_shape, progress)
        self.given = given

    def discover(self, sample: Sample) -> tuple[Sample, Matches, int]:
        """The sample assigned to the averages that were given."""
        with self.progress.stage("Given classes", 2) as stage:
            references = self.scaled(sample)
            stage.advance()
            matches = locate(sample.particles, references, self.schedule, sample.basis, KEEP[:2]).best(1)
            stage.advance()
        return sample, matches, len(references)

    def divided(self, matches: Matches, refined: Matches, noise: int | None) -> tuple[Matches, Tensor, int | None]:
        """The classes as they were given; one that no particle joins stays, and is empty."""
        return matches, torch.arange(len(self.given), device=self.band.device), noise

    def order(self) -> Tensor:
        """The order in which the classes were given."""
        return torch.arange(len(self.model_.view_of), device=self.band.device)

    def vectors_of_given(self) -> Tensor:
        """The averages as whitened vectors (k, m), their mean power that of a weak signal."""
        images = torch.from_numpy(self.given).to(self.band.device)
        corner = images.amin((-2, -1), keepdim=True)
        vectors = masked(self.band.to_vectors(images - corner.mean()), self.band, self.mask)
        whitening = self.source.whitening
        vectors = vectors * (whitening.ctf_square.sqrt() / whitening.noise)[self.band.ring]
        vectors[:, 0] = 0
        vectors = self.band.compared(vectors)
        power = (vectors.abs() ** 2).sum(1).mean()
        return vectors * (2 * GIVEN_POWER * len(self.band) / power).sqrt()

    def scaled(self, sample: Sample) -> Tensor:
        """The averages in the grey scale of the particles: least squares over their best poses."""
        particles, references = sample.particles, self.vectors_of_given()
        matches = locate(particles, references, self.schedule, sample.basis, KEEP[:2]).best(1)
        power = self.band.ring_sum(references.abs() ** 2)
        expected = (particles.q * power[matches.classes[:, 0]]).sum()
        overlap = matches.score.sum() + 0.5 * expected
        return references * (overlap / expected.clamp_min(1e-20)).clamp(LEAST_SCALE, LARGEST_SCALE)


class FixedReferences(GivenClasses):
    """Assigns particles to given averages that do not change; a class can stay empty."""

    def fit(self, checkpoint: Checkpoint | None = None) -> FixedReferences:
        """One pass over all particles."""
        sample = self.learn()
        references, search = self.scaled(sample), self.search(sample.basis)
        templates = Templates.given(references, self.band)
        assigned, fits = self.compared(templates, search)
        self.members_ = self.members_of(assigned.rows)
        self.separated_ = self.separate(assigned.matches, fits, templates, search).decided_by_first_rank()
        self.placement_ = self.separated_.placement
        numbers = torch.arange(len(references), device=self.band.device)
        still = torch.zeros(len(references), 2, device=self.band.device)
        space = sample.basis, self.schedule, self.band, self.mask_shape
        self.model_ = Model(assigned.sums, numbers, still, *space)
        self.shown_ = self.model_.shown(self.members_, self.placement_.matches)
        return self

    def compared(self, templates: Templates, search: PoseSearch) -> tuple[SecondStage, Tensor]:
        """The best references of every particle; and ratio, misfit and certainty of the best, (n, 3)."""
        sums = BinnedSums(len(templates.references), self.band)
        rows = self.source.rows
        own = distributed.part_of_batches(len(rows), self.batch)
        level, kept = self.schedule.final, min(self.keep[-1], len(templates.references))
        found = MatchBuffer(len(own), kept, self.band.device, figures=3)
        bank = search.bank(templates.references, self.band)
        with self.progress.stage("Assigning", len(rows)) as stage:
            for part, batch in self.source.batches(rows[own], self.batch):
                matches = search.locate_in(bank, batch).of_distinct_classes().best(kept)
                sums.add(batch, matches, halves_of(part, self.band.device))
                fits = figures_of_best(batch, templates, level, matches, matches.best(1), self.mask)
                found.add(part, matches, fits)
                stage.advance(len(part) * distributed.count())
        total = sums.total_together()
        fits = distributed.gathered_tensor(found.figures, found.numbers)
        return self.of_all_ranks(total, found), fits
