"""Stage 1: the distinct classes of a sample of particles.

Begins with the classes of :mod:`.initialization`.  Those that explain nothing are pruned and those that hold more than
one view are split, until neither happens.  What is left are the distinct views, at most as many as were asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ...alignment.exhaustive_search import locate
from ...alignment.local_search import refined_on_ranks
from ...alignment.matches import Matches, decided_by_first_rank, gathered_matches, without_empty_classes
from ...averaging.band_sample import BandSample
from ...averaging.class_averages import filtered
from ...averaging.self_noise import without_self_noise
from ...averaging.templates import Templates
from ...preprocessing.mask_shape import MaskShape
from ...preprocessing.preprocess import Vectors
from ...runtime import distributed
from .duplicates import find_duplicates
from .initialization import Rounds, Sweep
from .pruning import class_scores, degrees_of_freedom, redundant, without_classes, worthless
from .split_search import LEAST_CHILD, LEAST_SPLIT, find_splits

MOST_ROUNDS = 8
KEPT_POSES = 16
SPARE = 0.25
"""Share of classes beyond those asked for that a round of splits may make, for pruning to choose among."""
GAIN = 0.01
"""Share of the log-likelihood that a round must add when it adds no classes."""
LEAST_NOISE = 0.2
"""Noise of a ring, as a share of all its power, below which no estimate goes."""


@dataclass(frozen=True)
class Outcome:
    """What a round ended with: classes that stayed, and the log-likelihood of the particles."""

    views: int
    score: float

    def better_than(self, other: Outcome) -> bool:
        """Whether splitting still pays: more classes stay, or the same explain clearly more."""
        return self.views > other.views or self.score > other.score + GAIN * abs(other.score)


def noise_share(sample: BandSample, matches: Matches, classes: int, rings: int) -> Tensor:
    """Deviation of the noise alone over that of everything, ring by ring, now that the classes tell what is signal.

    The power of z on a ring is that of q·x plus noise; before there are classes all of it is taken for noise.  Rings
    (up to ``rings``) beyond the band that the classes are known on get the share of its last one; (rings,).
    """
    particles = sample.particles
    band = particles.band
    signal = band.ring_sum(filtered(sample.average_together(matches, classes), band).abs() ** 2)
    expected = (particles.q**2 * signal[matches.classes[:, 0]]).sum(0)
    total = band.ring_sum(sum((part.abs() ** 2).sum(0) for part in particles.z.split(512)))
    share = distributed.first_tensor((1 - expected / total.clamp_min(1e-20)).clamp(LEAST_NOISE**2, 1).sqrt())
    return torch.cat((share, share[-1:].expand(rings - band.rings)))


class Discovery:
    """Finds the distinct views in a sample.

    Parameters
    ----------
    particles : Vectors
        The sample on the full band.
    sweep : Sweep
        The same sample on the band of the exhaustive level.
    mask_shape : MaskShape
    classes : int
        Most distinct views to find.
    generator : torch.Generator
    inside : float
        Share of a particle's noise that the mask of the averages lets in.
    """

    def __init__(
        self,
        particles: Vectors,
        sweep: Sweep,
        mask_shape: MaskShape,
        classes: int,
        generator: torch.Generator,
        inside: float,
    ) -> None:
        self.sweep, self.coarse, self.schedule = sweep, sweep.band_sample, sweep.schedule
        self.classes, self.generator, self.inside = classes, generator, inside
        self.least_split = min(LEAST_SPLIT, max(2 * LEAST_CHILD, len(particles) // (2 * classes)))
        self.middle = self.coarse
        self.as_far_as_middle = replace(self.schedule, local=self.schedule.local[:1])
        if self.schedule.local:
            middle = particles.narrowed(self.schedule.local[0].radius)
            self.middle = BandSample.make(middle, self.coarse.halves, mask_shape)

    def run(self, matches: Matches, views: int, rounds: Rounds, most: int | None = None) -> tuple[Matches, int]:
        """Matches of the sample, the best class of each particle only, and how many views there are.

        Begins with classes and poses of the sample, and ends after ``most`` rounds at the latest.
        """
        before = Outcome(0, -torch.inf)
        for _ in range(most or MOST_ROUNDS):
            matches, views = decided_by_first_rank(*self.prune(matches, views))
            now = Outcome(views, float(matches.score.double().sum()))
            rounds.record(matches, views, f"{views} distinct so far")
            matches, wider = decided_by_first_rank(*self.divide(matches, views))
            if wider == views or not now.better_than(before):
                return (
                    without_empty_classes(matches, wider)
                    if wider == views
                    else decided_by_first_rank(*self.prune(matches, wider))
                )
            before = now
            matches, views = self.sweep.search(matches, wider)
        return decided_by_first_rank(*self.prune(matches, views))

    def prune(self, matches: Matches, classes: int) -> tuple[Matches, int]:
        """Search, refine on the middle band, and drop classes that are worth less than they cost, and copies.

        With each particle's own noise in, a copy of a class seems worth more than a view of which few members are
        found yet.
        """
        middle = self.middle
        average = middle.average_together(matches, classes)
        references = filtered(average, middle.particles.band)
        mine = distributed.part(len(middle.particles))
        keep = (KEPT_POSES, KEPT_POSES)
        found = locate(middle.particles.rows(mine), references, self.schedule, self.sweep.basis, keep, rivals=True)
        templates = Templates.of(references, average, middle.particles.band, self.inside)
        matches = without_self_noise(gathered_matches(found, mine), middle.particles, templates, matches, middle.mask)
        freedom = degrees_of_freedom(average, middle.particles.band)
        scores = class_scores(matches, classes)
        gone = worthless(scores, freedom, self.classes)
        alike = find_duplicates(average, middle.particles.band, self.as_far_as_middle, self.sweep.basis)
        return without_empty_classes(without_classes(matches, redundant(scores, freedom, gone, alike)), classes)

    def divide(self, matches: Matches, classes: int) -> tuple[Matches, int]:
        """Split every class that holds more than one view, the clearest first, while there is room."""
        if self.schedule.local and not self.schedule.is_still:
            band, coarser = self.middle.particles.band, self.schedule.local[0]
            step, shift = coarser.rotation_step / 2, coarser.shift_step / 2
            level = replace(coarser, rotation_step=step, shift_step=shift, radius=band.radius)
            references = filtered(self.middle.average_together(matches, classes), band)
            matches = refined_on_ranks(self.middle.particles, references, level, matches)
        room = self.classes + max(2, round(SPARE * self.classes)) - classes
        splits = find_splits(self.coarse, matches, classes, self.least_split, self.generator).first(room)
        matches.classes = splits.carried_out(matches.classes[:, 0], classes)[:, None]
        return matches, classes + len(splits.classes)
