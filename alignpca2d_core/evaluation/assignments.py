"""What :mod:`.evaluate` reads: classes and poses of particles, ours or others', the truth, and images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import InputError
from ..fourier.rigid_transforms import Poses, from_relion
from ..io.particle_reading import read_particles
from ..io.particle_set import ParticleSet

TRUTH_COLUMNS = ("itemId", "view", "conformation", "psi", "shiftX", "shiftY")


@dataclass(frozen=True)
class Assignments:
    """Classes of n particles.

    Parameters
    ----------
    ids, names : (n,) itemId, and image number and stack name
    has_ids : whether the ids are the file's own
    classes : (n,) from 0; -1 where the particle was not used
    poses : poses of n particles
    source : the file
    """

    ids: NDArray[np.int64]
    names: NDArray[Any]
    has_ids: bool
    classes: NDArray[np.int64]
    poses: Poses
    source: Path


@dataclass(frozen=True)
class Truth:
    """What truth.csv says of n particles: ids, view (-1: junk), conformation, poses that align them to their view."""

    ids: NDArray[np.int64]
    view: NDArray[np.int64]
    conformation: NDArray[np.int64]
    poses: Poses


def read_assignments(path: Path) -> Assignments:
    """Classes and poses from an .xmd (``ref``) or a RELION .star (``rlnClassNumber``).

    Raises
    ------
    InputError
        When the file cannot be read or has no column of classes.
    """
    particles = read_particles(path)
    table = particles.table
    label = next((name for name in ("ref", "rlnClassNumber") if name in table), None)
    if label is None:
        raise InputError(f"{path}: no column of classes (_ref or _rlnClassNumber)")
    classes = np.asarray(table[label], dtype=np.int64) - 1
    stems = [stack.name for stack in particles.stacks]
    pairs = zip(particles.index_in_stack.tolist(), particles.stack_of.tolist(), strict=True)
    return Assignments(
        particles.ids,
        np.array([f"{index + 1}@{stems[stack]}" for index, stack in pairs], dtype=object),
        "itemId" in table,
        np.where(particles.enabled & (classes >= 0), classes, -1),
        _poses(particles),
        path,
    )


def _poses(particles: ParticleSet) -> Poses:
    """The particles' poses by Xmipp's or RELION's labels; zero where there are none."""
    zero = np.zeros(len(particles))

    def column(name: str) -> NDArray[np.float64]:
        return np.asarray(particles.table[name], dtype=np.float64) if name in particles.table else zero

    if particles.dialect == "relion" and particles.sampling_rate is not None:
        sizes = particles.pixel_sizes
        rate = np.full(len(particles), particles.sampling_rate) if sizes is None else sizes
        origins = [column(f"rlnOrigin{axis}Angst") + rate * column(f"rlnOrigin{axis}") for axis in "XY"]
        return from_relion(column("rlnAnglePsi"), origins[0], origins[1], rate)
    return Poses(column("anglePsi"), column("shiftX"), column("shiftY"))


def read_truth(path: Path) -> Truth:
    """truth.csv as ``simulate`` writes it.

    Raises
    ------
    InputError
        When the file is missing, a column is missing, or a value is no number.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    with path.open(encoding="utf-8") as lines:
        names = next(lines, "").strip().split(",")
        missing = [name for name in TRUTH_COLUMNS if name not in names]
        if missing:
            raise InputError(f"{path}: no column {missing[0]}")
        wanted = [names.index(name) for name in TRUTH_COLUMNS]
        try:
            rows = [line.split(",") for line in lines if line.strip()]
            table = np.array([[float(row[k]) for k in wanted] for row in rows])
        except (ValueError, IndexError) as error:
            raise InputError(f"{path}: a row lacks a number ({error})") from error
    if not len(table):
        raise InputError(f"{path}: no particles")
    ids, view, conformation = (table[:, k].astype(np.int64) for k in range(3))
    return Truth(ids, view, conformation, Poses(table[:, 3], table[:, 4], table[:, 5]))


def read_images(path: Path) -> tuple[torch.Tensor | None, float]:
    """A stack (n, D, D) as float32 and its pixel size in Å; None where there is no such file.

    Raises
    ------
    InputError
        When the file is there but is no MRC stack.
    """
    if not path.is_file():
        return None, 1.0
    try:
        with mrcfile.open(path) as file:
            images, pixel = np.array(file.data, dtype=np.float32, ndmin=3), float(file.voxel_size.x)
    except (ValueError, TypeError) as error:
        raise InputError(f"{path}: not an MRC stack ({error})") from error
    return torch.from_numpy(images), pixel or 1.0


def common_rows(first: Assignments, second: Assignments) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of the same particles in both, by itemId where both have it, else by image number and stack name.

    Raises
    ------
    InputError
        When there are none.
    """
    by_id = first.has_ids and second.has_ids
    keys, others = (one.ids if by_id else one.names for one in (first, second))
    row_of = {key: row for row, key in enumerate(keys.tolist())}
    pairs = [(row_of[key], row) for row, key in enumerate(others.tolist()) if key in row_of]
    if not pairs:
        raise InputError(f"{second.source}: no particle in common with {first.source}")
    rows = np.array(pairs, dtype=np.int64)
    return rows[:, 0], rows[:, 1]
