"""The fewest classes that explain the particles: copies and leftovers are taken out.

Hard assignment lets a class live on noise: a copy of another class, or one that gathers what was misaligned,
still fits a few particles by chance.  What a class is worth is what its members would lose in their
second-best class; what it costs is the noise that its average could fit.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .classes import Averages
from .fourier import Band
from .matches import Matches
from .resolution import wiener_shrinkage

WORTH = 0.75
"""Least loss, per degree of freedom of the average, that a class must be worth, nobody finding its own noise.

At signal-to-noise ratios of 0.005 and 0.01 views were worth 2 and more, a view of which a third of the members was
found 0.8 to 1.4, and copies up to 1.2: those that cannot be told from a view to be stay, and divide one view.
"""


def degrees_of_freedom(average: Averages, band: Band) -> Tensor:
    """Real numbers that each average estimates from its particles, as far as its FRC says that it does, (k,)."""
    return 2 * wiener_shrinkage(average.frc)[:, band.ring].sum(1)


def class_scores(matches: Matches, classes: int) -> Tensor:
    """Best score of each particle in each class (n, classes); -inf where the search did not keep the class."""
    scores = torch.full((len(matches), classes), -torch.inf, device=matches.score.device)
    return scores.scatter_reduce_(1, matches.classes, matches.score, "amax")


def worthless(scores: Tensor, freedom: Tensor, most: int) -> Tensor:
    """Which classes go: backward elimination of the least worth, (classes,) bool.

    Parameters
    ----------
    scores : Tensor
        From :func:`class_scores`, of matches :func:`.own_noise.without_own`; changed in place.
    freedom : Tensor
        Of :func:`degrees_of_freedom`, (classes,).
    most : int
        Classes that may stay, however much each is worth.
    """
    classes = scores.shape[1]
    gone = torch.zeros(classes, dtype=torch.bool, device=scores.device)
    floor = scores.masked_fill(torch.isinf(scores), torch.inf).amin(1, keepdim=True)
    scores = torch.where(torch.isinf(scores), floor.clamp_max(0), scores)
    for _ in range(classes - 1):
        top, index = scores.topk(2, dim=1)
        loss = torch.zeros(classes, device=scores.device).index_add_(0, index[:, 0], top[:, 0] - top[:, 1])
        value = torch.where(gone, torch.inf, loss / freedom.clamp_min(20.0))
        least = int(value.argmin())
        if value[least] > WORTH and int((~gone).sum()) <= most:
            break
        gone[least] = True
        scores[:, least] = -torch.inf
    return gone


def rehoused(matches: Matches, gone: Tensor) -> Matches:
    """The matches (n, kept) with -inf for classes that go, (k,) bool; who is left without goes as it is to the largest.

    Score 0, that of an empty reference, is what these have there.
    """
    left = matches.clone()
    left.score = matches.score.masked_fill(gone[matches.classes], -torch.inf)
    lost = left.score.isinf().all(1)
    stay = torch.bincount(left.best(1).classes[~lost, 0], minlength=len(gone)).masked_fill(gone, -1)
    left.classes[lost] = stay.argmax()
    left.score[lost, 0] = 0.0
    return left
