"""How likely each particle is junk, and the particles to leave out for a set with little of it.

Junk that ends in classes of particles is mostly aggregates, which hold particles; its score tells nothing, but its
misfit is large.  How many there are differs from set to set more than anything that the particles show.  Those that
were found tell of those that were not: N images whose misfit is far beyond the usual, and which are clear of noise all
the same.  The fainter the particles, whose median score is S, the fewer are found.  With u the logarithm of the misfit
in deviations from its median, over the n particles of classes that are not junk, and s the score between 0 and 3,

    log odds of junk = log((N + 1) / (n·S)) + a + b·u − c·s.

The numbers are from simulated sets whose junk is known; docs/benchmarks/junk says which, and how well they do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..averaging.noise_scores import CLEAR
from ..classification.junk_limits import FAR_MISFIT, QUARTILE
from ..results.class_quality import JUNK
from ..results.result_files import Classification

FloatArray = NDArray[np.float64]
CONSTANT, PER_DEVIATION, PER_SCORE = 4.24, 1.28, 1.19
"""a to c of the equation above."""
BETWEEN_SETS = 0.8
"""Deviation, from set to set, of the junk that there is over that which is expected."""
ONE_SIDED = 1.645
"""Deviations that a value exceeds in one of twenty cases."""
LEAST_MISFIT, LEAST_USUAL = 1e-3, 1.0


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
    lost, most_lost : float
        Share of the real particles that is expected to be left out, and that which is exceeded in one of twenty sets.
    """

    kept: NDArray[np.bool_]
    share: float
    most: float
    lost: float
    most_lost: float


@dataclass(frozen=True)
class Figures:
    """What tells of junk.

    Attributes
    ----------
    far, clear : (n,)
        u and s of the equation above.
    prior : float
        Its first term.
    """

    far: FloatArray
    clear: FloatArray
    prior: float


def figures(misfit: NDArray[Any], score: NDArray[Any], among: NDArray[np.bool_]) -> Figures:
    """What tells of junk among n particles.

    Parameters
    ----------
    misfit, score : (n,)
    among : (n,) bool
        The particles of classes that are not junk: they say what is usual.
    """
    logarithm = np.log(np.asarray(misfit, dtype=np.float64).clip(LEAST_MISFIT))
    middle, upper = np.quantile(logarithm[among], [0.5, 0.75])
    far = (logarithm - middle) / max((upper - middle) / QUARTILE, LEAST_MISFIT)
    found = int(((far > FAR_MISFIT) & (score >= CLEAR)).sum())
    usual = max(float(np.median(score[among])), LEAST_USUAL)
    prior = float(np.log((found + 1) / (among.sum() * usual)))
    return Figures(far, score.astype(np.float64).clip(0.0, CLEAR), prior)


def junk_probability(
    misfit: NDArray[Any],
    score: NDArray[Any],
    among: NDArray[np.bool_],
    numbers: Sequence[float] = (CONSTANT, PER_DEVIATION, PER_SCORE),
) -> FloatArray:
    """Probability that each of n particles is junk, (n,).

    Parameters
    ----------
    misfit, score, among : (n,)
        See :func:`figures`.
    numbers : (3,)
        a, b and c of the equation above.
    """
    shown, (constant, per_deviation, per_score) = figures(misfit, score, among), numbers
    odds = shown.prior + constant + per_deviation * shown.far - per_score * shown.clear
    return np.asarray(0.5 + 0.5 * np.tanh(odds / 2))


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
    lost = max(1.0 - float(real[kept].sum() / real.sum().clip(1e-30)), 0.0)
    most_lost = lost + ONE_SIDED * np.sqrt(lost * (1.0 - lost) / real.sum().clip(1.0))
    share, bounded = (float(one[count - 1]) if count else 0.0 for one in (expected / number, bound))
    return Thinned(kept, share, bounded, lost, float(most_lost))
