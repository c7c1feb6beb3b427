"""Poses and in-plane angles that metadata gives particles: Xmipp's, RELION's and cryoSPARC's labels for them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..fourier.rigid_transforms import FloatArray, Poses, compose, from_relion, wrap_degrees
from ..settings import Settings
from .particle_set import ParticleSet
from .star.star_reader import Table

POSE_LABELS = ("anglePsi", "shiftX", "shiftY", "flip")
"""Xmipp's labels of a pose in the plane."""
PSI_PRIOR = "rlnAnglePsiPrior"
"""RELION's label of a filament's in-plane angle; what cryoSPARC's filaments have is brought under it."""
KEPT, ALONG = "kept", "along"
"""What may be wanted: whole poses, that stay as they are; or the rotations that lay filaments along x."""
MISSING = {
    KEPT: (
        "--no-align",
        "poses (anglePsi, shiftX and shiftY of Xmipp; rlnAnglePsi, rlnOriginXAngst and rlnOriginYAngst of RELION; "
        "alignments2D of cryoSPARC)",
    ),
    ALONG: (
        "--psi-range",
        "in-plane angles (rlnAnglePsiPrior of RELION, anglePsi of Xmipp, filament/filament_pose of cryoSPARC)",
    ),
}
"""The option that wants them, and what its particles then lack."""


@dataclass(frozen=True)
class GivenPoses:
    """What the metadata says of the poses of n particles.

    Attributes
    ----------
    poses : Poses
        Transforms of the particles, shifts in their own pixels; those of filaments are rotations alone.
    flip : (n,) bool array
        Whether a particle is mirrored along x, after its rotation and before its shift.
    are_kept : bool
        Whether they are the result too; else what is found comes on top of them.
    """

    poses: Poses
    flip: NDArray[np.bool_]
    are_kept: bool

    def delivered(self, found: Poses) -> Poses:
        """The whole transforms of the particles, from those found (n,) in the frames that these poses make."""
        return self.poses if self.are_kept else compose(found, self.poses)

    def columns(self) -> dict[str, NDArray[np.generic]]:
        """Under Xmipp's labels, (n,) each."""
        values = self.poses.psi_deg, self.poses.shift_x_px, self.poses.shift_y_px, self.flip.astype(np.int64)
        return dict(zip(POSE_LABELS, values, strict=True))

    def given_to(self, particles: ParticleSet) -> ParticleSet:
        """The particles with these under Xmipp's labels."""
        return replace(particles, table=Table(particles.table.name, {**particles.table.columns, **self.columns()}))


def poses_wanted(settings: Settings) -> str | None:
    """What the settings ask of the poses in the metadata: :data:`KEPT`, :data:`ALONG` or nothing."""
    return KEPT if settings.no_align else ALONG if settings.psi_range is not None else None


def given_poses(particles: ParticleSet, wanted: str | None, sampling_rate: float | None) -> GivenPoses | None:
    """The poses that are to be kept, or that lay filaments along x; None where nothing is wanted.

    Parameters
    ----------
    particles : ParticleSet
    wanted : str, optional
        See :func:`poses_wanted`.
    sampling_rate : float, optional
        Å/px, where the metadata does not say.

    Raises
    ------
    InputError
        When the metadata lacks them, or has some that are no numbers.
    """
    if wanted is None:
        return None
    found = _kept(particles, sampling_rate) if wanted == KEPT else _along(particles)
    if found is None:
        raise InputError(f"{MISSING[wanted][0]}: {particles.source} has no {MISSING[wanted][1]}")
    columns = found.psi_deg, found.shift_x_px, found.shift_y_px
    known = np.isfinite(columns).all(0)
    bad = np.flatnonzero(particles.enabled & ~known)
    if len(bad):
        raise InputError(f"{particles.source}, row {bad[0] + 1}: its angle or its shift is no number")
    flip = _numbers(particles.table, "flip") if wanted == KEPT else None
    mirrored = np.zeros(len(particles), dtype=bool) if flip is None else flip > 0
    return GivenPoses(Poses(*(np.where(known, column, 0.0) for column in columns)), mirrored, wanted == KEPT)


def with_poses(particles: ParticleSet, settings: Settings) -> ParticleSet:
    """The particles with what the settings want of their poses under Xmipp's labels, which a stream keeps."""
    given = given_poses(particles, poses_wanted(settings), settings.sampling_rate)
    if given is None or particles.dialect == "xmipp":
        return particles
    return given.given_to(particles)


def _kept(particles: ParticleSet, sampling_rate: float | None) -> Poses | None:
    """Rotation and shift of each particle."""
    table = particles.table
    psi, x, y = (_numbers(table, label) for label in POSE_LABELS[:3])
    if psi is not None and x is not None and y is not None:
        rot, tilt = _numbers(table, "angleRot"), _numbers(table, "angleTilt")
        if rot is not None:  # Scipion writes in-plane angles there: without a tilt both turn in the plane
            psi = psi + np.where((0.0 if tilt is None else tilt) == np.zeros(len(psi)), rot, 0.0)
        return Poses(psi, x, y)
    psi = _numbers(table, "rlnAnglePsi")
    rate = particles.pixel_sizes if particles.pixel_sizes is not None else particles.sampling_rate
    rate = sampling_rate if rate is None else rate
    for in_angst, labels in ((True, ("rlnOriginXAngst", "rlnOriginYAngst")), (False, ("rlnOriginX", "rlnOriginY"))):
        x, y = (_numbers(table, label) for label in labels)
        if psi is not None and x is not None and y is not None:
            if in_angst and rate is None:
                raise InputError(f"{particles.source}: shifts are in Å, and there is no pixel size: --sampling-rate")
            return from_relion(psi, x, y, rate if in_angst and rate is not None else 1.0)
    return None


def _along(particles: ParticleSet) -> Poses | None:
    """The rotation that lays each filament along x."""
    for label, sign in ((PSI_PRIOR, -1.0), ("anglePsi", 1.0)):
        psi = _numbers(particles.table, label)
        if psi is not None:
            return Poses(wrap_degrees(sign * psi), *np.zeros((2, len(psi))))
    return None


def _numbers(table: Table, label: str) -> FloatArray | None:
    """A column (n,) of numbers; None where there is none."""
    if label not in table or table[label].dtype == object:
        return None
    return np.asarray(table[label], dtype=np.float64)
