"""Classes of a sample that hold more than one view, and how their members divide."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...alignment.matches import Matches
from ...averaging.band_sample import BandSample
from ...runtime import distributed
from ...runtime.memory import in_pieces, tile_bytes
from .bisection import Halves, bisected, random_subspace
from .residual_pca import turned_residuals

MIXED = 1.15
"""Eigenvalue ratio (see :class:`.bisection.Halves`) above which a class holds more than one view."""
LEAST_SPLIT = 30
LEAST_CHILD = 8
HALVED_BYTES = 8 * 2**20
"""Residuals and products of the classes that are divided at once on a CPU."""


@dataclass(frozen=True)
class Splits:
    """Classes that hold more than one view.

    Attributes
    ----------
    classes : list of int
        Their numbers, the clearest first.
    second : Tensor
        Which particles belong to the second child of their class, (n,) bool.
    """

    classes: list[int]
    second: Tensor

    def first(self, most: int) -> Splits:
        """The clearest ``most`` of them."""
        return Splits(self.classes[: max(0, most)], self.second)

    def carried_out(self, label: Tensor, classes: int) -> Tensor:
        """New classes of particles in classes (n,); second children get the numbers from ``classes`` on."""
        table = torch.full((classes,), -1, dtype=label.dtype)
        table[self.classes] = torch.arange(classes, classes + len(self.classes))
        child = table.to(label.device)[label]
        return torch.where(self.second & (child >= 0), child, label)


def find_splits(
    band_sample: BandSample, matches: Matches, classes: int, least: int, generator: torch.Generator
) -> Splits:
    """The classes of particles (n) that hold more than one view, and how they divide.

    Classes of fewer than ``least`` members are taken as they are.  The others are divided over the ranks.
    """
    average, label = band_sample.average_together(matches, classes), matches.classes[:, 0]
    sizes = torch.bincount(label, minlength=classes)
    members = Members(torch.argsort(label, stable=True), sizes.tolist())
    large = [k for k, size in enumerate(members.sizes) if size >= least]
    # Drawn for all classes: the random numbers of the ranks stay in step.
    chances = dict(zip(large, (Chance.drawn(members.sizes[k], average.mean, generator) for k in large), strict=True))
    ratio = torch.zeros(classes, device=label.device)
    second = torch.zeros(len(label), dtype=torch.bool, device=label.device)
    mine = [large[i] for i in distributed.dealt([members.sizes[k] for k in large])]
    for piece in pieces(mine, members.sizes, 2 * average.mean.shape[1], tile_bytes(label.device, HALVED_BYTES)):

        def divide(part: slice, piece: list[int] = piece) -> None:
            some = piece[part]
            rows = members.rows(some)
            chance = Chance.join(chances, some)
            halves, place = divided_in_two(band_sample, rows, matches.rows(rows), average.mean, chance)
            ratio[some], second[rows] = halves.ratio, halves.second.flatten()[place]

        in_pieces(divide, len(piece), len(piece))
    ratio, second = distributed.total_tensor(ratio), distributed.total_tensor(second)
    child = torch.zeros_like(ratio).index_add_(0, label, second.float())
    mixed = (ratio > MIXED) & (torch.minimum(child, sizes - child) >= LEAST_CHILD)
    clearness = torch.where(mixed, ratio, 0.0).tolist()
    return Splits(sorted((k for k in large if clearness[k] > 0), key=lambda k: -clearness[k]), second)


@dataclass(frozen=True)
class Members:
    """Particles class by class: ``order`` (n,), and how many there are in each class."""

    order: Tensor
    sizes: list[int]

    def rows(self, classes: Sequence[int]) -> Tensor:
        """The members of some classes, one class after the other."""
        parts = self.order.split(self.sizes)
        return torch.cat([parts[k] for k in classes])


def pieces(classes: Sequence[int], sizes: Sequence[int], features: int, most: int) -> Iterator[list[int]]:
    """Classes of about the same size, as many at once as ``most`` bytes of residuals and products allow."""
    piece: list[int] = []
    for k in sorted(classes, key=lambda k: -sizes[k]):
        widest = sizes[piece[0]] if piece else sizes[k]
        if piece and (len(piece) + 1) * 8 * widest * (features + widest) > most:
            yield piece
            piece = []
        piece.append(k)
    if piece:
        yield piece


@dataclass(frozen=True)
class Chance:
    """Random numbers for classes (k) of n members in all.

    Attributes
    ----------
    sizes : list of int
        Members of each class.
    turns : Tensor
        Shares of a whole turn, (n,).
    starts : Tensor
        Two subspaces to begin with for each class, (k, 2, features, s).
    """

    sizes: list[int]
    turns: Tensor
    starts: Tensor

    @staticmethod
    def drawn(count: int, mean: Tensor, generator: torch.Generator) -> Chance:
        """For one class of so many members, with means (classes, m)."""
        turns, features = torch.rand(count, generator=generator), 2 * mean.shape[1]
        starts = torch.stack([random_subspace(features, generator) for _ in range(2)])
        return Chance([count], turns, starts[None])

    @staticmethod
    def join(chances: dict[int, Chance], classes: Sequence[int]) -> Chance:
        """Of some classes, by number."""
        parts = [chances[k] for k in classes]
        sizes = [size for part in parts for size in part.sizes]
        return Chance(sizes, torch.cat([one.turns for one in parts]), torch.cat([one.starts for one in parts]))


def divided_in_two(
    band_sample: BandSample, rows: Tensor, poses: Matches, means: Tensor, chance: Chance
) -> tuple[Halves, Tensor]:
    """How the members (n,) of classes (k), at their poses, differ from the means (classes, m) along one direction.

    Returns also the place of each member among k · most rows, (n,).
    """
    most, count = max(chance.sizes), len(chance.sizes)
    # Class after class, each filled up to as many rows as the largest has.
    before = [k * most - sum(chance.sizes[:k]) for k in range(count)]
    filled = torch.repeat_interleave(torch.tensor(before), torch.tensor(chance.sizes)) + torch.arange(len(rows))
    place = filled.to(rows.device)
    turns = chance.turns.to(rows.device) * (2 * torch.pi)
    found = turned_residuals(band_sample.particles.rows(rows), poses, means, band_sample.mask, turns)
    present = torch.zeros(count * most, dtype=torch.bool, device=rows.device)
    present[place] = True
    full = [one.new_zeros(count * most, one.shape[1]).index_copy_(0, place, one) for one in found]
    own, turned = (one.view(count, most, -1) for one in full)
    return bisected(own, turned, present.view(count, most), chance.starts.to(rows.device)), place
