"""Particles that fit no better than noise: found, searched for further off centre, and set aside.

Hard assignment puts every image into some class.  Images without a particle end up in classes of their own, aligned
to what noise has built up there, or scattered over the others; particles beyond the search window do as well.  So
once the classes are known, every particle is scored against noise (:mod:`.noise_scores`).  What is doubtful is searched
for again, in the good classes and a window twice as wide (the paper's second round, Fig. S16); what still fits no
better than noise becomes a class of its own, as it was picked: nothing is aligned to noise.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..alignment.matches import Matches
from ..alignment.pose_search import PoseSearch
from ..averaging.certainty import figures_of_best
from ..averaging.noise_scores import CLEAR, noise_images, noise_scores
from ..averaging.placement import Placement
from ..averaging.second_particle import Comparison
from ..averaging.templates import Templates
from ..averaging.usable_particles import UsableParticles, spread
from ..preprocessing.preprocess import Vectors
from ..runtime import distributed
from .class_quantiles import Ordered, medians
from .junk_limits import LEAST_ASIDE, Limits, limit_within_noise, misfit_limit, noise_limit
from .overfull_images import CoarsePower, fullness, overfull_members

POOR = 0.6
"""Share of the usual score below which a class, or a particle in its class, may be at wrong poses."""
NOISE_LIKE, NOISE_BELOW = 1 / 3, 0.25
"""Share of the usual score below which a class may be noise, if so many of its scores are below 0: half of it is noise
then.  In thick ice whole classes of particles score that little."""
LEAST_GOOD = 0.5
"""Share of the particles in classes clear of noise below which the classes are bad rather than the particles; then no
particle is set aside."""
FEWER_IMAGES = 256
"""Images of noise for the second look: its wide window is costly, and a level known to 0.06 deviations is enough."""


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

        Where few particles are in classes clear of noise nothing can be told, and no particle is suspect.
        """
        median = medians(score, classes, count)
        clear = median >= CLEAR
        if float(clear[classes].double().mean()) < LEAST_GOOD:
            nothing = torch.zeros_like(clear)
            return Standing(nothing, nothing, nothing[classes])
        usual = float(score[clear[classes]].median())
        poor = median < POOR * usual
        suspect = poor[classes] | (score < POOR * median[classes])
        sizes = torch.bincount(classes, minlength=count).clamp_min(1)
        below = torch.bincount(classes[score < 0], minlength=count) >= NOISE_BELOW * sizes
        return Standing(clear & ~poor, below & (median < min(CLEAR, NOISE_LIKE * usual)), suspect)


def looked_for_again(
    members: UsableParticles,
    suspects: NDArray[np.int64],
    found: Matches,
    templates: Templates,
    standing: Standing,
    search: PoseSearch,
) -> Iterator[tuple[Tensor, Matches, Tensor]]:
    """Suspects (positions) that fit a good class clearly in the search's window, and better than where they are.

    Yields positions (p,) of this rank's own, their best matches there, and score, misfit and certainty of each, (p, 3).
    """
    numbers = torch.nonzero(standing.good)[:, 0]
    among, final = templates.among(numbers), search.schedule.final
    place = torch.full_like(standing.good, -1, dtype=torch.int64)
    place[numbers] = torch.arange(len(numbers), device=numbers.device)
    q = members.weights(suspects[spread(len(suspects), members.batch)])
    images = noise_images(search, q, members.band, FEWER_IMAGES)
    own, bank = members.batches(suspects), search.bank(among.references, members.band)
    # The noise goes through the search together with the first particles, of which this rank may have none.
    chosen, particles = next(own, (numbers[:0], images.rows(slice(0))))
    together = search.locate_in(bank, Vectors.join([particles, images]))
    noise = noise_scores(images, among, final, together.rows(slice(len(particles), None)))
    first = (chosen, particles, together.rows(slice(len(particles))))
    for chosen, particles, matches in chain([first], ((c, p, search.locate_in(bank, p)) for c, p in own)):
        matches = matches.of_distinct_classes()
        before = found.rows(chosen).best(1)
        before.classes = place[before.classes]
        ratio, misfit, certain = figures_of_best(particles, among, final, matches, before, search.mask).unbind(1)
        score = noise.normal(ratio)
        better = (score >= CLEAR) & (matches.score[:, 0] > found.score[chosen, 0])
        matches.classes = numbers[matches.classes]
        yield chosen[better], matches.rows(better), torch.stack((score, misfit, certain), 1)[better]


def to_set_aside(score: Tensor, classes: Tensor, noise_like: Tensor) -> Tensor:
    """Particles to be set aside, (n,) bool: those in classes like noise, and strays in the others.

    A stray is rather noise than a particle of the set, or it is below what noise may reach and below what the class's
    own spread explains, where the class has enough particles clear of noise to tell.  Of a class like noise those stay
    that its noise does not account for, where they are enough for a class.
    """
    own = Ordered.of(score, classes, len(noise_like), score >= CLEAR)
    middle, upper = (own.quantiles(share).double() for share in (0.5, 0.84))
    least = noise_limit(score, ~noise_like[classes])
    limit = (middle - 3 * (upper - middle)).clamp(least, CLEAR)
    limit = limit.where(own.sizes >= LEAST_ASIDE, least)
    for k in torch.nonzero(noise_like)[:, 0].tolist():
        limit[k] = limit_within_noise(score[classes == k])
    return score < limit.to(score.dtype)[classes]


@dataclass(frozen=True)
class Separated:
    """Particles after the second look.

    Attributes
    ----------
    placement : Placement
        Of all particles; those set aside are as they were picked, with the score of an empty reference.
    recovered, set_aside, sieved : int
        Particles that were found further off centre, particles set aside, and images that the sieve set aside.
    noise_class : int or None
        The class of the latter.
    limits : Limits
    """

    placement: Placement
    recovered: int = 0
    set_aside: int = 0
    sieved: int = 0
    noise_class: int | None = None
    limits: Limits = field(default_factory=Limits)

    def decided_by_first_rank(self) -> Separated:
        """What rank 0 has decided."""
        number = distributed.first_number(-1 if self.noise_class is None else self.noise_class)
        own = distributed.of_first(self.placement)
        placement = replace(own, matches=distributed.of_first(self.placement.matches))
        return replace(self, placement=placement, noise_class=None if number < 0 else number)


def second_look(
    placement: Placement,
    members: UsableParticles,
    comparison: Comparison,
    most: int,
    sieved: int = 0,
    coarse: CoarsePower | None = None,
) -> Separated:
    """Look again for what is suspect; set aside what stays like noise, or is overfull, up to ``most`` classes.

    ``sieved`` images will be set aside with it.  ``coarse`` is known where micrographs are.
    """
    templates, search = comparison.templates, comparison.search
    count = len(templates.references)
    standing = Standing.of(placement.score, placement.matches.classes[:, 0], count)
    suspects = torch.nonzero(standing.suspect | (placement.misfit > misfit_limit(placement.misfit)))[:, 0].cpu().numpy()
    placement, recovered, noise_like, limit = placement.clone(), 0, standing.noise_like, CLEAR
    aside = torch.zeros_like(standing.suspect)
    if len(suspects) and bool(standing.good.any()):
        looked = looked_for_again(members, suspects, placement.matches, templates, standing, search.wider())
        rows, found = gathered_looks(*zip(*looked, strict=True))
        placement.put(rows, found)
        recovered = len(rows)
        # What noise scores: less than 0 where it has been taken for stronger than it is, as junk in the sample has it.
        centre = comparison.noise.of_weaker(float(placement.misfit.median()))
        score, classes = placement.score - centre, placement.matches.classes[:, 0]
        told = noise_limit(score, torch.ones_like(aside))
        noise_like = noise_like | ((medians(score, classes, count) < told) & ~standing.good)
        aside = to_set_aside(score, classes, noise_like)
        limit = told + centre if told else CLEAR
    full = fullness(placement.misfit, coarse)
    aside[overfull_members(full, ~aside, placement.matches, members, comparison)] = True
    separated = with_noise_class(placement, noise_like, aside, most, sieved)
    return replace(separated, recovered=recovered, limits=Limits.of(limit, placement.misfit))


def gathered_looks(
    chosen: Sequence[Tensor], matches: Sequence[Matches], figures: Sequence[Tensor]
) -> tuple[Tensor, Placement]:
    """What the second look of all ranks has found: positions (p,), and where the particles there belong."""
    own = torch.cat(tuple(chosen))
    mine = own.cpu().numpy()
    found = distributed.gathered(Matches.join(list(matches), 0), mine)
    figures_of_all = distributed.gathered_tensor(torch.cat(tuple(figures)), mine)
    return distributed.gathered_tensor(own, mine), Placement.of(found, *figures_of_all.unbind(1))


def with_noise_class(placement: Placement, noise_like: Tensor, aside: Tensor, most: int, sieved: int = 0) -> Separated:
    """Put particles, (n,) bool, into one class: one like noise, (k,) bool, that they leave empty, or a new one.

    Where there is no room for a new one, the class like noise of which fewest would stay goes with them.  ``sieved``
    images will be in it too: they count among those that make a class.
    """
    classes = placement.matches.classes[:, 0]
    staying = torch.bincount(classes[~aside], minlength=len(noise_like)).masked_fill(~noise_like, len(classes) + 1)
    fewest, has_room = int(staying.argmin()), len(torch.unique(classes)) < most
    if bool(noise_like.any()) and (int(staying[fewest]) == 0 or not has_room):
        number, aside = fewest, aside | (classes == fewest)
    elif bool(aside.any()) and int(aside.sum()) + sieved >= LEAST_ASIDE and has_room:
        number = len(noise_like)
    else:
        return Separated(placement)
    rows, placement = torch.nonzero(aside)[:, 0], placement.clone()
    placement.matches.put(rows, Matches.at_rest(torch.full_like(rows, number)))
    placement.certainty[rows] = 0.0
    return Separated(placement, set_aside=len(rows), noise_class=number)


def with_sieved(
    separated: Separated, refined: Matches, rows: NDArray[np.int64], sieved: NDArray[np.int64], room: range
) -> tuple[Separated, Matches, NDArray[np.int64]]:
    """The same with the images that the sieve has set aside, at rest in the class of noise.

    Parameters
    ----------
    separated : Separated
        Of the particles at ``rows`` (n,).
    refined : Matches
        Of them, (n, kept).
    sieved : (s,) int64 array
        Rows of the images.
    room : range
        Numbers that a new class may have, if there is none of noise; if there is no number left they stay out.

    Returns
    -------
    Both of all n + s, by ascending rows, and these rows.
    """
    if not len(sieved) or (separated.noise_class is None and not room):
        return separated, refined, rows
    number = room[0] if separated.noise_class is None else separated.noise_class
    placement, kept = separated.placement, refined.score.shape[1]
    label = torch.full((len(sieved),), number, device=placement.score.device)
    nothing = placement.score.new_zeros(len(sieved))
    every = np.concatenate((rows, sieved))
    order = torch.from_numpy(np.argsort(every)).to(nothing.device)
    at_rest = Matches.at_rest(label)
    joined = Placement(
        Matches.join([placement.matches, at_rest], 0).rows(order),
        torch.cat((placement.score, nothing))[order],
        torch.cat((placement.certainty, nothing))[order],
        torch.cat((placement.misfit, nothing))[order],
    )
    alone = Matches.join([at_rest] * kept, 1)
    everything = Matches.join([refined, alone], 0).rows(order)
    return replace(separated, placement=joined, sieved=len(sieved), noise_class=number), everything, np.sort(every)
