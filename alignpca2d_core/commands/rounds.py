"""``classify --rounds``: what is set aside is classified again on its own, until no class of particles comes of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..classification.classifier import Classifier
from ..classification.junk_limits import LEAST_ASIDE
from ..classification.set_aside import LEAST_LOOKED_AT, PER_CLASS, SetAside, take_back
from ..preprocessing.prepared_run import Run
from ..results.class_quality import JUNK, USUAL_BULK, ScoreMoments, judge
from ..results.from_classifier import as_classification
from ..results.result_files import Classification


@dataclass(frozen=True)
class Round:
    """What a round looked at, and what came back: how many particles, in which classes by number."""

    particles: int
    tried: int
    returned: int
    classes: list[int]

    def line(self, number: int) -> str:
        """The same for people."""
        looked = f"Round {number}: {self.particles:,} particles set aside, {self.tried} classes of them"
        if not self.classes:
            return f"{looked}, none of particles"
        first, last = self.classes[0], self.classes[-1]
        named = f"class {first}" if first == last else f"classes {first} to {last}"
        return f"{looked}; {self.returned:,} particles are back, in {named}"


def further_rounds(classifier: Classifier, run: Run) -> dict[str, Any]:
    """As many rounds as the settings ask for and as bring something back; what the summary says of them."""
    done: list[Round] = []
    while len(done) < run.settings.rounds and (not done or done[-1].classes):
        result = as_classification(classifier, run)
        rows = np.flatnonzero(is_junk(result))
        if len(rows) < LEAST_LOOKED_AT:
            run.progress.say(f"Round {len(done) + 1}: {len(rows)} particles are set aside, too few for classes")
            break
        with run.progress.stage(f"Round {len(done) + 1}"):
            done.append(one_round(classifier, run, result, rows))
        run.progress.say(done[-1].line(len(done)))
    return {"rounds": [asdict(one) for one in done]} if run.settings.rounds else {}


def one_round(classifier: Classifier, run: Run, result: Classification, rows: NDArray[np.int64]) -> Round:
    """Classify rows (n,) that are set aside, and take the good classes into the classification."""
    most = max(2, len(rows) // PER_CLASS)
    tried = SetAside(classifier, rows, most)
    tried.fit()
    found = as_classification(tried, run)
    order = tried.order().cpu().numpy()
    returning = [k for k in order[real_among(found, result)] if k != tried.model_.noise]
    count, before = 0, len(classifier.model_.view_of)
    if returning:
        count = take_back(classifier, tried, torch.tensor(returning, device=classifier.band.device))
    numbers = list(range(before + 1, before + 1 + len(returning)))
    return Round(len(rows), len(found), count, numbers)


def is_junk(result: Classification) -> NDArray[np.bool_]:
    """Particles (n,) in classes of junk."""
    assert result.verdicts is not None
    junk = np.array([verdict == JUNK for verdict in result.verdicts.verdict] + [False])
    return junk[result.assignments]


def real_among(found: Classification, result: Classification) -> NDArray[np.bool_]:
    """Which of the classes found, (k,), show particles, beside the classes that are no junk: these say what is usual.

    They are large enough for a class of their own, no junk, and of no more bulk than good classes: that tells them from
    classes of contaminants and of aggregates.  Detail and scores may be less, as rarer views have them.
    """
    assert result.verdicts is not None
    real = np.array([verdict != JUNK for verdict in result.verdicts.verdict])
    number = np.append(np.cumsum(real) - 1, -1)
    number[:-1][~real] = -1
    labels = number[result.assignments]
    own = found.assignments >= 0
    scores = np.concatenate((result.score[labels >= 0], found.score[own])).astype(np.float64)
    classes = np.concatenate((labels[labels >= 0], found.assignments[own] + int(real.sum())))
    sizes, frc, averages = (
        np.concatenate((getattr(result, name)[real], getattr(found, name))) for name in ("sizes", "frc", "averages")
    )
    moments = ScoreMoments.of(scores, classes, len(sizes))
    judged = judge(frc, sizes, moments, averages)
    no_junk = np.array([verdict != JUNK for verdict in judged.verdict])
    return np.asarray(no_junk & (judged.bulk <= USUAL_BULK) & (sizes >= LEAST_ASIDE))[int(real.sum()) :]
