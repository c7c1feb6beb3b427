"""How likely each particle is junk, and the particles to leave out for a set with little of it.

Junk that ends in classes of particles is mostly aggregates, which hold particles; its score tells nothing, but its
misfit is large.  With u the logarithm of the misfit in deviations from its median, over the particles of classes that
are not junk, and s the score between 0 and 3,

    log odds of junk = a + b·u + c·max(u, 0)² − d·s.

The four numbers are from simulated sets whose junk is known; docs/choosing says which, and how well they do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..averaging.noise_scores import CLEAR
from ..classification.junk_separation import QUARTILE
from ..results.class_quality import JUNK
from ..results.result_files import Classification

FloatArray = NDArray[np.float64]
CONSTANT, PER_DEVIATION, PER_SQUARE, PER_SCORE = -0.25, 0.61, 0.32, 1.66
"""a to d of the equation above."""
BETWEEN_SETS = 0.5
"""Deviation, from set to set, of the junk that there is over that which is expected."""
ONE_SIDED = 1.645
"""Deviations that a value exceeds in one of twenty cases."""
LEAST_MISFIT = 1e-3


@dataclass(frozen=True)
class Thinned:
    """Particles that are left.

    Attributes
    ----------
    kept : (n,) bool
    share : float
        Of junk that is expected among them.
    most : float
        That which is exceeded in one of twenty sets.
    lost : float
        Share of the real particles that is expected to be left out.
    """

    kept: NDArray[np.bool_]
    share: float
    most: float
    lost: float


def junk_probability(misfit: NDArray[Any], score: NDArray[Any], among: NDArray[np.bool_]) -> FloatArray:
    """Probability that each of n particles is junk, (n,).

    Parameters
    ----------
    misfit, score : (n,)
    among : (n,) bool
        The particles of classes that are not junk: their misfits say what is usual.  Of others it tells little.
    """
    logarithm = np.log(np.asarray(misfit, dtype=np.float64).clip(LEAST_MISFIT))
    middle, upper = np.quantile(logarithm[among], [0.5, 0.75])
    far = (logarithm - middle) / max((upper - middle) / QUARTILE, LEAST_MISFIT)
    clear = score.astype(np.float64).clip(0.0, CLEAR)
    odds = CONSTANT + PER_DEVIATION * far + PER_SQUARE * far.clip(0) ** 2 - PER_SCORE * clear
    return np.asarray(1.0 / (1.0 + np.exp(-odds)))


def in_other_classes(result: Classification, verdicts: Sequence[str | None]) -> NDArray[np.bool_]:
    """Which particles are in classes that are not junk by these verdicts; in any where there are no verdicts."""
    good = np.array([verdict != JUNK for verdict in verdicts or [None] * len(result)])
    return np.asarray((result.assignments >= 0) & good[result.assignments])


def without_misfit(result: Classification, among: NDArray[np.bool_]) -> int:
    """How many particles among some (n,) have no misfit: results of earlier versions have kept none."""
    return int(among.sum() if result.misfit is None else (result.misfit[among] <= 0).sum())


def junk_of_classes(result: Classification, verdicts: Sequence[str | None]) -> list[float | None] | None:
    """The share of each class that is expected to be junk, ``None`` for junk; or ``None`` where misfits are lacking."""
    among = in_other_classes(result, verdicts)
    if result.misfit is None or not among.any() or without_misfit(result, among):
        return None
    probability = junk_probability(result.misfit, result.score, among)
    held, total = (np.bincount(result.assignments[among], one, len(result)) for one in (None, probability[among]))
    return [float(part / count) if count else None for part, count in zip(total, held, strict=True)]


def thinned(probability: FloatArray, chosen: NDArray[np.bool_], most: float) -> Thinned:
    """Leave out the likeliest junk until the rest holds at most a share of it, in 19 of 20 sets.

    Parameters
    ----------
    probability : (n,)
        Of being junk.
    chosen : (n,) bool
        The particles to take from.
    most : float
        The share.
    """
    order = np.flatnonzero(chosen)[np.argsort(probability[chosen], kind="stable")]
    expected, number = np.cumsum(probability[order]), np.arange(1, len(order) + 1)
    # That of single particles, which is Poisson's, and that of the sets.
    deviation = np.sqrt(BETWEEN_SETS**2 + 1.0 / expected.clip(1e-9))
    bound = expected * (1.0 + ONE_SIDED * deviation) / number
    within = np.flatnonzero(bound <= most)
    count = int(within[-1]) + 1 if len(within) else 0
    kept = np.zeros(len(probability), dtype=bool)
    kept[order[:count]] = True
    real = (1.0 - probability) * chosen
    lost = 1.0 - float(real[kept].sum() / real.sum().clip(1e-30))
    share, bounded = (float(one[count - 1]) if count else 0.0 for one in (expected / number, bound))
    return Thinned(kept, share, bounded, lost)
