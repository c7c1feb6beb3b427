"""Particles that fit no better than noise: found out, looked for further off centre, and set aside.

Hard assignment puts every image into some class.  Images without a particle end up in classes of their own, aligned
to what noise has built up there, or scattered over the others; particles beyond the search window do as well.  So
once the classes are known, every particle is scored against noise (:mod:`.noise_scores`).  What is doubtful is searched
for again, in the good classes and a window twice as wide (the paper's second round, Fig. S16); what still fits no
better than noise becomes a class of its own, as it was picked: nothing is aligned to noise.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..alignment.exhaustive_search import locate
from ..alignment.fourier_pca import FourierPCA
from ..alignment.matches import Matches
from ..alignment.search_grids import Schedule
from ..averaging.noise_scores import (
    CLEAR,
    NOISE_IMAGES,
    NoiseScores,
    Templates,
    matched_filter_ratio,
    noise_particles,
    noise_scores,
)
from ..averaging.usable_particles import UsableParticles, spread
from ..fourier.band import Band
from ..preprocessing.preprocess import Vectors
from ..runtime import distributed

WIDER = 2.0
"""How much wider the second look's window is: ±24 % of the box where the first had ±12 %."""
POOR = 0.6
"""Share of the usual score below which a class, or a particle in its class, may be at wrong poses."""
NOISE_LIKE = 1 / 3
"""Share of the usual score below which a class may be noise."""
LEAST_ASIDE = 30
"""Particles that make up a class of their own."""
NOISE_SEED = 0
FEWER_IMAGES = 256
"""Images of noise for the second look: its wide window is dear, and a level known to 0.06 deviations is enough."""


@dataclass(frozen=True)
class Search:
    """How particles are searched for: grids, PCA, poses kept, and the mask (work_box, work_box) on the particles."""

    schedule: Schedule
    basis: FourierPCA
    keep: tuple[int, ...]
    mask: Tensor

    def wider(self) -> Search:
        """The same in a wider window of shifts."""
        return replace(self, schedule=replace(self.schedule, reach=WIDER * self.schedule.reach))

    def locate(self, particles: Vectors, templates: Templates) -> Matches:
        """The best poses of particles."""
        return locate(particles, templates.references, self.schedule, self.basis, self.keep)

    def noise_images(self, q: Tensor, band: Band, count: int = NOISE_IMAGES) -> Vectors:
        """This rank's part of ``count`` images of noise under CTF² drawn from ``q`` (n, rings)."""
        generator = torch.Generator().manual_seed(NOISE_SEED)
        some = torch.randint(len(q), (count,), generator=generator).to(q.device)
        return noise_particles(q[some], band, self.mask, generator).rows(distributed.part(count))

    def noise(self, q: Tensor, templates: Templates, band: Band) -> NoiseScores:
        """What noise under CTF² drawn from ``q`` (n, rings) would reach."""
        images = self.noise_images(q, band)
        return noise_scores(images, templates, self.schedule.final, self.locate(images, templates))


@dataclass(frozen=True)
class Standing:
    """Where classes and particles stand against noise.

    Attributes
    ----------
    good, noise_like : Tensor
        Classes of particles at the right poses, and classes of nothing, (k,) bool.
    suspect : Tensor
        Particles to be looked at again, (n,) bool.
    """

    good: Tensor
    noise_like: Tensor
    suspect: Tensor

    @staticmethod
    def of(score: Tensor, classes: Tensor, count: int) -> Standing:
        """From the scores and classes (n,) of all particles.

        Where no class is clear of noise nothing can be told, and nobody is suspect.
        """
        median = medians(score, classes, count)
        clear = median >= CLEAR
        if not bool(clear.any()):
            return Standing(clear, clear, clear[classes])
        usual = float(score[clear[classes]].median())
        poor = median < POOR * usual
        suspect = poor[classes] | (score < POOR * median[classes])
        return Standing(clear & ~poor, median < min(CLEAR, NOISE_LIKE * usual), suspect)


def medians(values: Tensor, classes: Tensor, count: int) -> Tensor:
    """Median of the values (n,) in each class, (count,); NaN where a class has no members."""
    return torch.stack([values[classes == k].nanmedian() for k in range(count)])


def second_look(
    members: UsableParticles,
    suspects: NDArray[np.int64],
    found: Matches,
    templates: Templates,
    good: Tensor,
    search: Search,
) -> Iterator[tuple[Tensor, Matches, Tensor]]:
    """Suspects (positions) that fit a good class clearly in the search's window, and better than where they are.

    Yields positions (p,) of this rank's own, their two best matches there, and their scores (p,).
    """
    numbers = torch.nonzero(good)[:, 0]
    among, final = templates.among(numbers), search.schedule.final
    q = members.weights(suspects[spread(len(suspects), members.batch)])
    images = search.noise_images(q, members.band, FEWER_IMAGES)
    own = members.batches(suspects)
    # The noise goes through the search together with the first particles, of which this rank may have none.
    chosen, particles = next(own, (numbers[:0], images.rows(slice(0))))
    together = search.locate(Vectors.join([particles, images]), among)
    noise = noise_scores(images, among, final, together.rows(slice(len(particles), None)))
    first = (chosen, particles, together.rows(slice(len(particles))))
    for chosen, particles, matches in chain([first], ((c, p, search.locate(p, among)) for c, p in own)):
        matches = matches.of_distinct_classes().best(2)
        score = noise.normal(matched_filter_ratio(particles, among, final, matches))
        better = (score >= CLEAR) & (matches.score[:, 0] > found.score[chosen, 0])
        matches.classes = numbers[matches.classes]
        yield chosen[better], matches.rows(better), score[better]


def to_set_aside(score: Tensor, classes: Tensor, noise_like: Tensor) -> Tensor:
    """Particles to be set aside, (n,) bool: those in classes like noise, and strays in the others.

    A stray is below what noise may reach and below what the class's own spread explains: a class of faint
    particles keeps them all.
    """
    aside = noise_like[classes]
    for k in torch.nonzero(~noise_like)[:, 0].tolist():
        members = classes == k
        own = score[members & (score >= CLEAR)]
        if len(own) >= LEAST_ASIDE:
            middle, upper = torch.quantile(own, torch.tensor([0.5, 0.84], device=own.device)).tolist()
            aside |= members & (score < min(CLEAR, middle - 3 * (upper - middle)))
    return aside


@dataclass
class Sifted:
    """Particles after the second look.

    Attributes
    ----------
    matches : Matches
        The best match of each, (n, 1); those set aside are as they were picked, with the score of an empty reference.
    score : Tensor
        Standard deviations beyond noise, (n,); see :mod:`.noise_scores`.
    certainty : Tensor
        Likelihood of the class against that of the next best distinct one, as a share of both, (n,); 0 if set aside.
    recovered, aside : int
        Particles that were found further off centre, and particles set aside.
    noise_class : int or None
        The class of those.
    """

    matches: Matches
    score: Tensor
    certainty: Tensor
    recovered: int = 0
    aside: int = 0
    noise_class: int | None = None

    @staticmethod
    def of(found: Matches, score: Tensor) -> Sifted:
        """Nothing is moved: the best of the matches (n, 1 or 2) that were found."""
        best = found.best(2)
        rival = best.score[:, 1] if best.score.shape[1] > 1 else torch.full_like(score, -torch.inf)
        return Sifted(best.best(1), score, torch.sigmoid(best.score[:, 0] - rival))

    def of_first_rank(self) -> Sifted:
        """What rank 0 has decided."""
        number = distributed.first_number(-1 if self.noise_class is None else self.noise_class)
        agreed = distributed.of_first(replace(self, matches=distributed.of_first(self.matches)))
        return replace(agreed, noise_class=None if number < 0 else number)

    def sift(self, members: UsableParticles, templates: Templates, search: Search, most: int) -> None:
        """Look again for what is suspect, and set aside what is to_set_aside as long as there are ``most`` classes."""
        count = len(templates.references)
        standing = Standing.of(self.score, self.matches.classes[:, 0], count)
        suspects = torch.nonzero(standing.suspect)[:, 0].cpu().numpy()
        if not len(suspects) or not bool(standing.good.any()):
            return
        looked = second_look(members, suspects, self.matches, templates, standing.good, search.wider())
        self._move(*zip(*looked, strict=True))
        left = medians(self.score, self.matches.classes[:, 0], count) < CLEAR
        self._set_aside(standing.noise_like | (left & ~standing.good), most)

    def _move(self, chosen: Sequence[Tensor], matches: Sequence[Matches], score: Sequence[Tensor]) -> None:
        """Take over what the ranks have found in the second look."""
        mine = torch.cat(tuple(chosen)).cpu().numpy()
        rows = distributed.gathered_tensor(torch.cat(tuple(chosen)), mine)
        found = distributed.gathered(Matches.join(list(matches), 0), mine)
        other = Sifted.of(found, distributed.gathered_tensor(torch.cat(tuple(score)), mine))
        self.matches.put(rows, other.matches)
        self.score[rows], self.certainty[rows] = other.score, other.certainty
        self.recovered += len(rows)

    def _set_aside(self, noise_like: Tensor, most: int) -> None:
        """Put what is to_set_aside into one class, a new one where no class is like noise."""
        classes = self.matches.classes[:, 0]
        aside = to_set_aside(self.score, classes, noise_like)
        if bool(noise_like.any()):
            number = int(torch.nonzero(noise_like)[0])
        elif int(aside.sum()) >= LEAST_ASIDE and len(torch.unique(classes)) < most:
            number = len(noise_like)
        else:
            return
        rows = torch.nonzero(aside)[:, 0]
        self.matches.put(rows, Matches.at_rest(torch.full_like(rows, number)))
        self.certainty[rows] = 0.0
        self.aside, self.noise_class = len(rows), number
