"""What the report says for choosing: which averages are alike, which views they show, and the choice made so far."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..choosing.class_distances import distances_and_errors
from ..choosing.selection import SELECTION, read_selection
from ..choosing.superclasses import CUT, superclasses
from ..choosing.view_coverage import ViewCoverage, view_coverage
from ..errors import InputError
from ..results.result_files import Classification

MOST_COMPARED = 300
"""Classes whose averages are compared with each other: of 200 it takes 3 s, of 400 11 s."""


def selection_beside(directory: Path) -> dict[str, Any] | None:
    """The choice that lies in a folder of results; ``None`` where there is none, as at most times."""
    try:
        found = read_selection(directory / SELECTION)
    except InputError:
        return None
    return {"version": found.version, "classes": sorted(found.classes)}


def similarity(result: Classification, counted: NDArray[np.bool_]) -> dict[str, Any] | None:
    """How alike the averages are, and which views they show; ``None`` where there are too few or too many to tell.

    Parameters
    ----------
    result : Classification
        Of k classes.
    counted : (k,) bool
        Those that are not junk: views are counted among them.
    """
    if not 2 < len(result) <= MOST_COMPARED:
        return None
    distances, errors = distances_and_errors(result.averages, result.frc)
    found = superclasses(distances, result.sizes)
    return {
        "joins": [[first, second, round(height, 4)] for first, second, height in found.joins],
        "order": found.order + 1,
        "label": found.label + 1,
        "cut": CUT,
        "views": _views(view_coverage(distances, errors, result.sizes, counted)),
    }


def _views(seen: ViewCoverage | None) -> dict[str, Any] | None:
    if seen is None:
        return None
    return {
        "interval": [seen.fewest, seen.most],
        "share": seen.share,
        "classes": [[number + 1 for number in view] for view in seen.classes],
        "times_usual": seen.times_usual,
        "preferred": seen.is_preferred,
    }
