"""The truth of particles with continuous views, as ``simulate`` writes it."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import torch
from numpy.typing import NDArray

from ...errors import InputError
from ...fourier.rigid_transforms import Poses, invert
from ...maps.density import Density
from ...maps.views import rotation_matrices, symmetry_rotations
from ...simulation.junk_kinds import PARTICLE

FloatArray = NDArray[np.float64]
NUMBERS = ("itemId", "rot", "tilt", "psi", "shiftX", "shiftY")
FLAGS = ("neighbour", "offCentre", "border")


@dataclass(frozen=True)
class ViewTruth:
    """What truth.csv and simulation.json say of n boxes.

    Parameters
    ----------
    ids : (n,)
    kind : (n,) ``particle`` or a kind of junk
    rotations : (n, 3, 3) what the specimen was turned by; the rows are the box's x and y axes and the viewing direction
    offsets_px : (n, 2) where the particle lies in its box
    flags : (n,) bool by name: neighbour, offCentre, border
    symmetry : (g, 3, 3)
    density : the specimen, None where density.mrc is not there
    box, sampling_rate : of the images, pixels and Å/px
    """

    ids: NDArray[np.int64]
    kind: NDArray[np.str_]
    rotations: FloatArray
    offsets_px: FloatArray
    flags: dict[str, NDArray[np.bool_]]
    symmetry: FloatArray
    density: Density | None
    box: int
    sampling_rate: float

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def is_particle(self) -> NDArray[np.bool_]:
        """(n,) bool."""
        return np.asarray(self.kind == PARTICLE)


def has_views(path: Path) -> bool:
    """Whether a truth.csv is of continuous views."""
    if not path.is_file():
        return False
    with path.open(encoding="utf-8") as lines:
        return {"rot", "tilt", "kind"} <= set(next(lines, "").strip().split(","))


def read_view_truth(path: Path, symmetry: str | None = None) -> ViewTruth:
    """truth.csv with simulation.json and, where it is there, density.mrc beside it.

    Parameters
    ----------
    symmetry : by default that of simulation.json

    Raises
    ------
    InputError
        When a file is missing or lacks something, or the symmetry has no such name.
    """
    with path.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    if not rows:
        raise InputError(f"{path}: no particles")
    missing = [name for name in (*NUMBERS, *FLAGS, "kind") if name not in rows[0]]
    if missing:
        raise InputError(f"{path}: no column {missing[0]}")
    try:
        number = {name: np.array([float(row[name]) for row in rows]) for name in (*NUMBERS, *FLAGS)}
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: a row lacks a number ({error})") from error
    settings = _simulation(path.with_name("simulation.json"))
    undone = invert(Poses(number["psi"], number["shiftX"], number["shiftY"]))
    return ViewTruth(
        ids=number["itemId"].astype(np.int64),
        kind=np.array([row["kind"] for row in rows]),
        rotations=rotation_matrices(number["rot"], number["tilt"], undone.psi_deg),
        offsets_px=np.stack([undone.shift_x_px, undone.shift_y_px], axis=1),
        flags={name: number[name] > 0 for name in FLAGS},
        symmetry=symmetry_rotations(symmetry or str(settings["symmetry"])),
        density=_density(path.with_name("density.mrc")),
        box=int(settings["box"]),
        sampling_rate=float(settings["sampling_rate"]),
    )


def _simulation(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise InputError(f"{path}: no such file; it belongs to the truth")
    settings = json.loads(path.read_text(encoding="utf-8")).get("settings", {})
    missing = [name for name in ("box", "sampling_rate", "symmetry") if name not in settings]
    if missing:
        raise InputError(f"{path}: no setting {missing[0]}")
    return dict(settings)


def _density(path: Path) -> Density | None:
    if not path.is_file():
        return None
    with mrcfile.open(path) as file:
        return Density(torch.from_numpy(np.array(file.data, dtype=np.float32)), float(file.voxel_size.x))
