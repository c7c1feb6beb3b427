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
from .noise_scores import fit_of, posed_averages
from .self_noise import without_self_noise
from .templates import Templates

LOGISTIC = 1.702
"""The logistic function of so many times x is nearest to the normal distribution function of x."""


def figures_of_best(
    particles: Vectors, templates: Templates, level: Level, matches: Matches, before: Matches, mask: Tensor
) -> Tensor:
    """Ratio, misfit (:mod:`.noise_scores`) and certainty of the best match of each particle, (n, 3).

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

    def compared(part: slice) -> Tensor:
        return _compared(particles.rows(part), templates, level, ordered.rows(part))

    fits_and_distance = halving(compared, len(particles), torch.cat)
    bare = without_self_noise(ordered, particles, templates, before, mask).score
    certain = posterior(bare, fits_and_distance[:, 2])[:, :1]
    return torch.cat((fits_and_distance[:, :2], certain), 1)


def posterior(score: Tensor, distance: Tensor) -> Tensor:
    """That of each of the views that particles are compared with, (n, k), from scores (n, k) and d of the two best."""
    temperature = (distance / LOGISTIC).clamp_min(1.0)
    return torch.softmax(score / temperature[:, None], 1)


def _compared(particles: Vectors, templates: Templates, level: Level, matches: Matches) -> Tensor:
    """Ratio and misfit of the best match of particles, and d between the two best where there are two, (n, 3)."""
    band, figures = particles.band, particles.q.new_zeros(len(particles), 3)
    best = matches.column(0)
    apart = torch.zeros_like(particles.z)
    for some, posed in posed_averages(band, templates, level, best):
        apart[some] = posed
        figures[some, :2] = fit_of(particles.rows(some), posed, templates, best.classes[some, 0])
    if matches.score.shape[1] > 1:
        for some, posed in posed_averages(band, templates, level, matches.column(1)):
            apart[some] -= posed
        figures[:, 2] = (particles.q * band.ring_sum(apart.abs() ** 2)).sum(1).sqrt()
    return figures
