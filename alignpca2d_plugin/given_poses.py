"""What Scipion's particles say of their poses, as values of the core's metadata."""

import numpy as np

from .constants import FLIP_LABEL, PSI_LABEL, SHIFT_X_LABEL, SHIFT_Y_LABEL

POSE_LABELS = (PSI_LABEL, SHIFT_X_LABEL, SHIFT_Y_LABEL, FLIP_LABEL)
PSI_PRIOR = "_rlnAnglePsiPrior"
"""Where scipion-em-relion keeps RELION's prior of a filament's in-plane angle."""


def whole_pose(particle):
    """The values of POSE_LABELS as text; None where the particle has no transform in the plane.

    x' = A·x + t with A = F·[[cos ψ, sin ψ], [−sin ψ, cos ψ]], where F mirrors x, or not.
    """
    transform = particle.getTransform() if particle.hasTransform() else None
    if transform is None:
        return None
    matrix = np.array(transform.getMatrix())
    turn, flip = matrix[:2, :2].copy(), np.linalg.det(matrix[:2, :2]) < 0
    if flip:
        turn[0] *= -1
    psi = np.rad2deg(np.arctan2(turn[0, 1] - turn[1, 0], turn[0, 0] + turn[1, 1]))
    return [f"{psi:.6f}", f"{matrix[0, 3]:.6f}", f"{matrix[1, 3]:.6f}", str(int(flip))]


def angle_along(particle):
    """The same of a rotation that lays a filament along x; None where nothing is known of it."""
    prior = getattr(particle, PSI_PRIOR, None)
    if prior is not None and prior.get() is not None:
        return [f"{-prior.get():.6f}", "0", "0", "0"]
    pose = whole_pose(particle)
    return None if pose is None else [pose[0], "0", "0", "0"]
