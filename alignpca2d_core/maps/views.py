"""Views of a density: rotations, point groups, and directions spread evenly.

A rotation's first two rows are the image's x and y axes, and its third points from the specimen to the viewer.  Point
groups are Cn and Dn with the n-fold axis along z and a twofold axis of Dn along x.
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

FloatArray = NDArray[np.float64]

DIRECTIONS = 2000
"""Directions among which coverage is counted."""
PART = np.array([0.36, 0.28, 0.89])
"""The part of the sphere that a symmetry is reduced to is above, if that can be, and next to this vector, which no axis
is near to."""


def rotation_matrices(rot_deg: FloatArray, tilt_deg: FloatArray, psi_deg: FloatArray) -> FloatArray:
    """Euler matrices (v, 3, 3) in the ZYZ convention of RELION and Xmipp: A = Rz(ψ)·Ry(tilt)·Rz(rot)."""

    def about_z(angle: FloatArray) -> FloatArray:
        c, s, o = np.cos(angle), np.sin(angle), np.zeros_like(angle)
        return np.moveaxis(np.array([[c, s, o], [-s, c, o], [o, o, o + 1.0]]), -1, 0)

    rot, tilt, psi = (np.deg2rad(np.atleast_1d(np.asarray(a, dtype=np.float64))) for a in (rot_deg, tilt_deg, psi_deg))
    c, s, o = np.cos(tilt), np.sin(tilt), np.zeros_like(tilt)
    about_y = np.moveaxis(np.array([[c, o, -s], [o, o + 1.0, o], [s, o, c]]), -1, 0)
    return np.asarray(about_z(psi) @ about_y @ about_z(rot))


def group_of(name: str) -> tuple[bool, int]:
    """Whether the group is dihedral, and its n.

    Raises
    ------
    InputError
        When the name is not C1 to C99 or D2 to D99.
    """
    match = re.fullmatch(r"([CD])([1-9]\d?)", name.strip().upper())
    if match is None or match[0] == "D1":
        raise InputError(f"--symmetry {name}: give C1 to C99 or D2 to D99")
    return match[1] == "D", int(match[2])


def symmetry_rotations(name: str) -> FloatArray:
    """The rotations (g, 3, 3) of a point group, the identity first; x and g·x are equivalent points."""
    dihedral, fold = group_of(name)
    angle = 2.0 * np.pi * np.arange(fold) / fold
    turns = np.zeros((fold, 3, 3))
    turns[:, 0, 0] = turns[:, 1, 1] = np.cos(angle)
    turns[:, 1, 0], turns[:, 0, 1] = np.sin(angle), -np.sin(angle)
    turns[:, 2, 2] = 1.0
    return np.concatenate([turns, turns @ np.diag([1.0, -1.0, -1.0])]) if dihedral else turns


def even_directions(count: int) -> FloatArray:
    """Unit vectors (count, 3) evenly over the sphere, a Fibonacci spiral from the pole; the first half is above."""
    height = 1.0 - (2.0 * np.arange(count) + 1.0) / count
    azimuth = np.arange(count) * np.pi * (3.0 - np.sqrt(5.0))
    flat = np.sqrt(1.0 - height**2)
    return np.stack([flat * np.cos(azimuth), flat * np.sin(azimuth), height], axis=1)


def coverage(directions: FloatArray, symmetry: FloatArray, within_deg: float) -> float:
    """Share of all directions that are within some degrees of one of these (n, 3), or of a symmetry mate of it."""
    if not len(directions):
        return 0.0
    mates = np.einsum("ni,gij->ngj", directions, symmetry).reshape(-1, 3)
    return float(((even_directions(DIRECTIONS) @ mates.T).max(axis=1) > np.cos(np.deg2rad(within_deg))).mean())


def looking_along(directions: FloatArray) -> FloatArray:
    """Rotations (n, 3, 3) whose views are along unit vectors (n, 3), with ψ = 0."""
    x, y, z = directions.T
    rot, tilt = np.rad2deg(np.arctan2(y, x)), np.rad2deg(np.arccos(np.clip(z, -1.0, 1.0)))
    return rotation_matrices(rot, tilt, np.zeros(len(directions)))


def angles_of(rotations: FloatArray) -> FloatArray:
    """``rot``, ``tilt`` and ``psi`` in degrees of rotations (n, 3, 3), as in :func:`rotation_matrices`: (n, 3)."""
    views = looking_along(rotations[:, 2])
    plane = rotations @ np.swapaxes(views, 1, 2)
    psi = np.rad2deg(np.arctan2(plane[:, 0, 1], plane[:, 0, 0]))
    x, y, z = rotations[:, 2].T
    return np.stack([np.rad2deg(np.arctan2(y, x)), np.rad2deg(np.arccos(np.clip(z, -1.0, 1.0))), psi], axis=1)


def in_one_part(directions: FloatArray, symmetry: FloatArray) -> NDArray[np.bool_]:
    """Which directions (n, 3) lie in the part of the sphere that a symmetry (g, 3, 3) makes all of it from, (n,)."""
    order = _order(np.einsum("ni,gij->ngj", directions, symmetry))
    return np.asarray(order[:, 0] >= order.max(axis=1) - 1e-9)


def mate_in_one_part(rotations: FloatArray, symmetry: FloatArray) -> FloatArray:
    """The symmetry mates of rotations (n, 3, 3) whose directions lie in that part."""
    mates = np.einsum("nij,gjk->ngik", rotations, symmetry)
    return np.asarray(mates[np.arange(len(mates)), _order(mates[:, :, 2]).argmax(axis=1)])


def _order(directions: FloatArray) -> FloatArray:
    """Of directions (..., 3) that are mates, the one with the largest number (...,) is in the part."""
    return np.asarray(directions @ PART + 2.0 * (directions[..., 2] >= 0))


def tilted_a_little(step_deg: float) -> FloatArray:
    """Rotations (9, 3, 3) about the image's axes by a step or none, to be applied after that of a view."""
    steps = np.array([-1.0, 0.0, 1.0])
    x, y = (axis.ravel() for axis in np.meshgrid(steps, steps))
    angle = np.deg2rad(step_deg) * np.hypot(x, y)
    x, y = np.deg2rad(step_deg) * x, np.deg2rad(step_deg) * y
    zero = np.zeros(9)
    cross = np.moveaxis(np.array([[zero, zero, y], [zero, zero, -x], [-y, x, zero]]), -1, 0)
    sine = np.sinc(angle / np.pi)[:, None, None]
    cosine = (0.5 * np.sinc(angle / (2 * np.pi)) ** 2)[:, None, None]
    return np.asarray(np.eye(3) + sine * cross + cosine * (cross @ cross))
