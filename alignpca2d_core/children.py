"""From the distinct classes found to the number asked for: the largest are divided, their poses kept."""

from __future__ import annotations

import heapq

import torch
from torch import Tensor

from .classes import filtered
from .discovery import LEAST_SPLIT, Scope, find_splits, renumbered
from .fourier import Band
from .poses import Level
from .preprocess import Vectors
from .search import Matches, refine
from .splitting import aligned_residuals, leading_direction

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
    child = matches.classes[:, 0].clone()
    parent_of = list(range(parents))
    mean = scope.average(matches, parents).mean if parents < classes else None
    features: dict[int, Tensor] = {}
    members = {k: torch.nonzero(child == k)[:, 0] for k in range(parents)}

    def place(k: int) -> tuple[float, int]:
        return -len(members[k]) if parent_of[k] != whole else -min(1.5, len(members[k])), k

    heap = [place(k) for k in members]
    heapq.heapify(heap)
    while len(parent_of) < classes:
        _, k = heapq.heappop(heap)
        if k not in features:
            assert mean is not None
            rows = members[k]
            features[k] = aligned_residuals(scope.particles.rows(rows), matches.rows(rows), mean[k], scope.mask)
        lower = _lower_half(features[k], generator)
        new = len(parent_of)
        parent_of.append(parent_of[k])
        members[new], features[new] = members[k][lower], features[k][lower]
        members[k], features[k] = members[k][~lower], features[k][~lower]
        child[members[new]] = new
        for one in (k, new):
            heapq.heappush(heap, place(one))
    return child, torch.tensor(parent_of, device=child.device)


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
            average = filtered(scope.average(parted, len(parent_of)), scope.particles.band)
            parted.classes = nearest_child(scope.particles, average, scope.particles.band, matches, parent_of)
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


def _lower_half(features: Tensor, generator: torch.Generator) -> Tensor:
    centred = features - features.mean(0)
    _, direction = leading_direction(centred, generator)
    order = torch.argsort(centred @ direction)
    lower = torch.zeros(len(features), dtype=torch.bool, device=features.device)
    lower[order[: len(features) // 2]] = True
    return lower
