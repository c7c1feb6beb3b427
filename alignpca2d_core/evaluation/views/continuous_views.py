"""A classification of particles with continuous views against their truth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ...errors import InputError
from ...fourier.rigid_transforms import Poses
from ...io.output_folder import SUMMARY
from ...io.particle_reading import read_particles
from ...maps.views import coverage
from ...results.class_quality import GOOD
from ...settings import EvaluationSettings
from ..assignments import Assignments, read_assignments, read_images
from ..calibration import expected_calibration_error
from ..junk_figures import NO_CLASS, junk_figures, junk_table, verdicts_of
from .placement import WELL_VIEW_DEG, Placement, place
from .true_resolution import resolutions
from .view_truth import ViewTruth, read_view_truth

USEFUL_PARTICLES, USEFUL_SHARE, USEFUL_ANGSTROM = 15, 0.8, 20.0
"""A class is useful with so many particles, such a share of them among its members, half of these within
:data:`.placement.WELL_VIEW_DEG` of its view, and that view seen to so many Å."""
RESOLUTION_TOLERANCE = 0.15
BoolArray = NDArray[np.bool_]


def against_views(directory: Path, truth_csv: Path, settings: EvaluationSettings) -> dict[str, Any]:
    """All figures against the truth of continuous views, a table of junk by kind, and one of the classes.

    Boxes that reach over a micrograph's border count neither as real nor as junk: either may be said of them.  Only the
    table of classes counts them, in ``particles`` and, where they hold a particle, in ``real``.

    Raises
    ------
    InputError
        When a file is missing or does not belong to the other.
    """
    truth = read_view_truth(truth_csv, settings.symmetry)
    classes, poses, certainty = _joined(directory / "particles.xmd", truth)
    summary = _summary(directory)
    verdict = verdicts_of(classes, summary.get("verdict", []))
    real = truth.is_particle & ~truth.flags["border"]
    rng = np.random.default_rng(settings.seed)
    placed = place(classes, poses, truth, real, rng)
    whole = ~truth.flags["border"]
    figures = placed.figures(real) | junk_figures(verdict[whole], truth.is_particle[whole])
    for name in ("neighbour", "offCentre"):
        some = real & truth.flags[name]
        figures[f"well_placed_{name.lower()}"] = float(placed.well[some].mean()) if some.any() else float("nan")
    if certainty is not None:
        asked = (verdict != "junk") & (verdict != NO_CLASS) & whole
        for name, right in (("", placed.in_nearest), ("_within_15", placed.near)):
            figures["calibration_error" + name] = expected_calibration_error(certainty[asked], right[asked])
    averages, _ = read_images(directory / "classes.mrcs")
    table = _class_table(classes, placed, truth, real, averages, summary)
    return {
        "particles": len(truth),
        "used": int((classes >= 0).sum()),
        "classes": len(table),
        "figures": figures | _class_figures(table, placed, truth),
        "junk": junk_table(verdict[whole], truth.kind[whole]),
        "table": table,
    }


def _joined(path: Path, truth: ViewTruth) -> tuple[NDArray[np.int64], Poses, NDArray[np.float64] | None]:
    """Class, pose and certainty of each box of the truth; boxes that the run lacks are in no class (-1)."""
    found: Assignments = read_assignments(path)
    row = {int(item): k for k, item in enumerate(found.ids.tolist())}
    where = np.array([row.get(int(item), -1) for item in truth.ids.tolist()])
    if where.max(initial=-1) < 0:
        raise InputError(f"{path}: none of its particles is in the truth (itemId)")
    table = read_particles(path).table
    certainty = np.asarray(table["pMax"], dtype=np.float64)[where] if "pMax" in table else None
    return np.where(where >= 0, found.classes[where], -1), found.poses[where], certainty


def _summary(directory: Path) -> dict[str, Any]:
    """What summary.json says of the classes; nothing where another program made them."""
    path = directory / SUMMARY
    return dict(json.loads(path.read_text(encoding="utf-8")).get("classes", {})) if path.is_file() else {}


def _class_table(
    classes: NDArray[np.int64],
    placed: Placement,
    truth: ViewTruth,
    real: BoolArray,
    averages: torch.Tensor | None,
    summary: dict[str, Any],
) -> list[dict[str, Any]]:
    """Of each class: particles, share that is real, spread of views, resolutions in truth and as stated, verdict."""
    found = {} if averages is None else resolutions(averages, classes, real, placed, truth)
    rows = []
    for label in np.unique(classes[classes >= 0]).tolist():
        inside = classes == label
        members = inside & real
        of_members, of_view = found.get(label, (float("nan"), float("nan")))
        row = {
            "class": label + 1,
            "particles": int(inside.sum()),
            "real": float(truth.is_particle[inside].mean()),
            "view_spread_deg": float(np.median(placed.view_deg[members])) if members.any() else float("inf"),
            "well_placed": float(placed.well[members].mean()) if members.any() else 0.0,
            "resolution_of_members": of_members,
            "resolution_of_view": of_view,
            "resolution_stated": _stated(summary, "resolution_angstrom", label),
            "verdict": _stated(summary, "verdict", label) or GOOD,
        }
        seen = found == {} or of_view < USEFUL_ANGSTROM
        enough = row["particles"] * row["real"] >= USEFUL_PARTICLES and row["real"] >= USEFUL_SHARE
        row["useful"] = bool(enough and seen and row["view_spread_deg"] < WELL_VIEW_DEG)
        rows.append(row)
    return rows


def _stated(summary: dict[str, Any], name: str, label: int) -> Any:
    values = summary.get(name, [])
    return values[label] if label < len(values) else None


def _class_figures(table: list[dict[str, Any]], placed: Placement, truth: ViewTruth) -> dict[str, float]:
    """How many classes are useful, what they cover, and how true their stated resolutions are."""
    useful = [row for row in table if row["useful"]]
    good = [row for row in table if row["verdict"] == GOOD]
    poses = np.stack([placed.class_poses[row["class"] - 1] for row in useful]) if useful else np.zeros((0, 3, 3))
    figures = {
        "useful_classes": float(len(useful)),
        "good_classes": float(len(good)),
        "useful_of_good": float(np.mean([row["useful"] for row in good])) if good else float("nan"),
        "coverage_15": coverage(poses[:, 2], truth.symmetry, WELL_VIEW_DEG),
    }
    true = np.array([row["resolution_of_members"] for row in useful])
    stated = np.array([row["resolution_stated"] or np.nan for row in useful], dtype=np.float64)
    if len(useful) and np.isfinite(true).any():
        figures["resolution_of_members"] = float(np.nanmedian(true))
        figures["resolution_of_view"] = float(np.median([row["resolution_of_view"] for row in useful]))
        if np.isfinite(stated).all():
            figures["resolution_stated"] = float(np.median(stated))
            figures["stated_over_true"] = float(np.median(stated / true))
            figures["stated_within_15_percent"] = float(np.mean(np.abs(stated / true - 1.0) <= RESOLUTION_TOLERANCE))
    return figures
