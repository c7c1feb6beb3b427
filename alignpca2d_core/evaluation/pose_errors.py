"""Pose errors of a classification: how far each particle is from what its class agrees on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..fourier.rigid_transforms import Poses, compose, invert, wrap_degrees

FloatArray = NDArray[np.float64]
HISTOGRAM_SMOOTHING_DEG = 5
INLIER_DEG = 15.0


@dataclass(frozen=True)
class PoseErrors:
    """Errors of the particles that show their class's majority view; infinite for all others.

    Parameters
    ----------
    angle_deg, shift_px : (n,) arrays
    """

    angle_deg: FloatArray
    shift_px: FloatArray

    def within(self, angle_deg: float, shift_px: float) -> NDArray[np.bool_]:
        """Which particles are within both tolerances: (n,)."""
        return (self.angle_deg <= angle_deg) & (self.shift_px <= shift_px)


def circular_mode(angles_deg: FloatArray) -> float:
    """The angle in degrees about which most angles lie: the peak of a smoothed histogram, then a mean."""
    counts = np.bincount(np.floor(angles_deg % 360.0).astype(int) % 360, minlength=360).astype(float)
    reach = HISTOGRAM_SMOOTHING_DEG
    smooth = sum(np.roll(counts, step) * (reach + 1 - abs(step)) for step in range(-reach, reach + 1))
    peak = float(np.argmax(smooth)) + 0.5
    off = wrap_degrees(angles_deg - peak)
    near = np.abs(off) <= INLIER_DEG
    return float(wrap_degrees(peak + np.median(off[near])))


def consensus(offsets: Poses, fold: int = 1) -> Poses:
    """The one pose that most of ``offsets`` agree on.

    Parameters
    ----------
    offsets : poses that would all be equal in a perfect classification
    fold : in-plane symmetry of the view; angles count modulo 360/fold

    Returns
    -------
    Poses of length 1: the mode of the angle, and the median shift of those within 15° of it.
    """
    angle = circular_mode(offsets.psi_deg * fold) / fold
    near = np.abs(wrap_degrees((offsets.psi_deg - angle) * fold)) <= INLIER_DEG * fold
    shift_x, shift_y = np.median(offsets.shift_x_px[near]), np.median(offsets.shift_y_px[near])
    return Poses.single(angle, float(shift_x), float(shift_y))


def pose_errors(
    classes: NDArray[Any],
    shown: NDArray[np.bool_],
    poses: Poses,
    truth: Poses,
    fold: NDArray[np.int64] | None = None,
) -> PoseErrors:
    """Angle and shift errors after each class's common offset.

    The residual of a particle is the transform from its true view to its class average; the class agrees
    on one, which is free, since classes may come out turned and moved.

    Parameters
    ----------
    classes : (n,) class of each particle
    shown : (n,) whether the particle shows its class's majority view
    poses, truth : the poses found, and those that align the particles to their views
    fold : (n,) in-plane symmetry of each particle's view; 1 without

    Returns
    -------
    PoseErrors of the n particles.
    """
    offsets = compose(poses, invert(truth))
    fold = np.ones(len(classes), dtype=np.int64) if fold is None else fold
    angle, shift = np.full(len(classes), np.inf), np.full(len(classes), np.inf)
    for label in np.unique(classes[shown]):
        members = np.flatnonzero((classes == label) & shown)
        times = int(fold[members[0]])
        agreed = consensus(offsets[members], times)
        angle[members] = np.abs(wrap_degrees((offsets.psi_deg[members] - agreed.psi_deg) * times)) / times
        shift[members] = np.hypot(
            offsets.shift_x_px[members] - agreed.shift_x_px, offsets.shift_y_px[members] - agreed.shift_y_px
        )
    return PoseErrors(angle, shift)
