"""How certain the view of a particle is: the posterior of the best among the views that it fits best.

Scores are log-likelihoods.  Three things make their differences larger than what is known.  A member finds its own
noise in the average of its class (:mod:`.self_noise`), which is taken off before.  Views are continuous: a particle
lies somewhere between two views, or beyond them.  And averages hold noise, in which they differ as well.  With the
squared distance d² = sum_ring q |x_a(pose_a) − x_b(pose_b)|² of two averages, of which D² are without their noise, a
particle at the place f from midway (0) towards view a (½) or view b (−½) has a difference Δ of its scores with the
mean f D² and the deviation d.  With f between −1 and 1, and so of a deviation σ = 1/√3, view a is the nearer one with
the probability

    Φ(w / sqrt(1 + w²) · Δ / d)  ≈  1 / (1 + exp(−Δ / T)),    w = σ D² / d,    T = sqrt(1 + 1/w²) d / 1.7.

(As it is for a normal f.)  Over several views this is a posterior at the temperature T of the two best:

    p_a = exp(s_a / T) / sum_b exp(s_b / T).

Of averages that differ in nothing but noise each is as probable as the others.
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
SPREAD = 3**-0.5
"""Deviation of a place between -1 and 1."""
TINY = 1e-6


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

    fits_and_square = halving(compared, len(particles), torch.cat)
    bare = without_self_noise(ordered, particles, templates, before, mask).score
    two = ordered.classes[:, :2][:, [0, -1]]
    certain = posterior(bare, fits_and_square[:, 2], noise_between(particles, templates, two))[:, :1]
    return torch.cat((fits_and_square[:, :2], certain), 1)


def posterior(score: Tensor, square: Tensor, noise: Tensor) -> Tensor:
    """That of each of the views that particles are compared with, (n, k), from scores (n, k).

    ``square`` is d² of the two best, ``noise`` (n,) what of it is the averages' noise.
    """
    true = (square - noise).clamp_min(TINY)
    temperature = (square * (1 + square / (SPREAD * true) ** 2)).sqrt() / LOGISTIC
    return torch.softmax(score / temperature.clamp_min(1.0)[:, None], 1)


def noise_between(particles: Vectors, templates: Templates, two: Tensor) -> Tensor:
    """What noise adds to the squared distance of two averages, (n, 2) int64, for each particle, (n,)."""
    return (particles.q * templates.noise[two].sum(1)).sum(1)


def _compared(particles: Vectors, templates: Templates, level: Level, matches: Matches) -> Tensor:
    """Ratio and misfit of the best match of particles, and d² of the two best where there are two, (n, 3)."""
    band, figures = particles.band, particles.q.new_zeros(len(particles), 3)
    best = matches.column(0)
    apart = torch.zeros_like(particles.z)
    for some, posed in posed_averages(band, templates, level, best):
        apart[some] = posed
        figures[some, :2] = fit_of(particles.rows(some), posed, templates, best.classes[some, 0])
    if matches.score.shape[1] > 1:
        for some, posed in posed_averages(band, templates, level, matches.column(1)):
            apart[some] -= posed
        figures[:, 2] = (particles.q * band.ring_sum(apart.abs() ** 2)).sum(1)
    return figures
