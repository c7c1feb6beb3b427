"""A classification against the truth of a simulation, or against another classification."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from . import agreement
from .assignments import Assignments, Truth, common_rows, read_assignments, read_images, read_truth
from .average_quality import AverageQuality, compare, in_plane_fold
from .consensus import PoseErrors, pose_errors
from .errors import InputError
from .evaluation_table import format_table
from .settings import EvaluationSettings
from .transforms import Poses

__all__ = ["evaluate", "format_table"]

JUNK = -1
CHANCE_ROUNDS = 10


@dataclass(frozen=True)
class Joined:
    """The truth of n particles beside what a classification made of them.

    Parameters
    ----------
    classes : (n,) class of each particle, -1 where it was not used
    poses : the poses found
    view, truth : true view (-1: junk) and true pose
    """

    classes: NDArray[np.int64]
    poses: Poses
    view: NDArray[np.int64]
    truth: Poses

    def majorities(self) -> dict[int, int]:
        """The view that most particles of each class show."""
        found = {}
        for label in np.unique(self.classes[self.classes >= 0]):
            views, counts = np.unique(self.view[self.classes == label], return_counts=True)
            found[int(label)] = int(views[counts.argmax()])
        return found

    def shuffled(self, rng: np.random.Generator) -> Joined:
        """The same classes and poses, given to particles at random."""
        order = rng.permutation(len(self.classes))
        return replace(self, classes=self.classes[order], poses=self.poses[order])


def join(assignments: Assignments, truth: Truth) -> Joined:
    """Bring together by ``itemId``; particles that the classification lacks count as unused.

    Raises
    ------
    InputError
        When the two have no particle in common.
    """
    row = {int(item): k for k, item in enumerate(assignments.ids.tolist())}
    where = np.array([row.get(int(item), -1) for item in truth.ids.tolist()], dtype=np.int64)
    if not len(where) or where.max() < 0:
        raise InputError(f"{assignments.source}: none of its particles is in the truth (itemId)")
    classes = np.where(where >= 0, assignments.classes[where], -1)
    return Joined(classes, assignments.poses[where], truth.view, truth.poses)


def partition_figures(joined: Joined) -> dict[str, float]:
    """Purity, ARI and NMI over the used particles; views covered; precision and recall of junk."""
    used = joined.classes >= 0
    classes, view = joined.classes[used], joined.view[used]
    majority = joined.majorities()
    figures = {
        "purity": agreement.purity(classes, view),
        "ari": agreement.adjusted_rand_index(classes, view),
        "nmi": agreement.normalised_mutual_information(classes, view),
        "views_covered": float(len(set(majority.values()) - {JUNK})),
    }
    if np.any(joined.view == JUNK):
        called = np.isin(joined.classes, [label for label, shown in majority.items() if shown == JUNK])
        right = float((called & (joined.view == JUNK)).sum())
        figures["junk_precision"] = right / max(float(called.sum()), 1.0)
        figures["junk_recall"] = right / float((joined.view == JUNK).sum())
    return figures


def _errors(joined: Joined, folds: NDArray[np.int64] | None = None) -> PoseErrors:
    majority = joined.majorities()
    shown = np.array([majority.get(int(label), JUNK) for label in joined.classes])
    right = (joined.classes >= 0) & (joined.view >= 0) & (shown == joined.view)
    fold = None if folds is None else folds[np.maximum(joined.view, 0)]
    return pose_errors(joined.classes, right, joined.poses, joined.truth, fold)


def pose_figures(
    joined: Joined, settings: EvaluationSettings, folds: NDArray[np.int64] | None = None
) -> dict[str, float]:
    """Medians of the pose errors, and the share of all true particles within the tolerances.

    The share counts against every particle that is no junk, used or not; particles outside their class's
    majority view are not within.
    """
    errors = _errors(joined, folds)
    some = np.isfinite(errors.angle_deg)
    within = errors.within(settings.angle_tolerance, settings.shift_tolerance)
    return {
        "pose_within": float(within.sum() / max(int((joined.view >= 0).sum()), 1)),
        "median_angle_deg": float(np.median(errors.angle_deg[some])) if some.any() else float("nan"),
        "median_shift_px": float(np.median(errors.shift_px[some])) if some.any() else float("nan"),
    }


def quality_figures(quality: AverageQuality, weights: NDArray[np.float64]) -> dict[str, float]:
    """Correlation and resolution (FRC 0.5) of the averages, each counted by its particles."""
    share = weights / weights.sum()
    return {
        "average_correlation": float((quality.correlation * share).sum()),
        "worst_average_correlation": float(quality.correlation.min()),
        "average_frc_resolution_angstrom": float((quality.resolution_angstrom * share).sum()),
    }


def against_truth(directory: Path, truth_csv: Path, settings: EvaluationSettings) -> dict[str, Any]:
    """All figures against the truth, those of chance beside them, and a table of the classes.

    Raises
    ------
    InputError
        When a file is missing or does not belong to the other.
    """
    assignments, truth = read_assignments(directory / "particles.xmd"), read_truth(truth_csv)
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
        _judge_averages(result, joined, averages, views, sampling_rate)
    if np.any(truth.conformation > 0):
        result["figures"] |= _conformation_figures(joined, truth)
    return result


def _judge_averages(
    result: dict[str, Any], joined: Joined, averages: torch.Tensor, views: torch.Tensor, sampling_rate: float
) -> None:
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


def class_table(joined: Joined) -> list[dict[str, Any]]:
    """Of each class: its number from 1, its particles, the view that most of them show (−1: junk), and its purity."""
    table = []
    for label, view in joined.majorities().items():
        members = joined.view[joined.classes == label]
        purity = float((members == view).mean())
        table.append({"class": label + 1, "particles": len(members), "view": view, "purity": purity})
    return table


def _conformation_figures(joined: Joined, truth: Truth) -> dict[str, float]:
    used = joined.classes >= 0
    shape = np.where(truth.view == JUNK, JUNK, truth.view * 2 + truth.conformation)[used]
    return {
        "purity_of_conformations": agreement.purity(joined.classes[used], shape),
        "ari_of_conformations": agreement.adjusted_rand_index(joined.classes[used], shape),
    }


def against_other(directory: Path, other: Path, settings: EvaluationSettings) -> dict[str, Any]:
    """Agreement of two classifications of the same particles, as in Table 2 of the paper.

    Raises
    ------
    InputError
        When a file is missing, or they have no particle in common.
    """
    first = read_assignments(directory / "particles.xmd")
    second = read_assignments(other / "particles.xmd" if other.is_dir() else other)
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
    counts = agreement.contingency(first, second)
    shared = sum(int(counts[pair]) for pair in agreement.matched_classes(counts))
    return {
        "shared_share": shared / max(len(first), 1),
        "ari": agreement.adjusted_rand_index(first, second),
        "nmi": agreement.normalised_mutual_information(first, second),
    }


def _matched_table(first: NDArray[np.int64], second: NDArray[np.int64]) -> list[dict[str, Any]]:
    counts = agreement.contingency(first, second)
    rows, columns = np.unique(first), np.unique(second)
    return [
        {
            "class": int(rows[a]) + 1,
            "particles": int(counts[a].sum()),
            "other_class": int(columns[b]) + 1,
            "other_particles": int(counts[:, b].sum()),
            "in_common": int(counts[a, b]),
        }
        for a, b in agreement.matched_classes(counts)
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
        result["truth"] = against_truth(directory, Path(settings.truth), settings)
    if settings.against is not None:
        result["against"] = against_other(directory, Path(settings.against), settings)
    return result
