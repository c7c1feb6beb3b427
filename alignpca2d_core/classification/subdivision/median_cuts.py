"""From the distinct classes found to the number asked for: the largest are divided, their poses kept."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...runtime import distributed
from ..discovery.residual_pca import leading_direction
from .similar_views import Families, FamilyClasses

CLEAR = 1.15
"""Leading eigenvalue over the next above which a direction is more than noise, where they differ by hundredths."""
MOST_COMPARED = 1000
"""Members of a class that are compared with one another to find the direction of a cut."""


def divide_largest(
    families: Families, separated: FamilyClasses, classes: int, whole: int | None = None
) -> tuple[Tensor, Tensor]:
    """Halve the largest class until there are ``classes``.

    A class is cut at the median along the direction in which its family differs most, so that both halves
    are whole classes and stay as pure as their view.  The class ``whole`` is cut last: halves of noise, cut
    along the direction in which they differ most, would look like something.

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
    sizes = distributed.total_tensor(torch.bincount(label, minlength=len(family)))
    cuts = planned_cuts(sizes.tolist(), classes, whole)
    view_of = torch.tensor([*range(len(family)), *(cut.view for cut in cuts)], device=label.device)
    child, family_of = label.clone(), family.tolist()
    for number in families.here():
        wanted = [cut for cut in cuts if family_of[cut.view] == number]
        if wanted:
            rows = families.rows(number)
            child[rows] = cut_up(label[rows], families.features(number), wanted)
    return child, view_of


@dataclass(frozen=True)
class Cut:
    """One half of class ``k`` becomes class ``new``; both come from ``view``."""

    k: int
    new: int
    view: int


def planned_cuts(sizes: Sequence[int], classes: int, whole: int | None) -> list[Cut]:
    """The cuts that make ``classes`` of views with so many members, in order; the class ``whole`` is cut last."""
    members, view_of = list(sizes), list(range(len(sizes)))
    cuts: list[Cut] = []

    def place(k: int) -> tuple[float, int]:
        # Between 1 and 2: the class that is cut last comes after every other that has two members.
        return -members[k] if view_of[k] != whole else -min(1.5, members[k]), k

    heap = [place(k) for k in view_of]
    heapq.heapify(heap)
    while len(members) < classes:
        _, k = heapq.heappop(heap)
        cuts.append(Cut(k, len(members), view_of[k]))
        view_of.append(view_of[k])
        members.append(members[k] // 2)
        members[k] -= members[k] // 2
        for one in (k, cuts[-1].new):
            heapq.heappush(heap, place(one))
    return cuts


def cut_up(label: Tensor, features: Tensor, cuts: Sequence[Cut]) -> Tensor:
    """The class of each member (n,) of a family after its cuts, from its class (n,) and its features (n, d).

    Views that look alike are often neighbours on one line, a particle tilted by degrees: what tells the outer ones
    apart, which is plain, also tells the inner ones, which on their own would not.  So cuts go along the leading
    direction of the whole family, unless the class that is cut has a clear one of its own.
    """
    child, along = label.clone(), leading_direction(features, MOST_COMPARED)[0]
    for cut in cuts:
        members = torch.nonzero(child == cut.k)[:, 0]
        place = along[members]
        if len(members) < len(label):
            own, clearness = leading_direction(features[members], MOST_COMPARED)
            place = own if clearness > CLEAR else place
        lower = torch.argsort(place, stable=True)[: len(members) // 2]
        child[members[lower]] = cut.new
    return child
