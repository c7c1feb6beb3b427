"""How far class averages are apart: one less their agreement at the best pose, rotation, shift and, if asked, mirror.

Averages are compared in a band of coarse rings, each ring by the share of it that is signal (Wiener), so that views a
few degrees apart are near to each other.  Their correlation is divided by that which two averages of one view would
have with their noise: 0 for copies whatever their noise, and about 1 for what has nothing in common.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..fourier.band import Band, as_real
from ..fourier.ring_correlation import wiener_shrinkage
from ..runtime.memory import in_pieces

COARSE_RADIUS, FINE_RADIUS = 10.0, 16.0
"""Fourier pixels that the first grid compares, and the last."""
FIRST_TURNS, LAST_TURNS = 60, 240
FIRST_SHIFT = 1 / 40
"""Of the box: moves the first band's edge by a quarter of a turn of phase."""
SHIFT_STEPS = 3
MOST_VALUES = 1 << 25
"""Products held at once."""
FLATTENING = 0.5
"""Power of a ring's usual strength that is taken out, of 1: the rest of it leaves near views nearer than far ones."""
LEAST_RINGS, LEAST_SHARE = 4, 0.5
"""Averages with fewer rings of which half is signal are like nothing: of a blob there is no telling what it shows."""
LEAST_EXPECTED = 1e-6


@dataclass(frozen=True)
class _Poses:
    """The best pose of each pair of k classes: how many steps of the last grid, (p,) each."""

    turn: Tensor
    x: Tensor
    y: Tensor


def class_distances(
    averages: NDArray[np.float32], frc: NDArray[np.float64], mirror: bool = False
) -> NDArray[np.float64]:
    """The distances of :func:`distances_and_errors` alone."""
    return distances_and_errors(averages, frc, mirror)[0]


def distances_and_errors(
    averages: NDArray[np.float32], frc: NDArray[np.float64], mirror: bool = False
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Distances between class averages at their best poses.

    Parameters
    ----------
    averages : (k, box, box)
        Class averages, roughly centred.
    frc : (k, rings)
        Of the halves of each class.
    mirror : bool
        Whether mirror images count as one view.

    Returns
    -------
    Two (k, k) arrays: the distances, symmetric, 0 on the diagonal and at most 1, which is that from averages that show
    too little; and the standard errors that they have by the noise of the averages.
    """
    images = torch.from_numpy(np.ascontiguousarray(averages, dtype=np.float32))
    band = Band.make(images.shape[-1], FINE_RADIUS)
    share = wiener_shrinkage(torch.from_numpy(frc.astype(np.float32)))[:, : band.rings]
    own = _Weighted.of(images, share, band)
    correlation = _correlations(own, own)
    if mirror:
        mirrored = torch.roll(images.flip(-1), 1 - images.shape[-1] % 2, -1)
        correlation = torch.maximum(correlation, _correlations(own, _Weighted.of(mirrored, share, band)))
    telling = (share[:, 1:] >= LEAST_SHARE).sum(1) >= LEAST_RINGS
    known = telling[:, None] & telling
    expected, error = own.expected(), own.error()
    distance = torch.where(known, 1.0 - (correlation / expected).clamp(0.0, 1.0), 1.0).fill_diagonal_(0.0)
    error = torch.where(known, error / expected, 0.0).fill_diagonal_(0.0)
    return distance.double().numpy(), error.double().numpy()


@dataclass(frozen=True)
class _Weighted:
    """Averages as they are compared, k of them.

    Attributes
    ----------
    vectors : (k, m)
        Of length 1, each ring without its usual strength and by its signal's share.
    signal, noise : (k, rings)
        The power of either, by ring, that adds up to 1.
    """

    vectors: Tensor
    signal: Tensor
    noise: Tensor
    band: Band

    @staticmethod
    def of(images: Tensor, share: Tensor, band: Band) -> _Weighted:
        """From images (k, box, box) and the share of signal on their rings (k, rings)."""
        vectors = band.to_vectors(images)
        power = band.ring_sum(vectors.abs().square())
        usual = (power * share).mean(0).clamp_min(1e-30) / band.ring_sizes
        gain = share * usual.pow(-FLATTENING / 2)
        gain[:, 0] = 0.0
        power = power * gain.square()
        total = power.sum(1, keepdim=True).clamp_min(1e-30)
        vectors = vectors * gain[:, band.ring] / total.sqrt()
        return _Weighted(vectors, power * share / total, power * (1 - share) / total, band)

    def expected(self) -> Tensor:
        """The correlations (k, k) of averages of one view, with the noise that they have."""
        return (self.signal.sqrt() @ self.signal.sqrt().T).clamp_min(LEAST_EXPECTED)

    def error(self) -> Tensor:
        """The standard errors of correlations that this noise makes, (k, k)."""
        # Real numbers on each ring, two for each coefficient.
        spread = self.signal / (2 * self.band.ring_sizes)
        own = self.noise / (2 * self.band.ring_sizes)
        return (spread @ self.noise.T + own @ self.signal.T + own @ self.noise.T).clamp_min(0).sqrt()


def _correlations(first: _Weighted, second: _Weighted) -> Tensor:
    """Correlations of all pairs at their best poses, (k, k), symmetric."""
    band, count = first.band, len(first.vectors)
    pairs = torch.triu_indices(count, count, 1)
    found = torch.zeros(count, count)
    turned = band.rotate_round(first.vectors, LAST_TURNS)
    poses = _first_poses(turned, second.vectors, band, pairs)

    def refine(part: slice) -> None:
        some = _Poses(poses.turn[part], poses.x[part], poses.y[part])
        found[pairs[0, part], pairs[1, part]] = _refined(turned, second.vectors, band, pairs[:, part], some)

    in_pieces(refine, pairs.shape[1], max(1, MOST_VALUES // (8 * len(band))))
    return found + found.T


def _first_poses(turned: Tensor, others: Tensor, band: Band, pairs: Tensor) -> _Poses:
    """The best pose on the first grid of each pair (2, p), of turned (k, turns, m) and others (k, m)."""
    coarse = band.narrowed(COARSE_RADIUS)
    m, every, count = len(coarse), LAST_TURNS // FIRST_TURNS, len(turned)
    axis = torch.arange(-SHIFT_STEPS, SHIFT_STEPS + 1)
    steps = torch.cartesian_prod(axis, axis)
    ramps = coarse.shift_ramps(*(steps.T * (FIRST_SHIFT * band.box)))
    moved = as_real(others[:, None, :m] * ramps).flatten(0, 1)
    templates = as_real(turned[:, ::every, :m])
    best = torch.empty(count, count, dtype=torch.int64)

    def compare(part: slice) -> None:
        products = templates[part].flatten(0, 1) @ moved.T
        products = products.view(-1, FIRST_TURNS, count, len(steps)).permute(0, 2, 1, 3).flatten(2)
        best[part] = products.argmax(2)

    in_pieces(compare, count, max(1, MOST_VALUES // (FIRST_TURNS * len(moved))))
    chosen = best[pairs[0], pairs[1]]
    fine = round(LAST_TURNS / FIRST_TURNS)
    x, y = (steps[chosen % len(steps)] * fine).T
    return _Poses(chosen // len(steps) * every, x, y)


def _refined(turned: Tensor, others: Tensor, band: Band, pairs: Tensor, poses: _Poses) -> Tensor:
    """The largest correlation of each pair (2, p) near its pose, on grids that halve twice, (p,)."""
    first, other = pairs
    unit, best = FIRST_SHIFT * band.box * FIRST_TURNS / LAST_TURNS, torch.full((len(first),), -math.inf)
    step = LAST_TURNS // FIRST_TURNS // 2
    while step:
        moved = others[other] * band.shift_ramps(poses.x * unit, poses.y * unit)
        steps = torch.tensor([-step, 0, step])
        near = torch.cartesian_prod(steps, steps)
        ramps = band.shift_ramps(*(near.T * unit))
        turns = [(poses.turn + turn) % LAST_TURNS for turn in steps.tolist()]
        scores = torch.cat([((turned[first, turn].conj() * moved) @ ramps.T).real for turn in turns], dim=1)
        best, place = scores.max(1)
        turn = torch.stack(turns, 1).gather(1, (place // len(near))[:, None])[:, 0]
        x, y = near[place % len(near)].T
        poses = _Poses(turn, poses.x + x, poses.y + y)
        step //= 2
    return best
