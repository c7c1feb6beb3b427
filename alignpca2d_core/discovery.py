"""Stage 1: the distinct classes of a sample of particles, found from nothing.

k-means on unaligned particles starts the classes; rounds of search and averaging align them on the coarse
band; then classes that explain nothing are pruned and classes that hold more than one view are split, until
neither happens.  What is left are the *parents*: distinct views, not more than were asked for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from . import ranks
from .basis import FourierPCA
from .classes import Averages, ClassSums, accumulate, averages, filtered, pick_offsets, recentre
from .convergence import changed_share
from .fourier import Band, as_real
from .poses import Level, Schedule
from .preprocess import Vectors, soft_mask
from .progress import Stage
from .pruning import class_scores, worthless
from .resolution import wiener_shrinkage
from .search import Matches, exhaustive, locate, refine
from .splitting import Split, random_subspace, split, turned_residuals

EARLY_ROUNDS = 6
MOST_ROUNDS = 8
KEPT_POSES = 16
MIXED = 1.15
"""Eigenvalue ratio (see splitting.Split) above which a class holds more than one view."""
SPARE = 0.25
"""Share of classes beyond those asked for that a round of splits may make, for pruning to choose among."""
GAIN = 0.01
"""Share of the log-likelihood that a round must add when it adds no classes."""
LEAST_SPLIT = 30
LEAST_NOISE = 0.2
"""Noise of a ring, as a share of all its power, below which no estimate goes."""
LEAST_CHILD = 8


@dataclass
class Scope:
    """Particles on one band, with what averaging them needs.

    Attributes
    ----------
    particles : Vectors
    halves : Tensor
        0 or 1 for each particle, (n,) int64.
    mask : Tensor
        Of the averages, (work_box, work_box).
    """

    particles: Vectors
    halves: Tensor
    mask: Tensor

    @staticmethod
    def make(particles: Vectors, halves: Tensor, mask_radius: float) -> Scope:
        return Scope(particles, halves, average_mask(particles.band, mask_radius))

    def sums(self, matches: Matches, classes: int) -> ClassSums:
        return accumulate(self.particles, matches, classes, self.halves)

    def sums_together(self, matches: Matches, classes: int) -> ClassSums:
        """The same, each rank adding up some of the classes: for steps that all ranks are sure to take alike."""
        mine = ranks.rows_of_groups(matches.classes[:, 0], classes)
        return ranks.total(accumulate(self.particles.rows(mine), matches.rows(mine), classes, self.halves[mine]))

    def average_together(self, matches: Matches, classes: int) -> Averages:
        return averages(self.sums_together(matches, classes), self.particles.band, self.mask)

    def average(self, matches: Matches, classes: int) -> Averages:
        return averages(self.sums(matches, classes), self.particles.band, self.mask)


def average_mask(band: Band, mask_radius: float) -> Tensor:
    """The soft circle of ``mask_radius`` pixels of the box, in the pixels of the band's work box."""
    scale = band.work_box / band.box
    return soft_mask(band.work_box, mask_radius * scale - 2).to(band.device)


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


def renumbered(matches: Matches, classes: int) -> tuple[Matches, int]:
    """The same matches with classes that nobody is best in left out of the numbering; all others dropped."""
    best = matches.best(1)
    used = torch.bincount(best.classes[:, 0], minlength=classes) > 0
    best.classes = (torch.cumsum(used, 0) - 1)[best.classes]
    return best, int(used.sum())


def everyones(found: Matches, mine: slice) -> Matches:
    """The matches of all ranks, from those of this rank's part of the particles."""
    return ranks.gathered(found, np.arange(mine.start, mine.start + len(found)))


def refined_together(particles: Vectors, references: Tensor, level: Level, matches: Matches) -> Matches:
    """:func:`.search.refine` with the particles divided over the ranks."""
    mine = ranks.part(len(particles))
    return everyones(refine(particles.rows(mine), references, particles.band, level, matches.rows(mine)), mine)


def agreed(matches: Matches, classes: int) -> tuple[Matches, int]:
    """What rank 0 has decided."""
    return ranks.of_first(matches), ranks.first_number(classes)


@dataclass(frozen=True)
class Outcome:
    """What a round ended with: classes that stayed, and the log-likelihood of the particles."""

    parents: int
    score: float

    def better_than(self, other: Outcome) -> bool:
        """Whether splitting still pays: more classes stay, or the same explain clearly more."""
        return self.parents > other.parents or self.score > other.score + GAIN * abs(other.score)


class Discovery:
    """Finds the parents in a sample.

    Parameters
    ----------
    particles : Vectors
        The sample on the full band.
    halves : Tensor
        (n,)
    basis : FourierPCA
        Learned on the band of the exhaustive level.
    schedule : Schedule
    mask_radius : float
        In pixels.
    classes : int
        Most parents to find.
    generator : torch.Generator
    """

    def __init__(
        self,
        particles: Vectors,
        halves: Tensor,
        basis: FourierPCA,
        schedule: Schedule,
        mask_radius: float,
        classes: int,
        generator: torch.Generator,
    ) -> None:
        self.basis, self.schedule = basis, schedule
        self.classes, self.generator = classes, generator
        self.mask_radius = mask_radius
        self.least_split = min(LEAST_SPLIT, max(2 * LEAST_CHILD, len(particles) // (2 * classes)))
        self.full = particles
        self.labels: Tensor | None = None
        self.rounds = 0
        self.noise = torch.ones(particles.band.rings, device=particles.z.device)
        self.coarse = Scope.make(particles.narrowed(schedule.exhaustive.radius), halves, mask_radius)
        self.middle = self.coarse
        if schedule.local:
            self.middle = Scope.make(particles.narrowed(schedule.local[0].radius), halves, mask_radius)

    def run(self, stage: Stage, rounds: int | None = None) -> tuple[Matches, int]:
        """Matches of the sample, the best class of each particle only, and how many parents there are."""
        matches, parents = self.start(), self.classes
        for turn in range(EARLY_ROUNDS):
            matches, parents = renumbered(self.search(matches, parents, centre=turn % 3 == 2), parents)
            self.record(stage, matches, parents, "aligning")
        self.estimate_noise(matches, parents)
        before = Outcome(0, -torch.inf)
        for _ in range(rounds or MOST_ROUNDS):
            matches, parents = agreed(*self.prune(matches, parents))
            now = Outcome(parents, float(matches.score.double().sum()))
            self.record(stage, matches, parents, f"{parents} distinct so far")
            matches, wider = agreed(*self.divide(matches, parents))
            if wider == parents or not now.better_than(before):
                return renumbered(matches, wider) if wider == parents else agreed(*self.prune(matches, wider))
            parents, before = wider, now
            matches = self.search(matches, parents)
            matches, parents = renumbered(matches, parents)
        return agreed(*self.prune(matches, parents))

    def record(self, stage: Stage, matches: Matches, parents: int, note: str) -> None:
        """Count a round, and keep what it changed since the one before."""
        stage.advance(note=note)
        labels = matches.classes[:, 0].clone()
        changed = None if self.labels is None else changed_share(self.labels, labels)
        self.labels, self.rounds = labels, self.rounds + 1
        score = float(matches.score[:, 0].double().mean())
        stage.record("rounds", round=self.rounds, classes=parents, changed=changed, score=score)

    def start(self) -> Matches:
        """k-means in the PCA space; nothing is turned or shifted yet."""
        coefficients = self.basis.transform(as_real(self.coarse.particles.z))
        label = kmeans_start(coefficients, self.classes, self.generator)[:, None]
        still = torch.zeros(label.shape, device=label.device)
        return Matches(label, still, still.clone(), still.clone(), still.clone())

    def search(self, matches: Matches, classes: int, centre: bool = False) -> Matches:
        """Average on the coarse band, and look everywhere for the nearest class."""
        scope, band = self.coarse, self.coarse.particles.band
        sums = scope.sums_together(matches, classes)
        average = averages(sums, band, scope.mask)
        if centre:
            sums, _ = recentre(sums, matches, pick_offsets(matches, classes), band)
            average = averages(sums, band, scope.mask)
        references = filtered(average, band)
        mine = ranks.part_or_first(classes)
        found = exhaustive(scope.particles, references[mine], band, self.schedule, self.basis)
        found.classes += mine.start
        return ranks.side_by_side(found).best(1)

    def estimate_noise(self, matches: Matches, classes: int) -> None:
        """Whiten anew by the noise alone, now that the classes say how much of each ring is signal.

        The power of z on a ring is that of q·x plus noise; until here all of it was taken for noise.  Only
        the band that the classes are known on changes.
        """
        particles = self.coarse.particles
        band = particles.band
        signal = band.ring_sum(filtered(self.coarse.average_together(matches, classes), band).abs() ** 2)
        expected = (particles.q**2 * signal[matches.classes[:, 0]]).sum(0)
        total = band.ring_sum(sum((part.abs() ** 2).sum(0) for part in particles.z.split(512)))
        share = ranks.first_tensor((1 - expected / total.clamp_min(1e-20)).clamp(LEAST_NOISE**2, 1).sqrt())
        self.noise[: band.rings] = share
        self.noise[band.rings :] = share[-1]
        self.full.z.div_(self.noise[self.full.band.ring])

    def prune(self, matches: Matches, classes: int) -> tuple[Matches, int]:
        """Search, refine on the middle band, and drop the classes that are worth less than they cost."""
        middle = self.middle
        average = middle.average_together(matches, classes)
        references = filtered(average, middle.particles.band)
        mine = ranks.part(len(middle.particles))
        found = locate(middle.particles.rows(mine), references, self.schedule, self.basis, (KEPT_POSES, KEPT_POSES))
        matches = everyones(found, mine)
        freedom = 2 * wiener_shrinkage(average.frc)[:, middle.particles.band.ring].sum(1)
        gone = worthless(class_scores(matches, classes), freedom, self.classes)
        matches.score = matches.score.masked_fill(gone[matches.classes], -torch.inf)
        return renumbered(self._rehouse(matches, gone), classes)

    def _rehouse(self, matches: Matches, gone: Tensor) -> Matches:
        """Particles all of whose kept poses are gone go to the largest class that stays, as they are."""
        lost = matches.score.isinf().all(1)
        stay = torch.bincount(matches.best(1).classes[~lost, 0], minlength=len(gone)).masked_fill(gone, -1)
        matches.classes[lost, 0] = int(stay.argmax())
        matches.score[lost, 0] = 0.0
        return matches

    def divide(self, matches: Matches, classes: int) -> tuple[Matches, int]:
        """Split every class that holds more than one view, the clearest first, while there is room."""
        if self.schedule.local:
            band, coarser = self.middle.particles.band, self.schedule.local[0]
            level = Level(coarser.rotation_step / 2, coarser.shift_step / 2, band.radius)
            references = filtered(self.middle.average_together(matches, classes), band)
            matches = refined_together(self.middle.particles, references, level, matches)
        room = self.classes + max(2, round(SPARE * self.classes)) - classes
        splits = find_splits(self.coarse, matches, classes, self.least_split, self.generator)
        for members, found in splits[: max(0, room)]:
            matches.classes[members[found.second], 0] = classes
            classes += 1
        return matches, classes


def find_splits(
    scope: Scope, matches: Matches, classes: int, least: int, generator: torch.Generator
) -> list[tuple[Tensor, Split]]:
    """Members of each class that holds more than one view, and how they divide; the clearest first.

    Classes of fewer than ``least`` members are taken as they are.  The others are divided over the ranks.
    """
    average = scope.average_together(matches, classes)
    members = [torch.nonzero(matches.classes[:, 0] == k)[:, 0] for k in range(classes)]
    large = [k for k in range(classes) if len(members[k]) >= least]
    # Drawn for all classes: the random numbers of the ranks stay in step.
    chances = [Chance.drawn(len(members[k]), 2 * average.mean.shape[1], generator) for k in large]
    ratio = torch.zeros(len(large), dtype=torch.float64, device=average.mean.device)
    second = torch.zeros(len(matches), dtype=torch.bool, device=average.mean.device)
    for i in ranks.dealt([len(members[k]) for k in large]):
        rows = members[large[i]]
        division = divided_in_two(scope, rows, matches.rows(rows), average.mean[large[i]], chances[i])
        ratio[i], second[rows] = division.ratio, division.second
    ratio, second = ranks.total_tensor(ratio), ranks.total_tensor(second)
    found = [(members[k], Split(value, second[members[k]])) for k, value in zip(large, ratio.tolist(), strict=True)]
    return sorted((pair for pair in found if is_mixed(pair[1])), key=lambda pair: -pair[1].ratio)


@dataclass
class Chance:
    """Random numbers for a class of n members: a turn in radians for each (n,), and two subspaces to begin with."""

    turns: Tensor
    starts: tuple[Tensor, Tensor]

    @staticmethod
    def drawn(count: int, features: int, generator: torch.Generator) -> Chance:
        turns = torch.rand(count, generator=generator)
        return Chance(turns, (random_subspace(features, generator), random_subspace(features, generator)))


def divided_in_two(scope: Scope, rows: Tensor, poses: Matches, mean: Tensor, chance: Chance) -> Split:
    """How the members (n,) of one class, at their poses, differ from its mean (m,) along one direction."""
    turns = chance.turns.to(rows.device) * (2 * torch.pi)
    features, others = turned_residuals(scope.particles.rows(rows), poses, mean, scope.mask, turns)
    return split(features, others, chance.starts)


def is_mixed(division: Split) -> bool:
    """Whether a class holds more than one view."""
    smaller = min(int(division.second.sum()), int((~division.second).sum()))
    return division.ratio > MIXED and smaller >= LEAST_CHILD
