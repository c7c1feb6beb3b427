"""Poses that metadata gives: Xmipp's, RELION's and cryoSPARC's labels for the same thing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from alignpca2d_core.errors import InputError
from alignpca2d_core.fourier.rigid_transforms import Poses, to_relion, wrap_degrees
from alignpca2d_core.io.cryosparc import _given_poses
from alignpca2d_core.io.given_poses import ALONG, KEPT, given_poses, with_poses
from alignpca2d_core.io.particle_set import ParticleSet
from alignpca2d_core.io.star.star_reader import Table
from alignpca2d_core.settings import Settings

RATE = 1.7
POSES = Poses(np.array([-170.0, 12.5, 99.0]), np.array([1.25, -3.0, 0.0]), np.array([0.5, 2.0, -7.5]))
PSI, X, Y = to_relion(POSES, RATE)
XMIPP = {"anglePsi": POSES.psi_deg, "shiftX": POSES.shift_x_px, "shiftY": POSES.shift_y_px}
ALIGNED = np.zeros(3, dtype=[("alignments2D/pose", "f8"), ("alignments2D/shift", "f8", 2), ("blob/psize_A", "f8")])
ALIGNED["alignments2D/pose"], ALIGNED["blob/psize_A"] = np.deg2rad(PSI), RATE
ALIGNED["alignments2D/shift"] = np.stack([X, Y], 1) / RATE
DIALECTS = {
    "xmipp": XMIPP,
    "in-plane angle in angleRot": {**XMIPP, "anglePsi": 0 * PSI, "angleRot": POSES.psi_deg, "angleTilt": 0 * PSI},
    "relion": {"rlnAnglePsi": PSI, "rlnOriginXAngst": X, "rlnOriginYAngst": Y},
    "relion 3.0": {"rlnAnglePsi": PSI, "rlnOriginX": X / RATE, "rlnOriginY": Y / RATE},
    "cryosparc": _given_poses(ALIGNED),
}


def particles(columns: dict[str, np.ndarray], dialect: str = "xmipp", rate: float | None = RATE) -> ParticleSet:
    count = np.arange(3)
    return ParticleSet(
        table=Table("particles", columns),
        stacks=(Path("a.mrcs"),),
        stack_of=np.zeros(3, dtype=np.int32),
        index_in_stack=count,
        enabled=np.ones(3, dtype=bool),
        ids=count + 1,
        source=Path("particles.star"),
        dialect=dialect,
        sampling_rate=rate,
    )


@pytest.mark.parametrize("columns", DIALECTS.values(), ids=DIALECTS)
def test_every_program_says_the_same_pose(columns: dict[str, np.ndarray]) -> None:
    given = given_poses(particles(columns), KEPT, None)
    assert given is not None
    np.testing.assert_allclose(wrap_degrees(given.poses.psi_deg - POSES.psi_deg), 0, atol=1e-9)
    np.testing.assert_allclose(given.poses.shift_x_px, POSES.shift_x_px, atol=1e-9)
    np.testing.assert_allclose(given.poses.shift_y_px, POSES.shift_y_px, atol=1e-9)
    assert given.delivered(Poses.identity(3)) is given.poses
    assert not given.flip.any()


@pytest.mark.parametrize("label", ["rlnAnglePsiPrior", "filament/filament_pose", "anglePsi"])
def test_filaments_begin_from_their_angle_alone(label: str) -> None:
    columns = {label: POSES.psi_deg if label == "anglePsi" else -POSES.psi_deg}
    if label == "filament/filament_pose":
        records = np.zeros(3, dtype=[(label, "f8")])
        records[label] = np.deg2rad(POSES.psi_deg)
        columns = _given_poses(records)
    given = given_poses(particles(columns), ALONG, None)
    assert given is not None
    np.testing.assert_allclose(wrap_degrees(given.poses.psi_deg - POSES.psi_deg), 0, atol=1e-9)
    assert not given.poses.shift_x_px.any()
    found = given.delivered(Poses(np.full(3, 4.0), np.ones(3), np.zeros(3)))
    np.testing.assert_allclose(wrap_degrees(found.psi_deg - POSES.psi_deg), 4.0, atol=1e-9)
    np.testing.assert_allclose(found.shift_x_px, 1.0)


def test_mirrored_particles_are_told() -> None:
    given = given_poses(particles({**XMIPP, "flip": np.array([0, 1, 0])}), KEPT, None)
    assert given is not None
    assert given.flip.tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("columns", "wanted", "said"),
    [
        ({"image": np.zeros(3)}, KEPT, "^--no-align: particles.star has no poses"),
        ({"anglePsi": np.zeros(3)}, KEPT, "^--no-align: particles.star has no poses"),
        ({"rlnAnglePsi": np.zeros(3)}, ALONG, "^--psi-range: particles.star has no in-plane angles"),
        ({**XMIPP, "shiftX": np.array([0, np.nan, 0])}, KEPT, "row 2: its angle or its shift is no number"),
    ],
)
def test_what_is_missing_is_said_in_one_line(columns: dict[str, np.ndarray], wanted: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        given_poses(particles(columns), wanted, None)


def test_origins_in_angstrom_need_a_pixel_size() -> None:
    lacking = particles(DIALECTS["relion"], rate=None)
    with pytest.raises(InputError, match="no pixel size"):
        given_poses(lacking, KEPT, None)
    given = given_poses(lacking, KEPT, RATE)
    assert given is not None
    np.testing.assert_allclose(given.poses.shift_x_px, POSES.shift_x_px, atol=1e-9)


def test_a_stream_gets_the_poses_under_xmipps_labels() -> None:
    kept = with_poses(particles(DIALECTS["relion"], "relion"), Settings(no_align=True))
    np.testing.assert_allclose(kept.table["shiftX"], POSES.shift_x_px, atol=1e-9)
    plain = particles(DIALECTS["relion"], "relion")
    assert with_poses(plain, Settings()) is plain
