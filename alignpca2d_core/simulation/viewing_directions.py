"""Which directions a simulation looks from."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from ..fourier.rigid_transforms import Poses, apply
from ..maps.views import rotation_matrices
from .specimen import Specimen

FloatArray = NDArray[np.float64]
CANDIDATES_PER_VIEW = 8
COARSE_BOX = 31
COARSE_STEP_DEG = 10.0


def spread_directions(count: int, rng: np.random.Generator) -> FloatArray:
    """``rot`` and ``tilt`` in degrees, (count, 2): a Fibonacci spiral over half the sphere.

    Half the sphere, because opposite directions project to mirror images.
    """
    height = 1.0 - (np.arange(count) + 0.5) / count
    rot = np.rad2deg(np.arange(count) * np.pi * (3.0 - np.sqrt(5.0))) + rng.uniform(0.0, 360.0)
    return np.stack([rot % 360.0, np.rad2deg(np.arccos(height))], axis=1)


def random_directions(count: int, rng: np.random.Generator) -> FloatArray:
    """``rot`` and ``tilt`` in degrees, (count, 2), uniform over the sphere."""
    return np.stack([rng.uniform(0.0, 360.0, count), np.rad2deg(np.arccos(rng.uniform(-1.0, 1.0, count)))], axis=1)


def likeness(images: torch.Tensor) -> torch.Tensor:
    """Best correlation of each pair of centred images over in-plane rotations and the mirror.

    Parameters
    ----------
    images : (v, D, D)

    Returns
    -------
    (v, v) tensor, 1 on the diagonal.
    """
    odd = images if images.shape[-1] % 2 else images[:, 1:, 1:]
    count, zero = len(images), np.zeros(len(images))
    flat = _normalised(odd)
    best = torch.full((count, count), -1.0)
    for mirrored in (odd, odd.transpose(1, 2)):
        for angle in np.arange(0.0, 90.0, COARSE_STEP_DEG):
            turned = apply(mirrored, Poses(zero + angle, zero, zero))
            for quarter in range(4):
                best = torch.maximum(best, flat @ _normalised(torch.rot90(turned, quarter, (1, 2))).T)
    return torch.maximum(best, best.T)


def _normalised(images: torch.Tensor) -> torch.Tensor:
    """Images as vectors of mean 0 and length 1."""
    centred = images - images.mean(dim=(1, 2), keepdim=True)
    return torch.nn.functional.normalize(centred.flatten(1))


def choose_directions(
    specimen: Specimen, count: int, field_angstrom: float, selection: str, rng: np.random.Generator
) -> FloatArray:
    """``rot`` and ``tilt`` in degrees, (count, 2).

    Parameters
    ----------
    specimen : what will be projected
    count : number of views
    field_angstrom : side of the box in Å
    selection : ``distinct`` picks, out of many, those whose projections differ most, also up to a mirror and
        whatever the symmetry; ``spread`` covers half the sphere evenly; ``random`` draws.
    rng : random generator
    """
    if selection == "random":
        return random_directions(count, rng)
    if selection == "spread":
        return spread_directions(count, rng)
    candidates = spread_directions(CANDIDATES_PER_VIEW * count, rng)
    rotations = rotation_matrices(candidates[:, 0], candidates[:, 1], np.zeros(len(candidates)))
    alike = likeness(specimen.project(rotations, COARSE_BOX, field_angstrom / COARSE_BOX)).numpy()
    chosen = [int(rng.integers(len(candidates)))]
    nearest = alike[chosen[0]].copy()
    while len(chosen) < count:
        nearest[chosen] = np.inf
        chosen.append(int(np.argmin(nearest)))
        nearest = np.maximum(nearest, alike[chosen[-1]])
    return candidates[chosen]
