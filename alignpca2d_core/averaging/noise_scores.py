"""How much better a particle fits its class, at its pose, than noise would fit the best of all classes.

With z = q·x(pose) + sqrt(q)·noise (see :mod:`.preprocess`) the matched filter's signal-to-noise ratio is

    t = (Re<z, x(pose)> − own) / sqrt(sum_ring q·P·max(1, v)),      P = |x|² of the ring.

*own* is what the particle finds of itself in the average that it is a member of.  v is the variance of what the fit
leaves, z − q·x, in units of the noise and weighted by q·P: an image that holds something else, contamination say,
correlates with anything, and leaves much.  v itself is the particle's *misfit*.

The best of many templates exceeds t ~ N(0, 1) without any particle.  By how much is found out by searching images
of noise for the same classes; the score is what t has beyond that:

    score = (t − mean of t over noise) / standard deviation of t over noise.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ..alignment.class_runs import class_runs
from ..alignment.matches import Matches
from ..alignment.pose_search import PoseSearch
from ..alignment.search_grids import Level
from ..fourier.band import Band
from ..fourier.single_rotations import is_faster, turned_singly
from ..preprocessing.preprocess import Vectors
from ..runtime import distributed
from ..runtime.memory import SCORE_BYTES, halving, tile_bytes
from .class_averages import masked
from .templates import Templates, features

NOISE_IMAGES = 512
NOISE_SEED = 0
CLEAR = 3.0
"""Score from which on a particle is there: as good as one noise image in a hundred or less (t has a longer tail)."""

ODDS_STEPS = 301
"""Scores between 0 and :data:`CLEAR` that are tried."""


def equal_odds(usual: float, deviation: float, share: float) -> float:
    """Score, up to :data:`CLEAR`, below which an image is rather noise than a particle.

    Scores of noise are N(0, 1), those of particles N(usual, deviation²); ``share`` of the images are noise.
    """
    scores = torch.linspace(0, CLEAR, ODDS_STEPS, dtype=torch.float64)
    noise = math.log(share) - 0.5 * scores**2
    particle = math.log1p(-share) - math.log(deviation) - 0.5 * ((scores - usual) / deviation) ** 2
    return float(scores[noise >= particle].max()) if bool((noise >= particle).any()) else 0.0


@dataclass(frozen=True)
class NoiseScores:
    """Mean and standard deviation of the ratios t that noise reaches."""

    mean: float
    deviation: float

    def normal(self, ratio: Tensor) -> Tensor:
        """Ratios t as standard deviations beyond noise."""
        return (ratio - self.mean) / self.deviation

    def of_weaker(self, share: float) -> float:
        """Mean score, at most 0, of noise that has this share of the variance that it was taken to have."""
        return (min(share, 1.0) ** 0.5 - 1.0) * self.mean / self.deviation


def matched_filter_ratio(particles: Vectors, templates: Templates, level: Level, matches: Matches) -> Tensor:
    """The ratio t of each particle with its best match, (n,); the rotation is rounded to the level's."""
    return matched_filter(particles, templates, level, matches)[:, 0]


def matched_filter(particles: Vectors, templates: Templates, level: Level, matches: Matches) -> Tensor:
    """The ratio t of each particle with its best match, and its misfit v, (n, 2)."""

    def fits(part: slice) -> Tensor:
        return _fits(particles.rows(part), templates, level, matches.rows(part))

    return halving(fits, len(particles), torch.cat)


def _fits(particles: Vectors, templates: Templates, level: Level, matches: Matches) -> Tensor:
    """The same, where memory holds all that is needed at once."""
    fits = matches.angle.new_zeros(len(particles), 2)
    for some, posed in posed_averages(particles.band, templates, level, matches):
        fits[some] = fit_of(particles.rows(some), posed, templates, matches.classes[some, 0])
    return fits


def posed_averages(band: Band, templates: Templates, level: Level, matches: Matches) -> Iterator[tuple[Tensor, Tensor]]:
    """Particles (p,) of n, and the averages of their classes at their best poses, (p, m); rotations are the level's."""
    k = matches.classes[:, 0]
    turn = torch.round(matches.angle[:, 0] / (2 * torch.pi) * level.rotations).long() % level.rotations
    if not len(k):
        return
    at_once = tile_bytes(band.device, SCORE_BYTES) // (8 * len(band))
    together, rows = max(1, at_once // level.rotations), max(1, at_once // 2)
    if is_faster(band, len(k), len(torch.unique(k)), level.rotations):
        for some in torch.argsort(k, stable=True).split(rows):
            used, which = torch.unique(k[some], return_inverse=True)
            turned = turned_singly(band, templates.references[used], which, turn[some], level.rotations)
            yield some, turned * band.shift_ramps(matches.shift_x[some, 0], matches.shift_y[some, 0])
        return
    for used, runs in class_runs(k, torch.arange(len(k), device=k.device), together, rows):
        rotated = band.rotate_round(templates.references[used], level.rotations)
        for some, which in runs:
            ramps = band.shift_ramps(matches.shift_x[some, 0], matches.shift_y[some, 0])
            yield some, rotated[which, turn[some]] * ramps


def fit_of(particles: Vectors, posed: Tensor, templates: Templates, classes: Tensor) -> Tensor:
    """t and v of particles (n) with the averages of their classes (n,) at their poses, (n, m); (n, 2)."""
    power, own = templates.power[classes], templates.own[classes]
    band, q = particles.band, particles.q
    overlap = band.ring_sum((particles.z * posed.conj()).real)
    left = band.ring_sum(particles.z.abs() ** 2) - 2 * q * overlap + q**2 * power
    weight = q * power
    total = weight.sum(1).clamp_min(1e-20)
    variance = (weight * left / (q * features(band)).clamp_min(1e-6)).sum(1) / total
    ratio = (overlap - q * own).sum(1) / (total * variance.clamp_min(1.0)).sqrt()
    return torch.stack((ratio, variance), 1)


def noise_particles(q: Tensor, band: Band, mask: Tensor, generator: torch.Generator) -> Vectors:
    """Particles (n) of noise alone with CTF² as ``q`` (n, rings), inside ``mask`` (work_box, work_box)."""
    white = torch.view_as_complex(torch.randn(len(q), len(band), 2, generator=generator)).to(band.device)
    inside = masked(white, band, mask)
    # The mask takes power away; particles are measured in units in which the noise of a ring has variance 1.
    unit = (band.ring_mean((inside.abs() ** 2).mean(0)) / 2).clamp_min(1e-20).sqrt()
    return Vectors(inside / unit[band.ring] * q.sqrt()[:, band.ring], q, band)


def noise_scores(noise: Vectors, templates: Templates, level: Level, matches: Matches) -> NoiseScores:
    """What images of noise reach, from the matches that the particles' search found for them; each rank has some."""
    # The noise is no member of the classes: it finds nothing of itself there.
    ratio = distributed.joined(matched_filter_ratio(noise, templates.bare, level, matches.best(1)))
    return NoiseScores(float(ratio.mean()), max(float(ratio.std()), 1e-3))


def noise_images(search: PoseSearch, q: Tensor, band: Band, count: int = NOISE_IMAGES) -> Vectors:
    """This rank's part of ``count`` images of noise under CTF² drawn from ``q`` (n, rings)."""
    generator = torch.Generator().manual_seed(NOISE_SEED)
    some = torch.randint(len(q), (count,), generator=generator).to(q.device)
    return noise_particles(q[some], band, search.mask, generator).rows(distributed.part(count))


def noise_level(search: PoseSearch, q: Tensor, templates: Templates, band: Band) -> NoiseScores:
    """What noise under CTF² drawn from ``q`` (n, rings) reaches in the same search."""
    images = noise_images(search, q, band)
    return noise_scores(images, templates, search.schedule.final, search.locate(images, templates.references))
