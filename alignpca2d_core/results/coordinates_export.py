"""Coordinates moved to where the particles' centres were found, so that they can be extracted again.

``coordinates.star`` lists the micrographs with a star file each, as RELION's extraction takes it; every picker's and
extractor's reader takes the single files.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..fourier.rigid_transforms import invert
from ..io.star.star_reader import Table, parse, scan
from ..io.verbatim.row_text import words
from .exported import Exported
from .relion_export import star_text, write_star

FOLDER, INDEX = "coordinates", "coordinates.star"
SUFFIX = "_alignpca2d.star"
MICROGRAPH_PIXEL = ("rlnMicrographPixelSize", "rlnMicrographOriginalPixelSize")
NEEDED = {"micrograph": "rlnMicrographName", "xcoor": "rlnCoordinateX", "ycoor": "rlnCoordinateY"}


@dataclass(frozen=True)
class Moved:
    """Where n particles of a set are in their micrographs.

    Parameters
    ----------
    rows : (n,) int64 array
        Of the particles in the set.
    micrograph : (n,) object array of str
    x, y : (n,) float64 array, pixels of the micrograph
        Of the centres that were found.
    pixel_size : (n,) float64 array
        Å per pixel of the micrograph.
    """

    rows: NDArray[np.int64]
    micrograph: NDArray[Any]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    pixel_size: NDArray[np.float64]

    def subset(self, index: NDArray[Any]) -> Moved:
        """Some of them."""
        return Moved(*(value[index] for value in vars(self).values()))


def write_coordinates(
    exported: Exported, distance: float | None = None, micrograph_pixel_size: float | None = None
) -> tuple[list[Path], list[str]]:
    """Write the coordinates of the particles in classes, moved by their shifts.

    Parameters
    ----------
    exported : Exported
    distance : float, Å, optional
        Of particles that are nearer to each other in a micrograph, the one that fits its class best is kept.
    micrograph_pixel_size : float, Å, optional
        By default what the particles' metadata says.

    Returns
    -------
    The file that lists the others, and warnings.

    Raises
    ------
    InputError
        When the particles have no coordinates or no micrographs.
    """
    moved, warnings = moved_coordinates(exported, micrograph_pixel_size)
    if distance is not None:
        kept = without_duplicates(moved, exported.result.score[moved.rows], distance)
        warnings.append(f"{len(moved.rows) - int(kept.sum())} particles nearer than {distance:g} Å to another left out")
        moved = moved.subset(kept)
    temporary, earlier = (exported.directory / f".{FOLDER}.{os.getpid()}.{word}" for word in ("part", "earlier"))
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        names, files = [], []
        for name, file, rows in _by_micrograph(moved):
            path = temporary / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(star_text(path, {"": _table(exported, moved.subset(rows))}), "utf-8", "surrogateescape")
            names.append(name)
            files.append(str(exported.directory / FOLDER / file))
        final = exported.directory / FOLDER
        if final.exists():
            final.replace(earlier)
        temporary.replace(final)
        shutil.rmtree(earlier, ignore_errors=True)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    columns = {"rlnMicrographName": names, "rlnMicrographCoordinates": files}
    table = Table("coordinate_files", {label: np.array(values, dtype=object) for label, values in columns.items()})
    write_star(exported.directory / INDEX, {"coordinate_files": table})
    return [exported.directory / INDEX], warnings


def moved_coordinates(exported: Exported, micrograph_pixel_size: float | None = None) -> tuple[Moved, list[str]]:
    """The coordinates of the chosen particles moved by their shifts, and warnings.

    The middle of the average lies in a particle at the shift of its inverse pose; a pixel of the particle is as many
    of the micrograph as their sizes say.
    """
    table = exported.particles.table
    missing = [relion for label, relion in NEEDED.items() if label not in table]
    if missing:
        raise InputError(f"{exported.directory}: the particles have no {' and no '.join(missing)}, so nothing to move")
    rates, warnings = micrograph_pixel_sizes(exported, micrograph_pixel_size)
    offset = invert(exported.result.poses)
    scale = exported.pixel_sizes / rates
    x, y = (np.asarray(table[label], dtype=np.float64) for label in ("xcoor", "ycoor"))
    names = np.array([str(name) for name in table["micrograph"]], dtype=object)
    rows = np.flatnonzero(exported.chosen)
    found = Moved(
        np.arange(len(x)), names, x + scale * offset.shift_x_px, y + scale * offset.shift_y_px, np.asarray(rates)
    )
    return found.subset(rows), warnings


def micrograph_pixel_sizes(exported: Exported, given: float | None) -> tuple[NDArray[np.float64], list[str]]:
    """Å per pixel of each particle's micrograph, (n,), and a warning where that is a guess."""
    if given is not None:
        return np.full(len(exported.particles), given), []
    for label in MICROGRAPH_PIXEL:
        found = _column(exported, label)
        if found is not None and (found > 0).all():
            guess = f"the micrographs' pixel size is taken from {label}: if they were binned, give "
            return found, [] if label == MICROGRAPH_PIXEL[0] else [f"{guess}--micrograph-sampling-rate"]
    guess = "the micrographs' pixel size is not known and taken to be the particles'"
    return exported.pixel_sizes, [f"{guess}: if they were scaled, give --micrograph-sampling-rate"]


def _column(exported: Exported, label: str) -> NDArray[np.float64] | None:
    """A column of numbers (n,) of RELION's metadata, from the particles or their optics groups."""
    if not exported.is_from("relion"):
        return None
    parts = []
    for given in exported.given:
        labels = given.text().labels
        optics = next((parse(block) for block in scan(given.path) if block.name == "optics"), Table())
        wanted = label if label in labels else "rlnOpticsGroup"
        if wanted not in labels or (wanted != label and (label not in optics or wanted not in optics)):
            return None
        place = labels.index(wanted)
        column = np.array([float(words(line, len(labels))[place]) for line in given.lines()])
        if wanted != label:
            of_group = dict(zip(optics[wanted].tolist(), optics[label].tolist(), strict=True))
            column = np.array([of_group.get(int(group), 0.0) for group in column.tolist()])
        parts.append(column)
    return np.concatenate(parts)[: len(exported.particles)]  # a stream may have taken in more than it has delivered


def without_duplicates(moved: Moved, score: NDArray[np.float32], distance: float) -> NDArray[np.bool_]:
    """Which particles (n,) to keep so that none is nearer than ``distance`` Å to another: the best score first."""
    kept = np.ones(len(moved.rows), dtype=bool)
    order = np.lexsort((-score, moved.micrograph.astype(str)))
    edges = np.flatnonzero(moved.micrograph[order][1:] != moved.micrograph[order][:-1]) + 1
    for group in np.split(order, edges):
        place = np.stack([moved.x, moved.y], axis=1)[group] * moved.pixel_size[group, None]
        for k in range(len(group)):
            if kept[group[k]]:
                near = ((place[k + 1 :] - place[k]) ** 2).sum(axis=1) < distance**2
                kept[group[k + 1 :][near]] = False
    return kept


def _by_micrograph(moved: Moved) -> Iterator[tuple[str, str, NDArray[np.int64]]]:
    """Name, file within the folder, and particles of each micrograph."""
    names, first, inverse = np.unique(moved.micrograph.astype(str), return_index=True, return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    groups = np.split(order, np.searchsorted(inverse[order], np.arange(1, len(names))))
    taken: set[str] = set()
    for k in np.argsort(first).tolist():
        path = PurePosixPath(*(part for part in PurePosixPath(names[k]).parts if part not in ("/", "..", ".")))
        file = str(path.with_name(path.stem + SUFFIX))
        file = str(path) + SUFFIX if file in taken else file
        taken.add(file)
        yield str(names[k]), file, groups[k]


def _table(exported: Exported, moved: Moved) -> Table:
    result = exported.result
    columns: dict[str, NDArray[Any]] = {
        "rlnCoordinateX": moved.x,
        "rlnCoordinateY": moved.y,
        "rlnClassNumber": result.assignments[moved.rows] + 1,
        "rlnAnglePsi": -result.poses.psi_deg[moved.rows],
        "rlnAutopickFigureOfMerit": result.score[moved.rows],
    }
    return Table("", columns)
