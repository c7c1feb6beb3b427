"""Point groups Cn and Dn, and specimens that have them: the n-fold axis along z, a twofold axis of Dn along x."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..maps.views import group_of, rotation_matrices, symmetry_rotations
from .specimen import Scatterers, Specimen

FloatArray = NDArray[np.float64]
LEAST_LIKENESS = 0.9
TEST_BOX, TEST_VIEWS = 32, 4


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
