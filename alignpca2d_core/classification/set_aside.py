"""What a classification has set aside, classified again on its own; and what comes back joined to it.

Among all particles, those of a rare view are few beside the others: they may share a class with noise, or be set aside
one by one as strays.  On their own they are many enough to be found.  They are seen as before: whitening and CTF are
those that the whole set has taught, since junk would teach other ones.
"""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..alignment.matches import Matches, without_empty_classes
from ..averaging.class_averages import BinnedSums, ClassSums
from ..runtime.progress import Progress
from .classifier import Classifier
from .discovery.initialization import Sweep

PER_CLASS, LEAST_LOOKED_AT = 50, 100
"""Particles that were set aside for each class that is looked for, and below which they are not looked at."""


class SetAside(Classifier):
    """Classes of particles that another classification has set aside.

    Parameters
    ----------
    before : Classifier
        That has been fitted.
    rows : (n,) int64 array
        Of its source, ascending.
    classes : int
        At most.
    """

    SCALES = False
    """They stay as they are known."""

    def __init__(self, before: Classifier, rows: NDArray[np.int64], classes: int) -> None:
        settings = replace(before.settings, classes=classes, references=None, initial_particles=None)
        quiet = Progress(quiet=True, stream=io.StringIO())
        super().__init__(settings, before.source.among(rows), before.band, before.mask_shape, quiet)

    def noise_in(self, sweep: Sweep, matches: Matches, views: int) -> Tensor:
        """As before."""
        return torch.ones(self.band.rings, device=self.band.device)

    def divided(self, matches: Matches, refined: Matches, noise: int | None) -> tuple[Matches, Tensor, int | None]:
        """The distinct views as they are: to divide them would not tell more particles from junk."""
        used = torch.unique(matches.classes)
        if noise is not None:
            noise = int((used < noise).sum())
        matches, views = without_empty_classes(matches, int(used[-1]) + 1)
        return matches, torch.arange(views, device=self.band.device), noise


def take_back(before: Classifier, tried: SetAside, returning: Tensor) -> int:
    """Let some classes (r,) of what was set aside join a classification, numbered after its own; how many particles.

    Other particles keep their class; averages of classes that lose members are those of the members that stay.
    """
    order, model = before.order(), before.model_
    count, device = len(model.view_of), returning.device
    number = torch.full((len(tried.model_.view_of),), -1, device=device)
    number[returning] = count + torch.arange(len(returning), device=device)
    label = number[tried.placement_.matches.classes[:, 0]]
    coming = torch.nonzero(label >= 0)[:, 0]
    rows = tried.members_.rows[coming.cpu().numpy()]
    places = torch.from_numpy(np.searchsorted(before.members_.rows, rows)).to(device)
    placement, found = before.placement_.clone(), tried.placement_.rows(coming).clone()
    found.matches.classes = label[coming][:, None]
    left = torch.unique(placement.matches.classes[places, 0])
    placement.put(places, found)
    before.placement_ = placement
    sums = _appended(model.sums, tried.model_.sums, returning)
    smaller = _sums_of(before, left)
    for name in ("total", "weight", "count"):
        getattr(sums, name)[:, left] = getattr(smaller, name)
    views = int(model.view_of.max()) + 1 + torch.arange(len(returning), device=device)
    before.model_ = replace(
        model,
        sums=sums,
        view_of=torch.cat((model.view_of, views)),
        offsets=torch.cat((model.offsets, tried.model_.offsets[returning])),
    )
    before.shown_ = before.model_.shown(before.members_, before.placement_.matches)
    before.ordered = torch.cat((order, number[returning]))
    _count(before, rows)
    return len(rows)


def _appended(sums: ClassSums, others: ClassSums, chosen: Tensor) -> ClassSums:
    """The sums of classes, and of some others behind them."""
    return ClassSums(
        torch.cat((sums.total, others.total[:, chosen]), 1),
        torch.cat((sums.weight, others.weight[:, chosen]), 1),
        torch.cat((sums.count, others.count[:, chosen]), 1),
    )


def _sums_of(classifier: Classifier, classes: Tensor) -> ClassSums:
    """The sums of the members that some classes (c,), ascending, have now."""
    matches, members = classifier.placement_.matches, classifier.members_
    inside = torch.isin(matches.classes[:, 0], classes)
    sums = BinnedSums(len(classes), classifier.band)
    for chosen, particles in members.batches(torch.nonzero(inside)[:, 0].cpu().numpy()):
        own = matches.rows(chosen)
        own.classes = torch.searchsorted(classes, own.classes)
        sums.add(particles, own, members.halves(chosen))
    return sums.total()


def _count(classifier: Classifier, rows: NDArray[np.int64]) -> None:
    """Rows are set aside no more."""
    source, separated = classifier.source, classifier.separated_
    sieved = int(source.sieved[rows].sum())
    source.sieved[rows] = False
    aside = max(0, separated.set_aside - (len(rows) - sieved))
    classifier.separated_ = replace(separated, sieved=separated.sieved - sieved, set_aside=aside)
