"""Sets of opposite contrast that were joined are told by what parts them; dark views among white ones are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from alignpca2d_core.fourier.rigid_transforms import Poses
from alignpca2d_core.io.particle_set import ParticleSet
from alignpca2d_core.io.star.star_reader import Table
from alignpca2d_core.results.contrast_check import opposite_contrasts
from alignpca2d_core.results.result_files import Classification

COUNT, BOX = 200, 32


def classification(classes: NDArray[np.int64]) -> Classification:
    """Two white classes and two dark ones."""
    y, x = np.mgrid[:BOX, :BOX] - BOX // 2
    blob = np.exp(-(x**2 + y**2) / 40.0).astype(np.float32)
    none = np.zeros(COUNT)
    return Classification(
        assignments=classes,
        poses=Poses(none, none, none),
        score=none.astype(np.float32),
        averages=np.stack([blob, 0.8 * blob, -blob, -0.9 * blob]),
        sizes=np.bincount(classes, minlength=4),
        resolution_angstrom=np.full(4, 8.0),
        quality=np.full(4, 0.8),
        frc=np.zeros((4, BOX // 2 + 1)),
    )


def particles(**columns: NDArray[np.generic]) -> ParticleSet:
    rows = np.arange(COUNT)
    return ParticleSet(
        table=Table("particles", dict(columns)),
        stacks=(Path("a.mrcs"), Path("b.mrcs")),
        stack_of=(rows % 2).astype(np.int32),
        index_in_stack=rows // 2,
        enabled=np.ones(COUNT, dtype=bool),
        ids=rows + 1,
        source=Path("particles.star"),
    )


def classes_of(dark: NDArray[np.bool_]) -> NDArray[np.int64]:
    return np.arange(COUNT) % 2 + 2 * dark


@pytest.mark.parametrize("label", ["rlnOpticsGroup", "rlnMicrographName", "micrograph"])
def test_groups_of_opposite_contrast(label: str) -> None:
    rows = np.arange(COUNT)
    names = rows // 20 if label == "rlnOpticsGroup" else np.array([f"mic{k:02d}.mrc" for k in rows // 20], dtype=object)
    dark = np.isin(rows // 20, (1, 4))
    told = opposite_contrasts(classification(classes_of(dark)), particles(**{label: names}))
    assert told is not None
    kind = "optics groups 1, 4" if label == "rlnOpticsGroup" else "micrographs mic01.mrc, mic04.mrc"
    assert told.startswith(f"the 40 particles of {kind} are dark where the other 160 are white")


def test_stacks_where_nothing_else_is_known() -> None:
    told = opposite_contrasts(classification(classes_of(np.arange(COUNT) % 2 == 1)), particles())
    assert told is not None and "100 particles of stack b.mrcs" in told


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_contrasts_that_nothing_parts(share: float) -> None:
    dark = np.random.default_rng(0).uniform(size=COUNT) < share
    groups = np.arange(COUNT) // 40
    assert opposite_contrasts(classification(classes_of(dark)), particles(rlnOpticsGroup=groups)) is None
