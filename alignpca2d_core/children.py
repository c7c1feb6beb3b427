"""From the distinct classes found to the number asked for: the largest are divided, their poses kept."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from . import ranks
from .classes import filtered
from .discovery import LEAST_SPLIT, Scope, find_splits, renumbered
from .fourier import Band
from .poses import Level
from .preprocess import Vectors
from .search import Matches, refine
from .splitting import aligned_residuals, leading_direction, random_subspace

TWIN_ROUNDS = 5
DIVISION_STEP_DEG = 2.0
"""Rotations are rounded to this when divisions are compared on the coarse band."""


def divide_largest(
    scope: Scope,
    matches: Matches,
    parents: int,
    classes: int,
    generator: torch.Generator,
    whole: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Halve the largest class until there are ``classes``.

    A class is cut at the median along the direction in which its members differ most, so that both halves
    are whole classes and stay as pure as their parent.  The class ``whole`` is cut last: halves of noise, cut
    along the direction in which they differ most, would look like something.

    Returns
    -------
    child : Tensor
        New class of each particle, (n,) int64; the first ``parents`` numbers stay with their parents.
    parent_of : Tensor
        (classes,) int64.
    """
    sizes = torch.bincount(matches.classes[:, 0], minlength=parents).tolist()
    cuts = planned_cuts(sizes, classes, whole)
    parent_of = torch.tensor([*range(parents), *(cut.parent for cut in cuts)], device=matches.classes.device)
    if not cuts:
        return matches.classes[:, 0].clone(), parent_of
    mean = scope.average_together(matches, parents).mean
    # Drawn for all cuts: the random numbers of the ranks stay in step.
    starts = {cut.new: random_subspace(2 * mean.shape[1], generator) for cut in cuts}
    child = torch.zeros_like(matches.classes[:, 0])
    cut_parents = {cut.parent for cut in cuts}
    for k in ranks.dealt([size if k in cut_parents else 0 for k, size in enumerate(sizes)]):
        rows = torch.nonzero(matches.classes[:, 0] == k)[:, 0]
        child[rows] = k
        if k in cut_parents:
            features = aligned_residuals(scope.particles.rows(rows), matches.rows(rows), mean[k], scope.mask)
            child[rows] = cut_up(k, features, [cut for cut in cuts if cut.parent == k], starts)
    return ranks.total_tensor(child), parent_of


@dataclass(frozen=True)
class Cut:
    """One half of class ``k`` becomes class ``new``; both come from ``parent``."""

    k: int
    new: int
    parent: int


def planned_cuts(sizes: Sequence[int], classes: int, whole: int | None) -> list[Cut]:
    """The cuts that make ``classes`` of parents with so many members, in order; the class ``whole`` is cut last."""
    members, parent_of = list(sizes), list(range(len(sizes)))
    cuts: list[Cut] = []

    def place(k: int) -> tuple[float, int]:
        return -members[k] if parent_of[k] != whole else -min(1.5, members[k]), k

    heap = [place(k) for k in parent_of]
    heapq.heapify(heap)
    while len(members) < classes:
        _, k = heapq.heappop(heap)
        cuts.append(Cut(k, len(members), parent_of[k]))
        parent_of.append(parent_of[k])
        members.append(members[k] // 2)
        members[k] -= members[k] // 2
        for one in (k, cuts[-1].new):
            heapq.heappush(heap, place(one))
    return cuts


def cut_up(parent: int, features: Tensor, cuts: Sequence[Cut], starts: Mapping[int, Tensor]) -> Tensor:
    """The class of each member (n,) of a parent after its cuts, made along features (n, d).

    ``starts`` holds a :func:`.splitting.random_subspace` for each new class.
    """
    child = torch.full((len(features),), parent, device=features.device)
    held = {parent: (torch.arange(len(features), device=features.device), features)}
    for cut in cuts:
        members, values = held[cut.k]
        lower = _lower_half(values, starts[cut.new])
        held[cut.new], held[cut.k] = (members[lower], values[lower]), (members[~lower], values[~lower])
        child[members[lower]] = cut.new
    return child


def part_twins(
    scope: Scope, matches: Matches, parents: int, most: int, generator: torch.Generator
) -> tuple[Matches, int]:
    """Split classes whose members differ only in the detail that a wide band shows, at the poses they have.

    Returns the matches with their new classes, not more than ``most``.
    """
    parent_of = torch.arange(parents, device=matches.classes.device)
    parted = matches.clone()
    for members, found in find_splits(scope, matches, parents, LEAST_SPLIT, generator)[: max(0, most - parents)]:
        parted.classes[members[found.second], 0] = len(parent_of)
        parent_of = torch.cat((parent_of, matches.classes[members[:1], 0]))
    if len(parent_of) > parents:
        for _ in range(TWIN_ROUNDS):
            average = filtered(scope.average_together(parted, len(parent_of)), scope.particles.band)
            parted.classes = nearest_together(scope.particles, average, matches, parent_of)
    return renumbered(parted, len(parent_of))


def nearest_child(particles: Vectors, references: Tensor, band: Band, matches: Matches, parent_of: Tensor) -> Tensor:
    """The best division of each particle's parent, at the pose that it has; (n, 1) int64.

    ``references`` (classes, m) are the filtered averages of the divisions, ``matches`` (n, 1) hold parents.
    """
    families = [torch.nonzero(parent_of == k)[:, 0] for k in range(int(parent_of.max()) + 1)]
    widest = max(len(f) for f in families)
    table = torch.stack([f.repeat(-(-widest // len(f)))[:widest] for f in families])
    candidates = table[matches.classes[:, 0]]
    angle, shift_x, shift_y = (f.expand(-1, widest).clone() for f in matches.pose())
    spread = Matches(candidates, angle, shift_x, shift_y, torch.zeros_like(angle))
    level = Level(DIVISION_STEP_DEG, 1.0, band.radius)
    return refine(particles.narrowed(band.radius), references, band, level, spread, around=0).best(1).classes


def nearest_together(particles: Vectors, references: Tensor, matches: Matches, parent_of: Tensor) -> Tensor:
    """The same with the particles divided over the ranks, on their own band."""
    mine = ranks.part(len(particles))
    near = nearest_child(particles.rows(mine), references, particles.band, matches.rows(mine), parent_of)
    return ranks.gathered_tensor(near, np.arange(mine.start, mine.stop))


def _lower_half(features: Tensor, start: Tensor) -> Tensor:
    centred = features - features.mean(0)
    _, direction = leading_direction(centred, start)
    order = torch.argsort(centred @ direction)
    lower = torch.zeros(len(features), dtype=torch.bool, device=features.device)
    lower[order[: len(features) // 2]] = True
    return lower
