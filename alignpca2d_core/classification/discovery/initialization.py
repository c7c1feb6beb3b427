"""Classes from nothing: k-means on unaligned particles, then rounds of search and averaging.

The first rounds use low frequencies and a coarse grid: they cost little, and noise misleads them less.  A class with
more particles has the better average and attracts more: after one round half of the classes are empty.  So, as long as
the search is coarse, each empty class takes random particles of a large one, with their poses kept.  Views are then
found early that would have to be split off later, which costs more; pruning removes duplicates.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ...alignment.exhaustive_search import exhaustive_in
from ...alignment.fourier_pca import FourierPCA
from ...alignment.matches import Matches, without_empty_classes
from ...alignment.search_grids import Schedule
from ...alignment.template_bank import Bank
from ...averaging.band_sample import BandSample
from ...averaging.class_averages import averages, filtered, pick_offsets, recentre
from ...averaging.convergence import changed_share, record_round
from ...fourier.band import as_real
from ...preprocessing.mask_shape import MaskShape
from ...preprocessing.preprocess import Vectors
from ...runtime import distributed
from ...runtime.progress import Stage

ROUGH_ROUNDS, ALIGNING_ROUNDS = 6, 3
"""Rounds on the coarse grid, and on the grid that discovery goes on with."""
CENTRING = 3
"""Every so many rounds classes are moved to where the search window serves their members alike."""


def kmeans_start(coefficients: Tensor, classes: int, generator: torch.Generator, rounds: int = 5) -> Tensor:
    """Lloyd's k-means on PCA coefficients (n, d) of unaligned particles: a class of each, (n,) int64."""
    order = torch.randperm(len(coefficients), generator=generator).to(coefficients.device)
    centres = coefficients[order[:classes]]
    for _ in range(rounds):
        label = torch.cdist(coefficients, centres).argmin(1)
        count = torch.bincount(label, minlength=classes)
        total = torch.zeros_like(centres).index_add_(0, label, coefficients)
        empty = coefficients[order[-classes:]]
        centres = torch.where(count[:, None] > 0, total / count[:, None].clamp_min(1), empty)
    return torch.cdist(coefficients, centres).argmin(1)


def replenished(matches: Matches, used: int, classes: int, generator: torch.Generator) -> Matches:
    """Classes ``used`` to ``classes`` get members of the largest, dealt out at random; poses stay as they are."""
    label = matches.classes[:, 0]
    sizes = torch.bincount(label, minlength=used).tolist()
    numbers = [[k] for k in range(used)]
    heap = [(-size, k) for k, size in enumerate(sizes)]
    heapq.heapify(heap)
    for new in range(used, classes):
        _, largest = heap[0]
        numbers[largest].append(new)
        heapq.heapreplace(heap, (-sizes[largest] / len(numbers[largest]), largest))
    labels = [
        torch.tensor(own)[torch.randperm(size, generator=generator) % len(own)]
        if len(own) > 1
        else torch.full((size,), k)
        for k, (own, size) in enumerate(zip(numbers, sizes, strict=True))
    ]
    dealt = matches.clone()
    dealt.classes[torch.argsort(label, stable=True), 0] = torch.cat(labels).to(label.device)
    return dealt


@dataclass
class Sweep:
    """A search of everything on one grid: averages, and every particle against all of them.

    Attributes
    ----------
    band_sample : BandSample
        The sample on the band of the grid.
    schedule : Schedule
    basis : FourierPCA
        Learned on that band.
    """

    band_sample: BandSample
    schedule: Schedule
    basis: FourierPCA

    @staticmethod
    def make(particles: Vectors, halves: Tensor, schedule: Schedule, basis: FourierPCA, mask_shape: MaskShape) -> Sweep:
        """Of particles (n) on the full band, with halves (n,) of 0 and 1, and a mask in pixels."""
        band_sample = BandSample.make(particles.narrowed(schedule.exhaustive.radius), halves, mask_shape)
        return Sweep(band_sample, schedule, basis)

    def of(self, particles: Vectors) -> Sweep:
        """The same of the same particles in another unit, on the full band."""
        narrow = particles.narrowed(self.schedule.exhaustive.radius)
        return replace(self, band_sample=replace(self.band_sample, particles=narrow))

    def start(self, classes: int, generator: torch.Generator) -> Matches:
        """k-means in the PCA space; nothing is turned or shifted yet."""
        coefficients = self.basis.transform(as_real(self.band_sample.particles.z))
        return Matches.at_rest(kmeans_start(coefficients, classes, generator))

    def search(self, matches: Matches, classes: int, centre: bool = False) -> tuple[Matches, int]:
        """The nearest of the averages of these matches, and how many of them are the nearest of any particle."""
        band = self.band_sample.particles.band
        sums = self.band_sample.sums_together(matches, classes)
        if centre:
            sums, _ = recentre(sums, matches, pick_offsets(matches, classes), band)
        references = filtered(averages(sums, band, self.band_sample.mask), band)
        mine = distributed.part_or_first(classes)
        # The axes are those of all, whatever the number of ranks.
        bank = Bank.make(references, band, self.schedule.exhaustive, self.basis).among(mine)
        found = exhaustive_in(bank, self.band_sample.particles, self.schedule)
        found.classes += mine.start
        return without_empty_classes(distributed.side_by_side(found).best(1), classes)


class Rounds:
    """What each round of stage 1 changes of what the one before it ended with."""

    labels: Tensor | None

    def __init__(self, stage: Stage) -> None:
        self.stage, self.labels = stage, None

    def record(self, matches: Matches, views: int, note: str) -> None:
        """Count a round, and keep what it changed since the one before."""
        labels = matches.classes[:, 0].clone()
        changed = None if self.labels is None else changed_share(self.labels, labels)
        record_round(self.stage, changed, matches, views, note)
        self.labels = labels


def aligned(rough: Sweep, fine: Sweep, classes: int, generator: torch.Generator, rounds: Rounds) -> tuple[Matches, int]:
    """Matches of the sample, the best class of each particle only, and how many classes there are."""
    matches, used = rough.start(classes, generator), classes
    for turn in range(ROUGH_ROUNDS + ALIGNING_ROUNDS):
        coarse = turn < ROUGH_ROUNDS
        centre = turn % CENTRING == CENTRING - 1
        matches, used = (rough if coarse else fine).search(matches, used, centre)
        rounds.record(matches, used, "aligning")
        if turn + 1 < ROUGH_ROUNDS:
            matches, used = replenished(matches, used, classes, generator), classes
    return matches, used
