"""A classification as cryoSPARC's particles.cs: the input's own records where it was one, with ``alignments2D``.

cryoSPARC's shift is where RELION's origin is, in pixels, and its pose RELION's angle, in radians: a particle is turned
by the pose after the shift is taken off.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..fourier.rigid_transforms import to_relion
from ..io import cryosparc
from ..io.mrc import read_header
from ..io.output_folder import AVERAGES
from ..io.star.column_labels import SIGN
from .exported import Exported

PARTICLES_CS, TEMPLATES_CS = "particles.cs", "class_averages.cs"
ALIGNMENT: tuple[tuple[Any, ...], ...] = (
    ("alignments2D/split", "<u4"),
    ("alignments2D/shift", "<f4", (2,)),
    ("alignments2D/pose", "<f4"),
    ("alignments2D/psize_A", "<f4"),
    ("alignments2D/error", "<f4"),
    ("alignments2D/cross_cor", "<f4"),
    ("alignments2D/weight", "<f4"),
    ("alignments2D/class_posterior", "<f4"),
    ("alignments2D/class", "<u4"),
)
UNITS = np.uint64(0x9E3779B97F4A7C15)


def write_cryosparc(exported: Exported) -> tuple[list[Path], list[str]]:
    """Write the particles of classes, and the class averages, as cryoSPARC reads them; returns files and warnings."""
    directory = exported.directory
    paths = [directory / PARTICLES_CS, directory / TEMPLATES_CS]
    exported.refuse_to_overwrite(paths[0])
    is_own = exported.is_from("cryosparc") and len(exported.given) == 1
    records = cryosparc.read_records(exported.given[0].path) if is_own else new_records(exported)
    records = with_alignment(records, exported)[exported.chosen]
    cryosparc.write_records(paths[0], records)
    cryosparc.write_records(paths[1], average_records(exported))
    left, warnings = int((~exported.chosen).sum()), []
    if left:
        warnings.append(f"{left} particles are in no class that is asked for and left out of {PARTICLES_CS}")
    if not is_own and SIGN in exported.particles.table:
        warnings.append(
            "a stream keeps image, CTF, sign and place of cryoSPARC's particles: their uid and other fields are not in "
            f"{PARTICLES_CS}; blob/path and blob/idx tell which is which"
        )
    return paths, warnings


def with_alignment(records: NDArray[Any], exported: Exported) -> NDArray[Any]:
    """Records (n,) with the class and the pose of each particle in the place of those that they had."""
    result, rates = exported.result, exported.pixel_sizes
    names = records.dtype.names or ()
    added = [entry for entry in ALIGNMENT if entry[0] not in names]
    whole = np.zeros(len(records), dtype=[*records.dtype.descr, *added])
    for name in names:
        whole[name] = records[name]
    psi, x, y = to_relion(result.poses, rates)
    whole["alignments2D/shift"] = np.stack([x / rates, y / rates], axis=1)
    whole["alignments2D/pose"] = np.deg2rad(psi)
    whole["alignments2D/psize_A"] = rates
    whole["alignments2D/class"] = np.maximum(result.assignments, 0)
    whole["alignments2D/cross_cor"] = result.score
    whole["alignments2D/class_posterior"] = 1.0 if result.certainty is None else result.certainty
    for name, value in (("error", 0.0), ("weight", 1.0)):
        if f"alignments2D/{name}" not in names:
            whole[f"alignments2D/{name}"] = value
    return whole


def new_records(exported: Exported) -> NDArray[Any]:
    """Records of particles (n,) that came as other metadata; a uid for each, the same at every export."""
    particles, rates = exported.particles, exported.pixel_sizes
    paths = np.array([str(path) for path in particles.stacks]).astype(np.bytes_)
    boxes = np.array([read_header(path).box if path.is_file() else 0 for path in particles.stacks])
    columns: dict[str, NDArray[Any]] = {
        "uid": particles.ids.astype(np.uint64) * UNITS,
        "blob/path": paths[particles.stack_of],
        "blob/idx": particles.index_in_stack.astype(np.uint32),
        "blob/shape": np.repeat(boxes[particles.stack_of, None], 2, axis=1).astype(np.uint32),
        "blob/psize_A": rates.astype(np.float32),
        "blob/sign": _signs(exported),
    }
    if particles.ctf is not None:
        columns["ctf/type"] = np.full(len(rates), b"imported")
        for name, label in cryosparc.CTF.items():
            values = np.asarray(getattr(particles.ctf, name), dtype=np.float64)
            columns[label] = (np.deg2rad(values) if name in cryosparc.IN_RADIANS else values).astype(np.float32)
    return as_records(columns)


def _signs(exported: Exported) -> NDArray[np.float32]:
    """What cryoSPARC is to multiply images with, (n,): -1 for dark ones."""
    table, inverted = exported.particles.table, bool(exported.summary["settings"].get("invert"))
    given = table[SIGN] if SIGN in table else np.ones(len(exported.particles))
    return np.where((given < 0) != inverted, -1, 1).astype(np.float32)


def average_records(exported: Exported) -> NDArray[Any]:
    """Records of the class averages (k,)."""
    count, box = len(exported.result), exported.result.averages.shape[-1]
    number = np.arange(count)
    return as_records(
        {
            "uid": (number + 1).astype(np.uint64) * UNITS,
            "blob/path": np.full(count, str(exported.directory / AVERAGES).encode()),
            "blob/idx": number.astype(np.uint32),
            "blob/shape": np.full((count, 2), box, dtype=np.uint32),
            "blob/psize_A": np.full(count, exported.sampling_rate, dtype=np.float32),
            "blob/sign": np.ones(count, dtype=np.float32),
            "blob/res_A": exported.result.resolution_angstrom.astype(np.float32),
        }
    )


def as_records(columns: dict[str, NDArray[Any]]) -> NDArray[Any]:
    """Columns (n, ...) as a structured array (n,)."""
    first = next(iter(columns.values()))
    records = np.zeros(len(first), dtype=[(name, value.dtype, value.shape[1:]) for name, value in columns.items()])
    for name, value in columns.items():
        records[name] = value
    return records
