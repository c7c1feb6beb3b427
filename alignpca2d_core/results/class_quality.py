"""Whether a class is good, doubtful or junk, and the figures that this rests on.

Nothing here is fitted to a specimen.  A class is held against two things: noise, through the scores of its members
(:mod:`.noise_scores`), and the other classes of the same particles, through what most of them reach.

=================  =========================================================================================
``clear``          share of members that fit clearly better than noise would; not fooled by averages of noise
                   that was aligned to noise, whose halves agree
``strength``       mean score of the members over the usual one: low where views or poses are mixed
``detail``         resolution over what as many particles of the usual kind would reach: low for contamination,
                   which is strong and has no detail, and where views of faint particles are mixed
``bulk``           power of the average's coarsest rings over that of the usual class: high for ice crystals,
                   contaminants and edges of the film, which may have detail as well
=================  =========================================================================================

The quality is ``clear`` times the agreement of the halves (mean FRC over the band), from 0 to 1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..averaging.noise_scores import CLEAR
from ..fourier.ring_correlation import cutoff_ring
from ..settings import Settings

Floats = NDArray[np.float64]

GOOD, DOUBTFUL, JUNK = VERDICTS = "good", "doubtful", "junk"
LEAST_CLEAR, NOISE_CLEAR = 0.25, 0.1
"""A class is like noise if the share of its members that is clear of noise is below the first times the usual share, or
below the second: faint particles are not junk, and a set of nothing but noise has a usual share as well."""
FAINT_MEAN = 1.0
"""Mean score from which on a class is not like noise, however few of its members are clear of it: of one that is faint,
in thick ice for instance, few are.  On realistic sets classes that are mostly empty images had 0.03 at most."""
LEAST_DETAIL, USUAL_DETAIL = 0.5, 0.7
"""Less than the first is junk if it is strong or bulky too, else mixed; the second and :data:`USUAL_CLEAR` and
:data:`USUAL_STRENGTH` make a class good."""
USUAL_CLEAR, USUAL_STRENGTH, STRONG = 0.8, 0.6, 2.0
LEAST_USUAL_CLEAR = 0.5
"""The least of a good class of faint particles: the first of those above is a share of what is usual."""
MOST_BULK, USUAL_BULK = 6.0, 3.0
"""More than the first is junk; the second is the most of a good class. On realistic sets views had 1.7 at most, classes
of junk 7.5 and more (docs/benchmarks)."""
BULK_RINGS = slice(1, 4)
MOST_CORRELATION = 0.999


@dataclass(frozen=True)
class ScoreMoments:
    """What is kept of the scores of the members of k classes: sums, so that batches of particles can be added.

    Attributes
    ----------
    count, total, square, clear : (k,) float64 arrays
        Members, the sum of their scores and of their squares, and how many are clear of noise.
    """

    count: Floats
    total: Floats
    square: Floats
    clear: Floats

    @staticmethod
    def of(score: Floats, classes: NDArray[np.int64], count: int) -> ScoreMoments:
        """Of scores (n,) and classes (n,) from 0."""
        weights = (np.ones(len(score)), score, score**2, (score >= CLEAR).astype(np.float64))
        return ScoreMoments(*(np.bincount(classes, w, minlength=count).astype(np.float64) for w in weights))

    @staticmethod
    def of_particles(score: Tensor, classes: Tensor, count: int) -> ScoreMoments:
        """The same, of tensors on any device."""
        return ScoreMoments.of(score.double().cpu().numpy(), classes.cpu().numpy(), count)

    def __add__(self, other: ScoreMoments) -> ScoreMoments:
        return ScoreMoments(
            self.count + other.count, self.total + other.total, self.square + other.square, self.clear + other.clear
        )

    def __sub__(self, other: ScoreMoments) -> ScoreMoments:
        return ScoreMoments(
            self.count - other.count, self.total - other.total, self.square - other.square, self.clear - other.clear
        )

    @property
    def mean(self) -> Floats:
        return self.total / np.maximum(self.count, 1.0)

    @property
    def deviation(self) -> Floats:
        return np.sqrt(np.maximum(self.square / np.maximum(self.count, 1.0) - self.mean**2, 0.0))

    @property
    def clear_share(self) -> Floats:
        return self.clear / np.maximum(self.count, 1.0)

    def summed(self, real: NDArray[np.bool_]) -> tuple[float, float, float]:
        """Mean and deviation of the scores in all real classes, (k,) bool, together; and the share of the others."""
        count, total, square = (float(part[real].sum()) for part in (self.count, self.total, self.square))
        mean = total / max(count, 1.0)
        share = 1 - count / max(float(self.count.sum()), 1.0)
        return mean, max(square / max(count, 1.0) - mean**2, 1.0) ** 0.5, min(max(share, 0.01), 0.99)

    def is_real(self) -> NDArray[np.bool_]:
        """Which classes are unlike noise, (k,); the usual share of clear members is the median over particles."""
        share, sizes = self.clear_share, self.count.astype(np.int64)
        if not sizes.any():
            return np.zeros(len(share), dtype=bool)
        clear = share >= max(LEAST_CLEAR * weighted_median(share, sizes), NOISE_CLEAR)
        return (clear | (self.mean >= FAINT_MEAN)) & (sizes > 0)


@dataclass(frozen=True)
class ClassVerdicts:
    """Verdicts on k classes, their quality from 0 to 1, and the features that they rest on, (k,) each."""

    verdict: tuple[str, ...]
    quality: Floats
    clear: Floats
    strength: Floats
    detail: Floats
    bulk: Floats
    score_mean: Floats
    score_deviation: Floats

    def within(self, limits: Settings, resolution_angstrom: Floats, sizes: NDArray[np.int64]) -> ClassVerdicts:
        """The same, but good classes that miss a limit that the user has set are doubtful.

        Parameters
        ----------
        limits : Settings
        resolution_angstrom : (k,) Å
        sizes : (k,) particles
        """
        missed = np.zeros(len(sizes), dtype=bool)
        if limits.good_score is not None:
            missed |= ~(self.score_mean >= limits.good_score)
        if limits.good_resolution is not None:
            missed |= ~(resolution_angstrom <= limits.good_resolution)
        if limits.good_particles is not None:
            missed |= sizes < limits.good_particles
        pairs = zip(self.verdict, missed, strict=True)
        return replace(self, verdict=tuple(DOUBTFUL if miss and said == GOOD else said for said, miss in pairs))

    def features(self) -> dict[str, list[float]]:
        """The features as ``summary.json`` lists them."""
        names = ("clear", "strength", "detail", "bulk", "score_mean", "score_deviation")
        return {name: np.round(getattr(self, name), 4).tolist() for name in names}


def judge(
    frc: Floats,
    sizes: NDArray[np.int64],
    scores: ScoreMoments,
    averages: NDArray[np.float32],
    aside: NDArray[np.bool_] | None = None,
) -> ClassVerdicts:
    """Judge k classes; empty ones, and those of what was set ``aside``, (k,), are junk.

    Parameters
    ----------
    frc : (k, rings)
        Of their halves, within the band.
    sizes : (k,)
    scores : ScoreMoments
    averages : (k, box, box)
        In grey values.
    """
    clear = scores.clear_share
    real = scores.is_real() & (sizes > 0)
    if aside is not None:
        real &= ~aside
    usual = weighted_median(scores.mean[real], sizes[real]) if real.any() else 1.0
    strength = np.maximum(scores.mean, 0.0) / max(usual, 1e-6)
    detail = relative_detail(frc, sizes, real)
    bulk = relative_bulk(averages, frc, sizes, real)
    junk = ~real | ((detail < LEAST_DETAIL) & ((bulk > USUAL_BULK) | (strength > STRONG))) | (bulk > MOST_BULK)
    usual_clear = weighted_median(clear[real], sizes[real]) if real.any() else 1.0
    good = ~junk & (detail >= USUAL_DETAIL) & (strength >= USUAL_STRENGTH) & (bulk <= USUAL_BULK)
    good &= clear >= max(USUAL_CLEAR * usual_clear, LEAST_USUAL_CLEAR)
    agreement = np.maximum(frc[:, 1:], 0.0).mean(axis=1)
    return ClassVerdicts(
        verdict=tuple(np.where(junk, JUNK, np.where(good, GOOD, DOUBTFUL)).tolist()),
        quality=np.where(sizes > 0, clear * agreement, 0.0),
        clear=clear,
        strength=strength,
        detail=detail,
        bulk=bulk,
        score_mean=scores.mean,
        score_deviation=scores.deviation,
    )


def relative_bulk(
    averages: NDArray[np.float32], frc: Floats, sizes: NDArray[np.int64], real: NDArray[np.bool_]
) -> Floats:
    """Power of the signal on the coarsest rings over that of the usual real class, (k,).

    Of a ring's power the share that the FRC of whole averages, 2·f/(1 + f), states is signal: what is left of noise in
    the average of few particles is no bulk.
    """
    box = averages.shape[-1]
    spectra = np.abs(np.fft.rfft2(averages)) ** 2
    radius = np.hypot(np.fft.fftfreq(box)[:, None], np.fft.rfftfreq(box)) * box
    rings = [spectra[:, np.rint(radius) == ring].mean(1) for ring in range(BULK_RINGS.start, BULK_RINGS.stop)]
    correlation = np.clip(frc[:, BULK_RINGS], 0.0, 1.0)
    power = (np.stack(rings, 1)[:, : correlation.shape[1]] * 2 * correlation / (1 + correlation)).sum(1)
    if not real.any():
        return np.ones(len(frc))
    return np.asarray(power / max(weighted_median(power[real], sizes[real]), 1e-30))


def relative_detail(frc: Floats, sizes: NDArray[np.int64], real: NDArray[np.bool_]) -> Floats:
    """Cut-off frequency of each class over that of as many particles of the usual kind, (k,).

    The usual particle brings the signal-to-noise ratio s of a ring that the median of the real classes has, each
    counted by its size: FRC = N·s/2 / (1 + N·s/2) for halves of N/2 members.
    """
    if not real.any():
        return np.ones(len(frc))
    members = np.maximum(sizes, 1)[:, None]
    correlation = np.clip(frc, 0.0, MOST_CORRELATION)
    particle = 2.0 * correlation / (1.0 - correlation) / members
    usual = np.array([weighted_median(ring[real], sizes[real]) for ring in particle.T])
    expected = members * usual / 2.0
    expected = expected / (1.0 + expected)
    own, theirs = (cutoff_ring(torch.from_numpy(smoothed(curve))).numpy() for curve in (frc, expected))
    return own / np.maximum(theirs, 1.0)


def smoothed(curves: Floats) -> Floats:
    """Curves (k, rings) without the chance dips that would end them early."""
    padded, rings = np.pad(curves, ((0, 0), (2, 2)), mode="edge"), curves.shape[1]
    parts = [weight * padded[:, k : k + rings] for k, weight in enumerate((1, 2, 3, 2, 1))]
    return np.asarray(np.sum(parts, axis=0) / 9)


def weighted_median(values: Floats, weights: NDArray[np.int64]) -> float:
    """The value that half of the weight lies below."""
    order = np.argsort(values)
    passed = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(passed, 0.5 * passed[-1])])
