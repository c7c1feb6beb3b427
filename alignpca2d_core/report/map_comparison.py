"""What the report says of a map: the projection beside each average, the curves, and which views are covered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..maps.map_views import COVERED_WITHIN_DEG, MapViews, read_map_views
from ..results.result_files import Classification
from .pictures import data_uri, grey

FEW_CLASSES, LARGE_PX, SMALL_PX = 60, 224, 160
CELLS_ACROSS = 45
"""Cells of the picture of covered views, along a side."""
CELL_WIDTH_DEG = 7.0
"""Deviation of the Gaussian by which particles of a view are counted around it."""


def add_views(
    whole: dict[str, Any], directory: Path, result: Classification, counted: NDArray[np.bool_], missing: list[str]
) -> None:
    """Add to the page what ``report --map`` found in a folder of results, if anything.

    ``counted`` (k,) are the classes that are not junk: views are counted among them.
    """
    whole["map"] = None
    try:
        views = read_map_views(directory, result.averages)
    except InputError as error:
        missing.append(str(error))
        return
    if views is None:
        return
    side = LARGE_PX if len(result) <= FEW_CLASSES else SMALL_PX
    mirrored = views.directions[:, 2] < 0
    for number, entry in enumerate(whole["classes"]):
        entry["view"] = {
            "image": data_uri(grey(views.projections[number], side)),
            "angles": np.round(views.angles[number], 1),
            "mirror": bool(mirrored[number]),
            "shift": np.round(views.shift_px[number], 2),
            "correlation": float(views.correlation[number]),
            "resolution": float(views.resolution[number]),
            "frc": np.round(views.frc[number][: len(entry["frc"])], 3),
            "at": np.round(flat(upper(views.directions[number : number + 1]))[0], 4),
        }
    whole["map"] = {
        **views.map,
        "file": Path(str(views.map["file"])).name,
        "covered": views.covered(counted),
        "within": COVERED_WITHIN_DEG,
        **_cells(views, result.sizes * counted),
    }


def upper(directions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Directions (n, 3), those below as their opposites, which are seen as mirror images."""
    return np.where(directions[:, 2:] < 0, -directions, directions)


def flat(directions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Directions (n, 3) of the upper half in the unit disc, (n, 2): equal areas stay equal (Lambert)."""
    return np.asarray(directions[:, :2] / np.sqrt(1.0 + directions[:, 2:]))


def on_sphere(places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Directions (n, 3) of the upper half at places (n, 2) in the unit disc: what :func:`flat` is undone by."""
    square = (places**2).sum(1, keepdims=True).clip(max=1.0)
    return np.concatenate([places * np.sqrt(2.0 - square), 1.0 - square], axis=1)


def _cells(views: MapViews, sizes: NDArray[np.int64]) -> dict[str, Any]:
    """Cells of the disc and how full each is, 0 to 1, by all symmetry mates and mirror images of the views."""
    axis = (np.arange(CELLS_ACROSS) + 0.5) * 2 / CELLS_ACROSS - 1
    places = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    places = places[np.hypot(*places.T) < 1.0 + 1.0 / CELLS_ACROSS]
    mates = np.einsum("ki,gij->kgj", views.directions, views.symmetry)
    angle = np.rad2deg(np.arccos(np.abs(np.einsum("kgj,cj->kgc", mates, on_sphere(places))).clip(0, 1)))
    held = sizes @ np.exp(-0.5 * (angle / CELL_WIDTH_DEG) ** 2).sum(axis=1)
    return {"across": CELLS_ACROSS, "cells": np.round(places, 3), "held": np.round(held / max(held.max(), 1e-30), 3)}
