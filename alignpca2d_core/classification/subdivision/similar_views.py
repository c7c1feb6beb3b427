"""Distinct classes that look alike: separated once more, together, on the whole band and from their last poses.

Views a few degrees apart differ in little more than noise.  Stage 1 leaves them in one class or parts them badly, and
hard assignment keeps them so: the average of a class contains the noise of each of its members, which favours this
class by more than the true difference favours another.  Here classes whose members fit both nearly as well are brought
into one frame, a *family*, and :mod:`.view_mixture` says which views they show.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ...alignment.matches import Matches, wrapped
from ...averaging.band_sample import BandSample
from ...averaging.class_averages import filtered
from ...runtime import distributed
from ...runtime.memory import halving
from ..discovery.residual_pca import aligned_residuals, detail_mask
from ..discovery.split_search import LEAST_CHILD
from .view_mixture import views_of

MOST_PREFERENCE = 16.0
"""Log-likelihood by which the members of a similar class prefer it to the other, at most.

One in a hundred is wrong at 11, half the squared distance of views that far apart; a particle in a class of some
hundred adds some 5 of its own.
"""
SAME_FRAME = 0.1
"""Radians within which members agree on how the frames of two classes are turned."""
AGREEING = 0.5
"""Share of the members that must agree on it."""
MOST_VIEWS = 4
"""Views looked for in one family, unless it has more classes."""
MOST_MEMBERS = 3000
"""Members of a family that its views are learned from: products of all pairs are held."""


@dataclass(frozen=True)
class Frame:
    """How poses in one class become poses in another: turned by ``angle`` radians, moved by (x, y) pixels there."""

    angle: float
    x: float
    y: float

    @staticmethod
    def between(own: Matches, other: Matches) -> Frame | None:
        """From members (n, 1) that have been matched to both classes; None where they do not agree."""
        turned = wrapped(other.angle - own.angle)[:, 0]
        near = wrapped(turned[:, None] - turned[None, :]).abs() < SAME_FRAME
        agreeing = near[near.sum(1).argmax()]
        if int(agreeing.sum()) < AGREEING * len(turned):
            return None
        some = turned[agreeing]
        angle = float(torch.atan2(torch.sin(some).sum(), torch.cos(some).sum()))
        x, y = (other.shift_x - own.shift_x)[agreeing, 0], (other.shift_y - own.shift_y)[agreeing, 0]
        cosine, sine = torch.cos(other.angle[agreeing, 0]), torch.sin(other.angle[agreeing, 0])
        return Frame(angle, float((cosine * x + sine * y).median()), float((cosine * y - sine * x).median()))

    def moved(self, matches: Matches) -> Matches:
        """The matches, in the other class's frame."""
        moved = matches.clone()
        moved.angle = (matches.angle + self.angle) % (2 * math.pi)
        cosine, sine = torch.cos(moved.angle), torch.sin(moved.angle)
        moved.shift_x = matches.shift_x + cosine * self.x - sine * self.y
        moved.shift_y = matches.shift_y + sine * self.x + cosine * self.y
        return moved


@dataclass(frozen=True)
class SimilarPair:
    """Class ``k`` is hard to tell from the larger class ``other``, into whose frame ``frame`` leads."""

    k: int
    other: int
    frame: Frame


def similar_pairs(found: Matches, sizes: Tensor) -> Iterator[SimilarPair]:
    """Classes whose members hardly prefer them to one other class that is larger, each named once.

    Parameters
    ----------
    found : Matches
        The two best distinct classes of each particle, (n, 2).
    sizes : Tensor
        Members of each class, (k,).
    """
    if found.score.shape[1] < 2:
        return
    found = found.best(2)
    own, rival = found.classes.unbind(1)
    joined: set[int] = set()
    for k in torch.argsort(sizes, stable=True).tolist():
        members = torch.nonzero(own == k)[:, 0]
        if len(members) < LEAST_CHILD or k in joined:
            continue
        other = int(torch.bincount(rival[members]).argmax())
        members = members[rival[members] == other][:MOST_MEMBERS]
        larger = (int(sizes[other]), other) > (int(sizes[k]), k)
        gap = (found.score[members, 0] - found.score[members, 1]).median()
        if not larger or gap > MOST_PREFERENCE or len(members) < AGREEING * int((own == k).sum()):
            continue
        best = found.rows(members)
        frame = Frame.between(best._map(lambda f: f[:, :1]), best._map(lambda f: f[:, 1:]))
        if frame is not None:
            joined.add(other)
            yield SimilarPair(k, other, frame)


@dataclass
class FamilyClasses:
    """Distinct classes after their look-alikes were separated again.

    Attributes
    ----------
    matches : Matches
        (n, 1), of all in the frame of their family.
    family : Tensor
        Number from 0 of the family of each distinct class, (views,) int64.
    """

    matches: Matches
    family: Tensor


def in_common_frame(matches: Matches, found: list[SimilarPair], views: int) -> FamilyClasses:
    """The matches (n, 1) with those of each look-alike in the frame of the class that it resembles."""
    matches, first = matches.clone(), torch.arange(views, device=matches.classes.device)
    for one in found:
        rows = torch.nonzero(matches.classes[:, 0] == one.k)[:, 0]
        matches.put(rows, one.frame.moved(matches.rows(rows)))
        first[one.k] = one.other
    return FamilyClasses(matches, torch.unique(first, return_inverse=True)[1])


class Families:
    """What members of families have beside the average of their family, worked out once.

    Parameters
    ----------
    band_sample : BandSample
        Of several ranks each has whole families in its sample.
    joined : FamilyClasses
    """

    def __init__(self, band_sample: BandSample, joined: FamilyClasses) -> None:
        self.band_sample, self.joined = band_sample, joined
        self.family = joined.family[joined.matches.classes[:, 0]]
        order, sizes = torch.argsort(self.family, stable=True), torch.bincount(self.family).tolist()
        self._rows = dict(enumerate(order.split(sizes)))
        self._known: dict[int, Tensor] = {}

    def here(self) -> list[int]:
        """Families with members in the sample."""
        return [number for number, rows in self._rows.items() if len(rows)]

    def rows(self, number: int) -> Tensor:
        """Members of a family, ascending."""
        return self._rows[number]

    def features(self, number: int) -> Tensor:
        """Those of :func:`family_features` of all members of a family, (n, d)."""
        if number not in self._known:
            self._known[number] = family_features(self.band_sample, self.joined.matches, self.rows(number))
        return self._known[number]


def separated_views(
    families: Families, most: int, generator: torch.Generator, whole: int | None = None
) -> FamilyClasses:
    """Part the families of more than one class; not more than ``most`` classes come of it.

    What comes of the families of all ranks all learn.  ``whole`` is a class that will hardly be divided.
    """
    joined = families.joined
    label, family = joined.matches.classes[:, 0].clone(), joined.family.tolist()
    members = [[k for k, one in enumerate(family) if one == number] for number in range(max(family) + 1)]
    room = max(0, most - len(family))
    # Drawn for all families: the random numbers of the ranks stay in step.
    seeds = torch.randint(2**31, (len(members),), generator=generator).tolist()
    found: dict[int, tuple[Tensor, Tensor]] = {}
    more = torch.zeros(len(members), dtype=torch.int64, device=label.device)
    for number in families.here():
        classes, rows = members[number], families.rows(number)[:MOST_MEMBERS]
        own = torch.searchsorted(torch.tensor(classes, device=label.device), label[rows])
        if whole not in classes:  # ranks wait for each other below: what they will need is made before
            families.features(number)
        if len(classes) == 1 or len(torch.unique(own)) < len(classes):
            continue
        features = families.features(number)[: len(rows)]
        views = max(len(classes), min(MOST_VIEWS, len(classes) + room))
        view = views_of(features, own, views, torch.Generator().manual_seed(seeds[number]))
        found[number], more[number] = (rows, view), int(view.max()) + 1 - len(classes)
    for number, added in enumerate(distributed.total_tensor(more).tolist()):
        if len(family) + added > most:  # families before it have taken the room
            found.pop(number, None)
            continue
        numbers = torch.tensor([*members[number], *range(len(family), len(family) + added)], device=label.device)
        family += added * [number]
        if number in found:
            rows, view = found[number]
            label[rows] = numbers[view]
    matches = joined.matches.clone()
    matches.classes = label[:, None]
    return FamilyClasses(matches, torch.tensor(family, device=label.device))


def family_features(band_sample: BandSample, matches: Matches, rows: Tensor) -> Tensor:
    """What members of one family (rows, in one frame) have beside its average, where that has detail; (n, d)."""
    members, poses = band_sample.rows(rows), matches.rows(rows)
    poses.classes = torch.zeros_like(poses.classes)
    particles, band = members.particles, members.particles.band
    average = members.average(poses, 1)
    mask = band_sample.mask * detail_mask(filtered(average, band), band)[0]

    def features(some: slice) -> Tensor:
        return aligned_residuals(particles.rows(some), poses.rows(some), average.mean, mask)

    return halving(features, len(rows), torch.cat)
