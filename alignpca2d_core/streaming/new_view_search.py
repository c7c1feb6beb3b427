"""Views that come up in mid-stream: found among recent particles, given classes of their own.

A stream's classes are made from its first particles.  When later ones fit them worse, or the set has grown much,
recent particles go through the rounds that stage 1 ends with: classes that hold more than one view are split, and
what explains nothing is pruned.  A split that stays is a view that was not there.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..alignment.matches import Matches
from ..averaging.class_averages import filtered, pick_offsets, recentre
from ..averaging.noise_scores import CLEAR, matched_filter_ratio
from ..averaging.templates import Templates
from ..classification.discovery.discovery import Discovery
from ..classification.discovery.initialization import Sweep
from ..preprocessing.preprocess import Vectors
from .running_classes import RunningClasses

MOST_ROUNDS = 4
LEAST_MEMBERS = 30


@dataclass
class NewViewSearch:
    """Views among a sample of particles that the classes do not have.

    Attributes
    ----------
    members : list of Tensor
        Positions in the sample, one tensor for each view, the largest first.
    matches : Matches
        Poses of the whole sample, (n, 1); of members in a frame that suits the search.
    """

    members: list[Tensor]
    matches: Matches


def find_new_views(classes: RunningClasses, particles: Vectors, halves: Tensor, seed: int) -> NewViewSearch:
    """Split what holds more than one view among particles (n); halves (n,) are 0 or 1."""
    method = classes.method
    known = classes.locate(particles, classes.references()).best(1)
    sweep = Sweep.make(particles, halves, method.schedule, classes.basis, method.mask_shape)
    chance = torch.Generator().manual_seed(seed)
    search = Discovery(particles, sweep, method.mask_shape, 2 * len(classes), chance, method.inside())
    earlier = len(classes.views)
    matches, views = known.clone(), earlier
    for _ in range(MOST_ROUNDS):
        matches, wider = search.divide(matches, views)
        if wider == views:
            break
        matches, views = search.prune(matches, wider)
    matches = matches.best(1)
    fresh = without_predecessor(known.classes[:, 0], matches.classes[:, 0], earlier, views)
    offsets = pick_offsets(matches, views)
    kept = torch.zeros_like(offsets)
    kept[fresh] = offsets[fresh]
    matches = recentre(search.coarse.sums(matches, views), matches, kept, search.coarse.particles.band)[1]
    members = [torch.nonzero(matches.classes[:, 0] == k)[:, 0] for k in fresh]
    clear = [rows for rows in members if len(rows) >= LEAST_MEMBERS and stands_out(classes, search, rows, matches)]
    return NewViewSearch(sorted(clear, key=len, reverse=True), matches)


def without_predecessor(before: Tensor, after: Tensor, earlier: int, views: int) -> list[int]:
    """Which of the new numbers (0 to views) do not continue one of the old (0 to earlier), by members (n,) each."""
    table = torch.zeros(earlier, views).index_put_((before.cpu(), after.cpu()), torch.tensor(1.0), accumulate=True)
    continuing: set[int] = set()
    for _ in range(min(earlier, views)):
        best = int(table.argmax())
        old, new = divmod(best, views)
        if table[old, new] <= 0:
            break
        continuing.add(new)
        table[old] = -1.0
        table[:, new] = -1.0
    return [number for number in range(views) if number not in continuing and bool((after == number).any())]


def stands_out(classes: RunningClasses, search: Discovery, rows: Tensor, matches: Matches) -> bool:
    """Whether most members (rows of the sample) of a view fit its average clearly better than noise would."""
    members, own = search.middle.rows(rows), matches.rows(rows)
    own.classes = torch.zeros_like(own.classes)
    particles = members.particles
    average = members.average(own, 1)
    templates = Templates.of(filtered(average, particles.band), average, particles.band)
    ratio = matched_filter_ratio(particles, templates, classes.method.schedule.final, own)
    return float(classes.noise_scores.normal(ratio).median()) >= CLEAR
