"""What a classification is measured by, once the truth of every particle lies beside its class."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..evaluation import partition_metrics
from ..fourier.rigid_transforms import Poses
from ..settings import EvaluationSettings
from ..simulation.particle_sampling import JUNK
from .assignments import Assignments, Truth
from .average_quality import AverageQuality
from .pose_errors import PoseErrors, pose_errors


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
        "purity": partition_metrics.purity(classes, view),
        "ari": partition_metrics.adjusted_rand_index(classes, view),
        "nmi": partition_metrics.normalised_mutual_information(classes, view),
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


def class_table(joined: Joined) -> list[dict[str, Any]]:
    """Of each class: its number from 1, its particles, the view that most of them show (−1: junk), and its purity."""
    table = []
    for label, view in joined.majorities().items():
        members = joined.view[joined.classes == label]
        purity = float((members == view).mean())
        table.append({"class": label + 1, "particles": len(members), "view": view, "purity": purity})
    return table


def conformation_figures(joined: Joined, truth: Truth) -> dict[str, float]:
    used = joined.classes >= 0
    shape = np.where(truth.view == JUNK, JUNK, truth.view * 2 + truth.conformation)[used]
    return {
        "purity_of_conformations": partition_metrics.purity(joined.classes[used], shape),
        "ari_of_conformations": partition_metrics.adjusted_rand_index(joined.classes[used], shape),
    }
