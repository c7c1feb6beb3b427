"""How far poses in three dimensions are apart: in view, and then in the plane.

Views from opposite directions are mirror images, which no rotation in the plane joins: they are 180° apart unless the
symmetry joins them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
PLANE_WEIGHT = 0.1
"""What a degree in the plane counts against one of view where symmetry leaves a choice."""
CANDIDATES, VIEW_WIDTH_DEG, PLANE_WIDTH_DEG = 150, 12.0, 8.0
NEAR_VIEW_DEG, NEAR_PLANE_DEG = 25.0, 15.0


def distances(first: FloatArray, second: FloatArray, symmetry: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Angles in degrees between the views of poses, and then in the plane.

    Parameters
    ----------
    first, second : (a, 3, 3) and (b, 3, 3) rotations of the specimen
    symmetry : (g, 3, 3)

    Returns
    -------
    Two (a, b) arrays: the angle between viewing directions, and the signed rotation in the plane that is left when the
    shortest turn has brought one view to the other, both of the symmetry mate that is nearest.
    """
    cost = np.full((len(first), len(second)), np.inf)
    view, plane = np.zeros_like(cost), np.zeros_like(cost)
    for rotation in symmetry:
        mates = second @ rotation
        angle = np.rad2deg(np.arccos(np.clip(first[:, 2] @ mates[:, 2].T, -1.0, 1.0)))
        overlap = np.einsum("aik,bjk->abij", first[:, :2], mates[:, :2])
        turn = np.arctan2(overlap[..., 1, 0] - overlap[..., 0, 1], overlap[..., 0, 0] + overlap[..., 1, 1])
        own = angle + PLANE_WEIGHT * np.abs(np.rad2deg(turn))
        nearer = own < cost
        cost, view = np.where(nearer, own, cost), np.where(nearer, angle, view)
        plane = np.where(nearer, np.rad2deg(turn), plane)
    return view, plane


def shared_pose(rotations: FloatArray, symmetry: FloatArray, rng: np.random.Generator) -> FloatArray:
    """The pose (3, 3) that most of ``rotations`` (n, 3, 3) share: where they are densest, then the mean near there."""
    some = rotations[rng.permutation(len(rotations))[:CANDIDATES]]
    view, plane = distances(some, some, symmetry)
    density = np.exp(-0.5 * ((view / VIEW_WIDTH_DEG) ** 2 + (plane / PLANE_WIDTH_DEG) ** 2)).sum(axis=1)
    pose = some[int(density.argmax())]
    for _ in range(2):
        view, plane = distances(pose[None], rotations, symmetry)
        near = (view[0] < NEAR_VIEW_DEG) & (np.abs(plane[0]) < NEAR_PLANE_DEG)
        if near.sum() < 2:
            break
        pose = _mean_rotation(pose, rotations[near], symmetry)
    return np.asarray(pose)


def _mean_rotation(about: FloatArray, rotations: FloatArray, symmetry: FloatArray) -> FloatArray:
    """The chordal mean (3, 3) of the symmetry mates that are nearest to ``about``."""
    mates = np.einsum("nij,gjk->ngik", rotations, symmetry)
    nearest = np.einsum("ij,ngij->ng", about, mates).argmax(axis=1)
    left, _, right = np.linalg.svd(mates[np.arange(len(mates)), nearest].mean(axis=0))
    return np.asarray(left @ np.diag([1.0, 1.0, np.linalg.det(left @ right)]) @ right)


def spread_views(directions: FloatArray, count: int, symmetry: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Directions (count, 3) that the given ones (n, 3) are near to: k-means on the sphere modulo the symmetry."""
    centres = directions[rng.permutation(len(directions))[:count]]
    mates = np.einsum("ni,gij->ngj", directions, symmetry)
    rows = np.arange(len(directions))
    for _ in range(12):
        cosines = np.einsum("ngi,ki->ngk", mates, centres)
        own = cosines.max(axis=1).argmax(axis=1)
        nearest = mates[rows, cosines[rows, :, own].argmax(axis=1)]
        sums = np.stack([nearest[own == k].sum(axis=0) for k in range(len(centres))])
        lost = np.linalg.norm(sums, axis=1) < 1e-9
        sums[lost] = directions[rng.integers(len(directions), size=int(lost.sum()))]
        centres = sums / np.linalg.norm(sums, axis=1, keepdims=True)
    return centres
