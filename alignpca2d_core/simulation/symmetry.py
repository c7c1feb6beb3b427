"""Point groups Cn and Dn, and specimens that have them: the n-fold axis along z, a twofold axis of Dn along x."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .specimen import Scatterers, Specimen, rotation_matrices

FloatArray = NDArray[np.float64]
LEAST_LIKENESS = 0.9
TEST_BOX, TEST_VIEWS = 32, 4


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


def symmetrised(points: Scatterers, name: str) -> Scatterers:
    """A body with exactly this symmetry: the points of one asymmetric unit, and their copies."""
    dihedral, fold = group_of(name)
    if fold == 1:
        return points
    azimuth = np.arctan2(points.positions[:, 1], points.positions[:, 0]) % (2.0 * np.pi)
    unit = azimuth < 2.0 * np.pi / fold
    if dihedral:
        unit &= points.positions[:, 2] >= 0
    rotations = symmetry_rotations(name)
    copies = np.einsum("gij,aj->gai", rotations, points.positions[unit]).reshape(-1, 3)
    times = len(rotations)
    return Scatterers(copies, np.tile(points.weights[unit], times), np.tile(points.kind[unit], times), points.gaussians)


def check_symmetry(specimen: Specimen, name: str, field_angstrom: float) -> None:
    """Raise InputError unless the specimen looks the same (at 1/32 of the field) from equivalent directions."""
    rng = np.random.default_rng(0)
    rot, tilt, psi = rng.uniform(0, 360, TEST_VIEWS), rng.uniform(20, 80, TEST_VIEWS), np.zeros(TEST_VIEWS)
    views = rotation_matrices(rot, tilt, psi)
    rate = field_angstrom / TEST_BOX
    first = specimen.project(views, TEST_BOX, rate).numpy().reshape(TEST_VIEWS, -1)
    for rotation in symmetry_rotations(name)[1:]:
        other = specimen.project(views @ rotation, TEST_BOX, rate).numpy().reshape(TEST_VIEWS, -1)
        alike = min(float(np.corrcoef(a, b)[0, 1]) for a, b in zip(first, other, strict=True))
        if alike < LEAST_LIKENESS:
            raise InputError(
                f"--symmetry {name}: the specimen lacks it (correlation {alike:.2f} of equivalent views); "
                "its main axis must be z and a twofold axis of D groups x"
            )
