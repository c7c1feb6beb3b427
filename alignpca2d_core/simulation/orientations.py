"""Directions that continuous views are seen from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
AXIS_SPREAD_DEG, SIDE_SPREAD_DEG = 15.0, 10.0
"""Standard deviations about a preferred axis, and about the plane across it."""


def uniform_directions(count: int, rng: np.random.Generator) -> FloatArray:
    """Unit vectors (count, 3), uniform on the sphere."""
    return _unit(rng.normal(size=(count, 3)))


def draw_directions(count: int, preference: str, share: float, rng: np.random.Generator) -> FloatArray:
    """Unit vectors (count, 3) from the specimen towards the viewer.

    Parameters
    ----------
    preference : ``continuous`` is uniform; ``axis`` is about +z; ``side`` is about the xy plane
    share : of those that follow the preference
    """
    anywhere, spread = uniform_directions(count, rng), rng.normal(size=(count, 3))
    follows = rng.uniform(size=count) < share
    if preference == "continuous":
        return anywhere
    if preference == "axis":
        near = np.tan(np.deg2rad(AXIS_SPREAD_DEG)) * spread * (1.0, 1.0, 0.0) + (0.0, 0.0, 1.0)
    else:
        height = np.tan(np.deg2rad(SIDE_SPREAD_DEG)) * spread[:, 2]
        near = np.column_stack([_unit(spread[:, :2]), height])
    return np.where(follows[:, None], _unit(near), anywhere)


def euler_angles(directions: FloatArray) -> tuple[FloatArray, FloatArray]:
    """``rot`` and ``tilt`` in degrees, each (n,), of viewing directions (n, 3) in the ZYZ convention."""
    x, y, z = directions.T
    return np.rad2deg(np.arctan2(y, x)), np.rad2deg(np.arccos(np.clip(z, -1.0, 1.0)))


def _unit(vectors: FloatArray) -> FloatArray:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
