"""From the distinct classes found to the number asked for: those whose members differ most are divided, poses kept.

How much members differ is the leading eigenvalue of the products of their residuals: the variance along one direction,
times their number.  So a class that smears several views is cut before a larger one that shows a single view.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ...runtime import distributed
from ..discovery.residual_pca import leading_direction
from .similar_views import Families, FamilyClasses

CLEAR = 1.15
"""Leading eigenvalue over the next above which a direction is more than noise, where they differ by hundredths."""
MOST_COMPARED = 1000
"""Members of a class that are compared with one another to find the direction of a cut."""
LAST = -1.0
"""Below every eigenvalue: what the halves of noise are worth."""


class FamilyCuts:
    """How the members of one family are cut, from their features (n, d).

    Views that look alike are often neighbours on one line, a particle tilted by degrees: what tells the outer ones
    apart, which is plain, also tells the inner ones, which on their own would not.  So cuts go along the leading
    direction of the whole family, unless the part that is cut has a clear one of its own.
    """

    def __init__(self, features: Tensor) -> None:
        self.features = features
        self.whole = leading_direction(features, MOST_COMPARED)

    def cut(self, view: int, path: int, members: Tensor, most: float) -> Cut:
        """Halve some members (p,) at the median; ``most`` is how much they may differ."""
        alone = len(members) == len(self.features)
        own = self.whole if alone else leading_direction(self.features[members], MOST_COMPARED)
        along = own.along if alone or own.clearness > CLEAR else self.whole.along[members]
        order, half = torch.argsort(along, stable=True), len(members) // 2
        lower, upper = (members[some.sort().values] for some in (order[:half], order[half:]))
        return Cut(-min(own.power, most), path.bit_length(), view, path, upper, lower, self)


@dataclass(frozen=True, order=True)
class Cut:
    """A part of a view that is halved.  Sorted, the parts that differ most come first.

    Attributes
    ----------
    rank : float
        Minus how much the members differ, which is never more than those of the part that it is a half of.
    depth, view, path : int
        The whole view has the path 1 at depth 1; of the halves of the part p, 2p keeps its class and 2p + 1 gets a new
        one.
    kept, new : Tensor
        Members of these two, positions in the family, ascending.
    family : FamilyCuts
    """

    rank: float
    depth: int
    view: int
    path: int
    kept: Tensor = field(compare=False)
    new: Tensor = field(compare=False)
    family: FamilyCuts = field(compare=False)

    def following(self) -> list[Cut]:
        """The cuts of its halves, where they have two members."""
        halves = enumerate((self.kept, self.new), start=2 * self.path)
        return [self.family.cut(self.view, path, half, -self.rank) for path, half in halves if len(half) > 1]


def divide_most_varied(
    families: Families, separated: FamilyClasses, classes: int, whole: int | None = None
) -> tuple[Tensor, Tensor]:
    """Halve the class whose members differ most until there are ``classes``.

    A class is cut at the median along the direction in which its members differ most, so that both halves are whole
    classes and stay as pure as their view.  The class ``whole`` is cut last: halves of noise would look like something.

    Parameters
    ----------
    families : Families
        Of several ranks each has some.
    separated : FamilyClasses
        Their classes now.
    classes, whole : int

    Returns
    -------
    child : Tensor
        New class of each particle, (n,) int64; the first numbers stay with their views.
    view_of : Tensor
        (classes,) int64.
    """
    label, family = separated.matches.classes[:, 0], separated.family
    room, child, view_of = classes - len(family), label.clone(), list(range(len(family)))
    sizes = distributed.total_tensor(torch.bincount(label, minlength=len(family))).tolist()
    last = whole if room > sum(size - 1 for view, size in enumerate(sizes) if view != whole) else None
    own = {(cut.view, cut.path): cut for cut in planned_cuts(first_cuts(families, separated, whole, last), room)}
    number = {(view, 1): view for view in view_of}
    for view, path in first_of_all(own.values(), room):
        number[view, 2 * path], number[view, 2 * path + 1] = number[view, path], len(view_of)
        if (view, path) in own:
            child[families.rows(int(family[view]))[own[view, path].new]] = len(view_of)
        view_of.append(view)
    return child, torch.tensor(view_of, device=label.device)


def first_cuts(families: Families, separated: FamilyClasses, whole: int | None, last: int | None) -> Iterator[Cut]:
    """The cuts of all views of this rank's families but ``whole``, which is among them only if it is ``last`` too."""
    label = separated.matches.classes[:, 0]
    for number in families.here():
        own = label[families.rows(number)]
        views = [view for view in torch.unique(own).tolist() if view != whole or view == last]
        members = [torch.nonzero(own == view)[:, 0] for view in views]
        if any(len(some) > 1 for some in members):
            cuts = FamilyCuts(families.features(number))
            for view, some in zip(views, members, strict=True):
                if len(some) > 1:
                    yield cuts.cut(view, 1, some, LAST if view == whole else math.inf)


def planned_cuts(first: Iterable[Cut], most: int) -> list[Cut]:
    """Cuts, and cuts of their halves, in order; ``most`` of them at most."""
    if most <= 0:
        return []
    heap = sorted(first)
    planned: list[Cut] = []
    while heap and len(planned) < most:
        planned.append(heapq.heappop(heap))
        for cut in planned[-1].following():
            heapq.heappush(heap, cut)
    return planned


def first_of_all(cuts: Iterable[Cut], most: int) -> list[tuple[int, int]]:
    """View and path of the first cuts of all ranks, in order."""
    places = [(cut.rank, cut.depth, cut.view, cut.path) for cut in cuts]
    joined = distributed.joined(torch.tensor(places, dtype=torch.float64).reshape(-1, 4))
    return [(int(view), int(path)) for _, _, view, path in sorted(joined.tolist())[: max(0, most)]]
