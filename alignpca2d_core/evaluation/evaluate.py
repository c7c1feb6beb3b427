"""A classification against the truth of a simulation, or against another classification."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import InputError
from ..evaluation import partition_metrics
from ..io.output_folder import PARTICLES, require_results
from ..settings import EvaluationSettings
from ..simulation.particle_sampling import JUNK
from .assignments import common_rows, read_assignments, read_images, read_truth
from .average_quality import compare, in_plane_fold
from .evaluation_table import format_table
from .metrics import class_table, conformation_figures, join, partition_figures, pose_figures, quality_figures
from .views.continuous_views import against_views
from .views.view_truth import has_views

__all__ = ["evaluate", "format_table"]

CHANCE_ROUNDS = 10


def against_truth(directory: Path, truth_csv: Path, settings: EvaluationSettings) -> dict[str, Any]:
    """All figures against the truth, those of chance beside them, and a table of the classes.

    Raises
    ------
    InputError
        When a file is missing or does not belong to the other.
    """
    if not (directory / PARTICLES).exists():
        require_results(directory)
    assignments, truth = read_assignments(directory / PARTICLES), read_truth(truth_csv)
    joined = join(assignments, truth)
    views, _ = read_images(truth_csv.with_name("views.mrcs"))
    folds = None if views is None else np.array([in_plane_fold(view) for view in views])
    result: dict[str, Any] = {
        "particles": len(joined.view),
        "used": int((joined.classes >= 0).sum()),
        "classes": len(joined.majorities()),
        "views": int(joined.view.max()) + 1,
        "figures": partition_figures(joined) | pose_figures(joined, settings),
        "table": class_table(joined),
    }
    if folds is not None and folds.max() > 1:
        symmetric = pose_figures(joined, settings, folds)
        result["figures"] |= {f"{name}_modulo_symmetry": value for name, value in symmetric.items()}
    rng = np.random.default_rng(settings.seed)
    rounds = [joined.shuffled(rng) for _ in range(CHANCE_ROUNDS)]
    by_chance = [partition_figures(one) | pose_figures(one, settings) for one in rounds]
    result["chance"] = {name: float(np.mean([one[name] for one in by_chance])) for name in by_chance[0]}
    averages, sampling_rate = read_images(directory / "classes.mrcs")
    if averages is not None and views is not None:
        _judge_averages(result, averages, views, sampling_rate)
    if np.any(truth.conformation > 0):
        result["figures"] |= conformation_figures(joined, truth)
    return result


def _judge_averages(result: dict[str, Any], averages: torch.Tensor, views: torch.Tensor, sampling_rate: float) -> None:
    """Add the quality of the averages to the figures and the table; chance is the next true view's."""
    rows = [row for row in result["table"] if row["view"] != JUNK and row["class"] <= len(averages)]
    if not rows or averages.shape[-1] != views.shape[-1]:
        return
    number = np.array([row["class"] - 1 for row in rows])
    shown = np.array([row["view"] for row in rows])
    weights = np.array([row["particles"] for row in rows], dtype=np.float64)
    quality = compare(averages[number], views[shown], sampling_rate)
    other = compare(averages[number], views[(shown + 1) % result["views"]], sampling_rate)
    result["figures"] |= quality_figures(quality, weights)
    result["chance"] |= quality_figures(other, weights)
    for k, row in enumerate(rows):
        row["correlation"] = float(quality.correlation[k])
        row["resolution_angstrom"] = float(quality.resolution_angstrom[k])
        row["frc"] = quality.frc[k].round(4).tolist()


def against_other(directory: Path, other: Path, settings: EvaluationSettings) -> dict[str, Any]:
    """Agreement of two classifications of the same particles, as in Table 2 of the paper.

    Raises
    ------
    InputError
        When a file is missing, or they have no particle in common.
    """
    if not (directory / PARTICLES).exists():
        require_results(directory)
    first = read_assignments(directory / PARTICLES)
    second = read_assignments(other / PARTICLES if other.is_dir() else other)
    rows, columns = common_rows(first, second)
    classes, others = first.classes[rows], second.classes[columns]
    both = (classes >= 0) & (others >= 0)
    kept = (int((first.classes >= 0).sum()), int((second.classes >= 0).sum()))
    rng = np.random.default_rng(settings.seed)
    figures = _agreement(classes[both], others[both])
    chance = [_agreement(rng.permutation(classes[both]), others[both]) for _ in range(CHANCE_ROUNDS)]
    return {
        "retained": kept,
        "common": int(both.sum()),
        "common_share": float(both.sum() / max(*kept, 1)),
        "figures": figures,
        "chance": {name: float(np.mean([one[name] for one in chance])) for name in figures},
        "table": _matched_table(classes[both], others[both]),
    }


def _agreement(first: NDArray[np.int64], second: NDArray[np.int64]) -> dict[str, float]:
    counts = partition_metrics.contingency(first, second)
    shared = sum(int(counts[pair]) for pair in partition_metrics.matched_classes(counts))
    return {
        "shared_share": shared / max(len(first), 1),
        "ari": partition_metrics.adjusted_rand_index(first, second),
        "nmi": partition_metrics.normalised_mutual_information(first, second),
    }


def _matched_table(first: NDArray[np.int64], second: NDArray[np.int64]) -> list[dict[str, Any]]:
    counts = partition_metrics.contingency(first, second)
    rows, columns = np.unique(first), np.unique(second)
    return [
        {
            "class": int(rows[a]) + 1,
            "particles": int(counts[a].sum()),
            "other_class": int(columns[b]) + 1,
            "other_particles": int(counts[:, b].sum()),
            "in_common": int(counts[a, b]),
        }
        for a, b in partition_metrics.matched_classes(counts)
    ]


def evaluate(directory: Path, settings: EvaluationSettings) -> dict[str, Any]:
    """The figures that the settings ask for: against the truth, against another classification, or both.

    Parameters
    ----------
    directory : what ``classify``, ``update`` or ``assign`` wrote
    settings : the truth and the other classification, and tolerances

    Returns
    -------
    dict with the keys ``truth`` and ``against``, as far as asked for; :func:`format_table` prints it.

    Raises
    ------
    InputError
        When nothing is asked for, a file is missing, or files do not belong together.
    """
    if settings.truth is None and settings.against is None:
        raise InputError("evaluate: give --truth, --against or both")
    result: dict[str, Any] = {}
    if settings.truth is not None:
        truth = Path(settings.truth)
        compared = against_views if has_views(truth) else against_truth
        result["truth"] = compared(directory, truth, settings)
    if settings.against is not None:
        result["against"] = against_other(directory, Path(settings.against), settings)
    return result
