"""The fewest classes that explain the particles: copies and leftovers are taken out.

Hard assignment keeps classes that show nothing of their own: a copy of another class, or one of misaligned particles,
still fits a few particles by chance.  What a class is worth is what its members would lose in their
second-best class; what it costs is the noise that its average could fit.  Copies that have grown apart, each
with members that suit its noise, may be worth as much as a view that is not complete yet: what gives them away is
that their averages agree (:mod:`.duplicates`).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ...alignment.matches import Matches
from ...averaging.class_averages import Averages
from ...fourier.band import Band
from ...fourier.ring_correlation import wiener_shrinkage
from .duplicates import DuplicatePair

WORTH = 0.75
"""Least loss, per degree of freedom of the average, that a class must be worth, own noise subtracted.

At signal-to-noise ratios of 0.005 and 0.01 views were worth 2 and more, a view of which a third of the members was
found 0.8 to 1.4, and copies up to 1.9.
"""
WORTH_OF_VIEW = 2.0
"""The same, where averages agree: of two views that look alike both are worth as much."""
LEAST_FREEDOM = 20.0


def degrees_of_freedom(average: Averages, band: Band) -> Tensor:
    """Real numbers that each average estimates from its particles, as far as its FRC says that it does, (k,)."""
    return 2 * band.compared(wiener_shrinkage(average.frc))[:, band.ring].sum(1)


def class_scores(matches: Matches, classes: int) -> Tensor:
    """Best score of each particle in each class, (n, classes).

    A class that the search did not keep fits no better than the worst that it kept; it gets that score, and 0 at most,
    that of an empty reference.
    """
    scores = torch.full((len(matches), classes), -torch.inf, device=matches.score.device)
    scores = scores.scatter_reduce_(1, matches.classes, matches.score, "amax")
    missing = scores.isinf()
    least = scores.masked_fill(missing, torch.inf).amin(1, keepdim=True).clamp_max(0)
    return torch.where(missing, least, scores)


def worthless(scores: Tensor, freedom: Tensor, most: int) -> Tensor:
    """Which classes go: backward elimination of the least worth, (classes,) bool.

    Parameters
    ----------
    scores : Tensor
        From :func:`class_scores`, of matches :func:`.self_noise.without_self_noise`.
    freedom : Tensor
        Of :func:`degrees_of_freedom`, (classes,).
    most : int
        Classes that may stay, however much each is worth.
    """
    gone = torch.zeros_like(freedom, dtype=torch.bool)
    for stay in range(len(gone), 1, -1):
        least = worth(scores, freedom, gone).min(0)
        value, k = torch.stack((least.values.double(), least.indices.double())).tolist()
        if value > WORTH and stay <= most:
            break
        gone[int(k)] = True
    return gone


def redundant(scores: Tensor, freedom: Tensor, gone: Tensor, alike: Sequence[DuplicatePair]) -> Tensor:
    """The same classes that go (k,) and of each pair of averages that agree the lesser, unless it is worth a view."""
    gone, known = gone.clone(), gone.tolist()
    for pair in alike:
        if not (known[pair.first] or known[pair.second]):
            value = worth(scores, freedom, gone)
            one, other = torch.stack((value[pair.first], value[pair.second])).tolist()
            least, lesser = min((one, pair.first), (other, pair.second))
            gone[lesser] = known[lesser] = least < WORTH_OF_VIEW
    return gone


def worth(scores: Tensor, freedom: Tensor, gone: Tensor) -> Tensor:
    """What the members of each class (k,) would lose elsewhere, per degree of freedom; inf for those that are gone."""
    top, index = scores.masked_fill(gone, -torch.inf).topk(2, dim=1)
    loss = torch.zeros_like(freedom).index_add_(0, index[:, 0], top[:, 0] - top[:, 1])
    return torch.where(gone, torch.inf, loss / freedom.clamp_min(LEAST_FREEDOM))


def without_classes(matches: Matches, gone: Tensor) -> Matches:
    """The matches (n, kept) with -inf for classes that go, (k,) bool.

    A particle whose matches all go joins the largest class that stays, in its pose, with the score 0 of an empty
    reference.
    """
    left = matches.clone()
    left.score = matches.score.masked_fill(gone[matches.classes], -torch.inf)
    lost = left.score.isinf().all(1)
    stay = torch.bincount(left.best(1).classes[~lost, 0], minlength=len(gone)).masked_fill(gone, -1)
    left.classes[lost] = stay.argmax()
    left.score[lost, 0] = 0.0
    return left
