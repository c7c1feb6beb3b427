"""Classes that were found as distinct and are not: averages that agree as well as their noise lets two averages agree.

Each average is an estimate x = s + n.  With the share of signal that the FRC of its halves states, ring by ring,
one knows how strongly two averages of the same view would correlate at their best pose.  The agreement of two
classes is their correlation over that: 1 for copies whatever their noise, and less where the signals differ.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ...alignment.exhaustive_search import exhaustive
from ...alignment.fourier_pca import FourierPCA
from ...alignment.local_search import refine
from ...alignment.matches import Matches
from ...alignment.search_grids import Schedule
from ...averaging.class_averages import Averages, filtered
from ...fourier.band import Band
from ...fourier.ring_correlation import wiener_shrinkage
from ...preprocessing.preprocess import Vectors

TOLERANCE = 0.02
"""Agreement that the grid's last step and unlike masks and CTFs cost: copies of well-resolved views reach 0.98."""
DEVIATIONS = 3.0
LEAST_TELLING = 0.1
"""Where three standard errors are more than this, copies cannot be told from views that look alike."""
NEAREST = 3
"""Other classes that each class is compared with in full."""
POSES_PER_CLASS = 4
"""Times the rotations of a class that are kept of the first grid, so that those of a class itself do not fill it."""


@dataclass(frozen=True)
class DuplicatePair:
    """Two classes, by number from 0, and their agreement."""

    first: int
    second: int
    agreement: float


def find_duplicates(average: Averages, band: Band, schedule: Schedule, basis: FourierPCA) -> list[DuplicatePair]:
    """Pairs of classes (k) that show the same view as far as their noise lets one tell, the clearest first.

    Parameters
    ----------
    average : Averages
        Of distinct classes; those without reproducible signal are compared with none.
    band : Band
    schedule : Schedule
    basis : FourierPCA
        Of the schedule's first grid.
    """
    share = band.compared(wiener_shrinkage(average.frc))
    images = filtered(average, band)
    length = images.abs().square().sum(1).sqrt()
    held = torch.nonzero((length > 0) & (share.amax(1) > 0))[:, 0]
    if len(held) < 2:
        return []
    found = nearest(images[held] / length[held, None], band, schedule, basis)
    first, second = held[:, None].expand_as(found.classes), held[found.classes]
    agreement, error = _Estimate(average, share, length, band).agreement(first, second, found.score)
    telling = (found.score > -torch.inf) & (DEVIATIONS * error < LEAST_TELLING)
    alike = telling & (agreement + DEVIATIONS * error > 1 - TOLERANCE)
    pairs: dict[tuple[int, int], DuplicatePair] = {}
    columns = torch.minimum(first, second), torch.maximum(first, second), agreement, alike
    for i, j, agreeing, same in torch.stack([one.flatten().double() for one in columns], 1).tolist():
        if same:
            pairs.setdefault((int(i), int(j)), DuplicatePair(int(i), int(j), agreeing))
    return sorted(pairs.values(), key=lambda pair: -pair.agreement)


def nearest(images: Tensor, band: Band, schedule: Schedule, basis: FourierPCA) -> Matches:
    """The most similar other images of each (k, m) of length 1: their numbers and correlations, (k, nearest)."""
    # Without a penalty for their power the scores of vectors of length 1 are correlations.
    vectors = Vectors(images, torch.zeros(len(images), band.rings, device=images.device), band)
    first = exhaustive(vectors, images, schedule, basis, POSES_PER_CLASS * schedule.exhaustive.searched)
    matches = first.of_distinct_classes()
    itself = torch.arange(len(images), device=images.device)[:, None]
    matches.score = matches.score.masked_fill(matches.classes == itself, -torch.inf)
    matches = matches.best(NEAREST)
    for level in schedule.local:
        matches = refine(vectors, images, band, level, matches)
    return matches


class _Estimate:
    """What the FRCs of averages say of their signal and noise."""

    def __init__(self, average: Averages, share: Tensor, length: Tensor, band: Band) -> None:
        power = band.ring_sum(average.mean.abs().square())
        self.share, self.length = share, length
        self.signal, self.noise = power * share, power * (1 - share)
        # Real numbers on each ring, two for each coefficient.
        self.numbers = 2 * band.ring_sizes

    def agreement(self, i: Tensor, j: Tensor, correlation: Tensor) -> tuple[Tensor, Tensor]:
        """Correlations (...) of averages i and j (...) over what two of one view would have; standard errors (...)."""
        weight = self.share[i] * self.share[j]
        s, t, n, m = self.signal[i], self.signal[j], self.noise[i], self.noise[j]
        lengths = self.length[i] * self.length[j]
        expected = (weight * (s * t).sqrt()).sum(-1) / lengths
        variance = (weight.square() * (s * m + t * n + n * m) / self.numbers).sum(-1) / lengths**2
        known = expected > 0
        return (
            torch.where(known, correlation / expected, 0.0),
            torch.where(known, variance.sqrt() / expected, torch.inf),
        )
