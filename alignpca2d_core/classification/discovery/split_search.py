"""Classes of a sample that hold more than one view, and how their members divide."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ...alignment.matches import Matches
from ...averaging.band_sample import BandSample
from ...runtime import distributed
from .residual_pca import Split, random_subspace, split, turned_residuals

MIXED = 1.15
"""Eigenvalue ratio (see splitting.Split) above which a class holds more than one view."""
LEAST_SPLIT = 30
LEAST_CHILD = 8


def find_splits(
    scope: BandSample, matches: Matches, classes: int, least: int, generator: torch.Generator
) -> list[tuple[Tensor, Split]]:
    """Members of each class that holds more than one view, and how they divide; the clearest first.

    Classes of fewer than ``least`` members are taken as they are.  The others are divided over the distributed.
    """
    average = scope.average_together(matches, classes)
    members = [torch.nonzero(matches.classes[:, 0] == k)[:, 0] for k in range(classes)]
    large = [k for k in range(classes) if len(members[k]) >= least]
    # Drawn for all classes: the random numbers of the ranks stay in step.
    chances = [Chance.drawn(len(members[k]), 2 * average.mean.shape[1], generator) for k in large]
    ratio = torch.zeros(len(large), dtype=torch.float64, device=average.mean.device)
    second = torch.zeros(len(matches), dtype=torch.bool, device=average.mean.device)
    for i in distributed.dealt([len(members[k]) for k in large]):
        rows = members[large[i]]
        division = divided_in_two(scope, rows, matches.rows(rows), average.mean[large[i]], chances[i])
        ratio[i], second[rows] = division.ratio, division.second
    ratio, second = distributed.total_tensor(ratio), distributed.total_tensor(second)
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


def divided_in_two(scope: BandSample, rows: Tensor, poses: Matches, mean: Tensor, chance: Chance) -> Split:
    """How the members (n,) of one class, at their poses, differ from its mean (m,) along one direction."""
    turns = chance.turns.to(rows.device) * (2 * torch.pi)
    features, others = turned_residuals(scope.particles.rows(rows), poses, mean, scope.mask, turns)
    return split(features, others, chance.starts)


def is_mixed(division: Split) -> bool:
    """Whether a class holds more than one view."""
    smaller = min(int(division.second.sum()), int((~division.second).sum()))
    return division.ratio > MIXED and smaller >= LEAST_CHILD
