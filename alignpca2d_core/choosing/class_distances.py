"""How far class averages are apart: one less their agreement at the best pose, rotation, shift and, if asked, mirror.

Averages are compared in a band of coarse rings, each ring by the share of it that is signal (Wiener), so that views a
few degrees apart are near to each other.  Their correlation is divided by that which two averages of one view would
have with their noise: 0 for copies whatever their noise, and about 1 for what has nothing in common.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..fourier.band import Band
from ..fourier.ring_correlation import wiener_shrinkage
from .best_poses import FINE_RADIUS, LAST_TURNS, first_poses, poses_at, refined
from .weighted_images import WeightedImages

LEAST_RINGS, LEAST_SHARE = 4, 0.5
"""Averages with fewer rings of which half is signal are like nothing: of a blob there is no telling what it shows."""


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
    own = WeightedImages.of(band.to_vectors(images), share, band)
    correlation = _correlations(own, own)
    if mirror:
        mirrored = torch.roll(images.flip(-1), 1 - images.shape[-1] % 2, -1)
        correlation = torch.maximum(
            correlation, _correlations(own, WeightedImages.of(band.to_vectors(mirrored), share, band))
        )
    telling = (share[:, 1:] >= LEAST_SHARE).sum(1) >= LEAST_RINGS
    known = telling[:, None] & telling
    expected, error = own.expected(), own.error()
    distance = torch.where(known, 1.0 - (correlation / expected).clamp(0.0, 1.0), 1.0).fill_diagonal_(0.0)
    error = torch.where(known, error / expected, 0.0).fill_diagonal_(0.0)
    return distance.double().numpy(), error.double().numpy()


def _correlations(first: WeightedImages, second: WeightedImages) -> Tensor:
    """Correlations of all pairs at their best poses, (k, k), symmetric."""
    band, count = first.band, len(first.vectors)
    pairs = torch.triu_indices(count, count, 1)
    found = torch.zeros(count, count)
    turned = band.rotate_round(first.vectors, LAST_TURNS)
    places = first_poses(turned, second.vectors, band)[1][pairs[0], pairs[1]]
    found[pairs[0], pairs[1]] = refined(turned, second.vectors, band, pairs, poses_at(places))[0]
    return found + found.T
