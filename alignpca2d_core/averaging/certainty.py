"""How certain the view of a particle is: the posterior of the best among the views that it fits best.

Scores are log-likelihoods.  Two things make their differences larger than what is known.  A member finds its own noise
in the average of its class (:mod:`.self_noise`), which is taken off before.  And views are continuous: of two views
at a distance d, each particle lies somewhere between or beyond.  With d² = sum_ring q |x_a(pose_a) − x_b(pose_b)|² the
difference Δ of its scores is known to a deviation of d, so that view a is the nearer one with the probability

    Φ(Δ / d)  ≈  1 / (1 + exp(−1.7 Δ / d)).

Over several views this is a posterior at a temperature T = d / 1.7, with the d of the two best:

    p_a = exp(s_a / T) / sum_b exp(s_b / T).
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..alignment.matches import Matches
from ..alignment.search_grids import Level
from ..preprocessing.preprocess import Vectors
from ..runtime.memory import halving
from .noise_scores import matched_filter, posed_averages
from .self_noise import without_self_noise
from .templates import Templates

LOGISTIC = 1.702
"""The logistic function of so many times x is nearest to the normal distribution function of x."""


def figures_of_best(
    particles: Vectors, templates: Templates, level: Level, matches: Matches, before: Matches, mask: Tensor
) -> Tensor:
    """Ratio, misfit (:mod:`.noise_scores`) and certainty of the best match of each particle, (n, 3).

    Parameters are those of :func:`certainty`.
    """
    certain = certainty(particles, templates, level, matches, before, mask)
    return torch.cat((matched_filter(particles, templates, level, matches.best(1)), certain[:, None]), 1)


def certainty(
    particles: Vectors, templates: Templates, level: Level, matches: Matches, before: Matches, mask: Tensor
) -> Tensor:
    """The posterior (n,) of the best match of each particle.

    Parameters
    ----------
    particles : Vectors
    templates : Templates
        Of the averages that the particles are members of, or given ones.
    level : Level
        Rotations are rounded to its.
    matches : Matches
        (n, kept), of distinct views; their own scores say which is the best.
    before : Matches
        How the particles are members, (n, 1).
    mask : Tensor
        Of the averages, (work_box, work_box).
    """
    ordered = matches.best_first()
    bare = without_self_noise(ordered, particles, templates, before, mask).score
    if bare.shape[1] < 2:
        return torch.ones_like(bare[:, 0])

    def distances(part: slice) -> Tensor:
        return _distances(particles.rows(part), templates, level, ordered.rows(part))

    temperature = halving(distances, len(particles), torch.cat) / LOGISTIC
    return torch.softmax(bare / temperature.clamp_min(1.0)[:, None], 1)[:, 0]


def _distances(particles: Vectors, templates: Templates, level: Level, matches: Matches) -> Tensor:
    """d between the two best matches (n, 2 or more) of particles, (n,)."""
    band = particles.band
    first, second = (torch.zeros_like(particles.z) for _ in range(2))
    for images, number in ((first, 0), (second, 1)):
        for some, posed in posed_averages(band, templates, level, matches.column(number)):
            images[some] = posed
    return (particles.q * band.ring_sum((first - second).abs() ** 2)).sum(1).sqrt()
