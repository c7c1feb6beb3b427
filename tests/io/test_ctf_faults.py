"""CTFs that are none: found, named by row, column and value, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from alignpca2d_core.errors import InputError
from alignpca2d_core.fourier.ctf import CtfParameters
from alignpca2d_core.io.diagnosis.ctf_faults import faults_of

LABELS = {"defocus_u": "rlnDefocusU", "voltage": "rlnVoltage", "phase_shift": "rlnPhaseShift"}
GOOD = {
    "defocus_u": 12000.0,
    "defocus_v": 11000.0,
    "defocus_angle": 30.0,
    "voltage": 300.0,
    "spherical_aberration": 2.7,
    "amplitude_contrast": 0.1,
    "phase_shift": 0.0,
}


def ctf(count: int = 6, row: int = 2, **changes: float) -> CtfParameters:
    columns = {name: np.full(count, value) for name, value in GOOD.items()}
    for name, value in changes.items():
        columns[name][row] = value
    return CtfParameters(**columns)


@pytest.mark.parametrize(
    "changes",
    [
        {"defocus_u": 0.0},
        {"defocus_u": -999.0, "defocus_v": -1.0},
        {"defocus_v": -1.0},
        {"defocus_u": float("nan")},
        {"defocus_u": 3.0, "defocus_v": 3.0},
        {"defocus_u": 1e9},
        {"voltage": 300_000.0},
        {"voltage": 0.0},
        {"phase_shift": float("nan")},
        {"amplitude_contrast": 7.0},
        {"spherical_aberration": float("inf")},
    ],
    ids=str,
)
def test_a_failed_row_is_found(changes: dict[str, float]) -> None:
    faults = faults_of(ctf(**changes), LABELS)
    assert np.flatnonzero(faults.rows).tolist() == [2]
    assert faults.what.startswith("_")
    assert f"{next(iter(changes.values())):g}" in faults.what or "defocus_v" in faults.what
    assert "1 rows (the first is 3)" in faults.warnings("file")[0]


@pytest.mark.parametrize(
    "changes",
    [{}, {"defocus_u": -8000.0, "defocus_v": -8200.0}, {"defocus_u": 60.0, "defocus_v": 60.0, "phase_shift": 90.0}],
    ids=["usual", "overfocus", "phase plate in focus"],
)
def test_what_a_microscope_does_is_no_fault(changes: dict[str, float]) -> None:
    faults = faults_of(ctf(**changes), LABELS)
    assert not faults.rows.any() and not faults.doubt
    assert not faults.warnings("file")


def test_micrometres_are_doubted_and_not_set_aside() -> None:
    columns = {name: np.full(3, value) for name, value in GOOD.items()}
    columns["defocus_u"] = columns["defocus_v"] = np.array([1.2, 0.9, 2.1])
    faults = faults_of(CtfParameters(**columns), LABELS)
    assert not faults.rows.any()
    assert "2.1 Å" in faults.doubt


def test_when_nothing_else_is_left() -> None:
    faults = faults_of(ctf(voltage=300_000.0), LABELS)
    with pytest.raises(InputError, match=r"file, row 3: _rlnVoltage 300000 is no voltage in kV .*300\).*--ctf none"):
        raise faults.refusal("file")
    assert not faults.among(np.arange(6) != 2).warnings("file")
