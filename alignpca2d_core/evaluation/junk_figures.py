"""What became of junk and of particles: which were called junk, and which came into classes that are called good."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..results.class_quality import GOOD, JUNK
from ..simulation.junk_kinds import PARTICLE

NO_CLASS = "no class"
BoolArray = NDArray[np.bool_]


def verdicts_of(classes: NDArray[np.int64], verdicts: list[str]) -> NDArray[np.str_]:
    """(n,) verdict on the class of each particle; good where a program gives none, ``no class`` where there is none."""
    known = np.array([*verdicts, NO_CLASS]) if verdicts else np.array([GOOD] * (int(classes.max()) + 1) + [NO_CLASS])
    return np.asarray(known[classes])


def junk_figures(verdict: NDArray[np.str_], is_particle: BoolArray) -> dict[str, float]:
    """Precision and recall of junk, and what became of the particles, over n boxes.

    Junk is what is in a junk class or in no class.
    """
    said, good = (verdict == JUNK) | (verdict == NO_CLASS), verdict == GOOD
    figures = {
        "real_discarded": float(said[is_particle].mean()),
        "real_in_good": float(good[is_particle].mean()),
        "good_purity": _share(is_particle, good),
    }
    if not is_particle.all():
        figures |= {"junk_precision": _share(~is_particle, said), "junk_recall": _share(said, ~is_particle)}
        figures["junk_called_good"] = _share(good, ~is_particle)
    return figures


def junk_table(verdict: NDArray[np.str_], kind: NDArray[np.str_]) -> list[dict[str, Any]]:
    """Of each kind of junk: how many there are, and the shares that were called junk and good."""
    said, good = (verdict == JUNK) | (verdict == NO_CLASS), verdict == GOOD
    return [
        {
            "kind": str(name),
            "boxes": int((kind == name).sum()),
            "called_junk": _share(said, kind == name),
            "called_good": _share(good, kind == name),
        }
        for name in np.unique(kind[kind != PARTICLE])
    ]


def _share(part: BoolArray, whole: BoolArray) -> float:
    """Share of ``whole`` that is in ``part``; NaN of nothing."""
    return float(part[whole].mean()) if whole.any() else float("nan")
