"""What becomes of junk and of particles off centre, and whether anything good is thrown away.

Three phantoms under the two conditions of ``simulated_sets.py``, each with 30 % of pure noise and 10 % of particles
that sit 12 to 20 % of the box off centre, and the same without.  Phantoms and seeds are held out: the thresholds of
``verdicts.py`` and ``sifting.py`` were chosen on *domains* and *subunits*.

Run from the root of the checkout: ``python benchmarks/bench_junk.py [--seeds 0] [--work DIR]``.  The exit code is 1
where a target is missed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pytest
from bench_accuracy import CLASSES, PARTICLES, circumstances, work_folder
from measured_run import CORE, Classified, classify, run_python
from simulated_sets import EXPERIMENT, HELD_OUT_SPECIMEN, LARGE, SMALL

from alignpca2d_core.evaluation.assignments import read_assignments, read_images, read_truth
from alignpca2d_core.evaluation.average_quality import in_plane_fold
from alignpca2d_core.evaluation.metrics import Joined, join
from alignpca2d_core.evaluation.pose_errors import pose_errors
from alignpca2d_core.io.particle_reading import read_particles
from alignpca2d_core.results.class_quality import JUNK

PHANTOMS = ("antibody", "barrel", "channel")
CONDITIONS = {"64": SMALL, "128": LARGE}
SPOILED = {"noise_fraction": 0.3, "off_centre_fraction": 0.1, "off_centre_shift": 0.2}
LEAST_RIGHT, LEAST_RECOVERED, MOST_LOST = 0.95, 0.8, 0.01
LEAST_OF_VIEW = 0.9
"""Share of a view's particles that must be in classes which are no junk; else the view counts as lost."""
ANGLE, SHIFT = 10.0, 2.0


@dataclass(frozen=True)
class Row:
    """What one set came to; NaN where the set has nothing of the kind.

    ``precision`` and ``recall`` of junk count particles, those of ``classes`` classes; ``lost`` is the share of real
    particles in junk classes; ``recovered`` the share of off-centre particles in classes that are no junk, within
    10° and 2 px of the others there; ``auc`` the area under the curve of the scores of
    particles against those of noise.
    """

    phantom: str
    conditions: str
    spoiled: bool
    seed: int
    precision: float
    recall: float
    class_precision: float
    class_recall: float
    lost: float
    views_lost: int
    good: float
    recovered: float
    auc: float
    cpu_s: float

    @property
    def met(self) -> bool:
        """Whether the row meets the targets."""
        right = (self.precision, self.recall, self.class_precision, self.class_recall)
        enough = all(np.isnan(figure) or figure >= LEAST_RIGHT for figure in right)
        recovered = np.isnan(self.recovered) or self.recovered >= LEAST_RECOVERED
        return enough and recovered and self.lost <= MOST_LOST and not self.views_lost

    def __str__(self) -> str:
        name = f"{self.phantom + self.conditions:>12s} {'junk' if self.spoiled else 'clean':>6s} {self.seed:4d}"
        shares = (self.precision, self.recall, self.class_precision, self.class_recall)
        numbers = "".join(f"{figure:7.3f}" for figure in shares)
        rest = f"{self.lost:7.3f} {self.views_lost:5d} {self.good:6.3f} {self.recovered:9.3f} {self.auc:8.4f}"
        return f"{name} {numbers} {rest} {self.cpu_s:6.1f} {'' if self.met else 'MISSED'}".rstrip()


HEADING = (
    f"{'set':>12s} {'':>6s} {'seed':>4s} {'prec.':>7s}{'recall':>7s}{'cl.pr.':>7s}{'cl.re.':>7s}"
    f"{'lost':>7s} {'views':>5s} {'good':>6s} {'recovered':>9s} {'AUC':>8s} {'CPU s':>6s}"
)


def simulated(folder: Path, phantom: str, conditions: str, spoiled: bool, seed: int, particles: int) -> Path:
    """Make a set, unless it is there."""
    if not (folder / "simulation.json").is_file():
        options = {**EXPERIMENT, **CONDITIONS[conditions].options(), **(SPOILED if spoiled else {})}
        options |= {"phantom": phantom, "specimen_seed": HELD_OUT_SPECIMEN + seed, "seed": seed, "particles": particles}
        folder.mkdir(parents=True, exist_ok=True)
        flags = [text for name, value in options.items() for text in ("--" + name.replace("_", "-"), str(value))]
        run_python([*CORE, "simulate", "-o", str(folder), "--quiet", *flags], 1, folder / "log.txt")
    return folder


def ratio(part: np.ndarray, whole: np.ndarray) -> float:
    """How many of ``whole`` are in ``part`` as well, as a share."""
    return float((part & whole).sum() / whole.sum()) if whole.any() else float("nan")


def area_under_curve(values: np.ndarray, positive: np.ndarray) -> float:
    """Probability that a positive has the larger value; ties count half."""
    if positive.all() or not positive.any():
        return float("nan")
    _, rank, count = np.unique(values, return_inverse=True, return_counts=True)
    middle = (np.cumsum(count) - 0.5 * (count - 1))[rank]
    n = int(positive.sum())
    return float((middle[positive].sum() - n * (n + 1) / 2) / (n * (len(values) - n)))


def poses_right(joined: Joined, views: Path) -> np.ndarray:
    """Which particles are within the tolerances of those of their view in their class, (n,)."""
    images, _ = read_images(views)
    assert images is not None
    folds = np.array([in_plane_fold(view) for view in images])
    majority = joined.majorities()
    shown = np.array([majority.get(int(label), -1) for label in joined.classes])
    right = (joined.view >= 0) & (shown == joined.view)
    errors = pose_errors(joined.classes, right, joined.poses, joined.truth, folds[np.maximum(joined.view, 0)])
    return errors.within(ANGLE, SHIFT)


def judge(folder: Path, output: Path, found: Classified, about: tuple[str, str, bool, int]) -> Row:
    """Hold verdicts and scores against the truth."""
    joined = join(read_assignments(output / "particles.xmd"), read_truth(folder / "truth.csv"))
    off_centre = np.genfromtxt(folder / "truth.csv", delimiter=",", names=True)["offCentre"] > 0
    verdict = np.array(found.summary["classes"]["verdict"])
    junk, real = joined.view < 0, joined.view >= 0
    called = verdict[joined.classes] == JUNK
    shown = joined.majorities()
    is_junk = np.array([shown.get(k, -1) < 0 for k in range(len(verdict))])
    kept = [ratio(~called, joined.view == view) for view in np.unique(joined.view[real])]
    score = read_particles(output / "particles.xmd").table["scoreByAlignability"]
    return Row(
        *about,
        precision=ratio(junk, called),
        recall=ratio(called, junk),
        class_precision=ratio(is_junk, verdict == JUNK),
        class_recall=ratio(verdict == JUNK, is_junk),
        lost=ratio(called, real),
        views_lost=sum(share < LEAST_OF_VIEW for share in kept),
        good=ratio(verdict[joined.classes] == "good", real),
        recovered=ratio(poses_right(joined, folder / "views.mrcs") & ~called, off_centre),
        auc=area_under_curve(score, real),
        cpu_s=found.cost.cpu_s,
    )


def rows(options: argparse.Namespace, work: Path) -> Iterator[Row]:
    """Simulate, classify and judge one set after the other."""
    for phantom in options.phantoms:
        for conditions in options.conditions:
            for seed in options.seeds:
                for spoiled in (True, False):
                    name = f"{phantom}{conditions}-{'junk' if spoiled else 'clean'}-s{seed}"
                    folder = simulated(work / name, phantom, conditions, spoiled, seed, options.particles)
                    output = folder / "classes"
                    found = classify(folder, output, 1, ["--classes", str(CLASSES), "--device", "cpu"])
                    yield judge(folder, output, found, (phantom, conditions, spoiled, seed))


def main(arguments: list[str] | None = None) -> list[Row]:
    """Print a line per set as it comes; returns all of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--phantoms", nargs="+", default=list(PHANTOMS))
    parser.add_argument("--conditions", nargs="+", choices=CONDITIONS, default=list(CONDITIONS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--particles", type=int, default=PARTICLES)
    parser.add_argument("--work", type=Path, help="keep sets and classes there, and use the sets that it has")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    options = parser.parse_args(arguments)
    options.device, options.threads = "cpu", 1
    print(f"{options.particles:,} particles, {CLASSES} classes; {circumstances(options)}\n\n{HEADING}", flush=True)
    found = []
    with work_folder(options.work) as work:
        for row in rows(options, work):
            print(row, flush=True)
            found.append(row)
    if options.json is not None:
        options.json.write_text(json.dumps([asdict(row) for row in found], indent=1), encoding="utf-8")
    return found


@pytest.mark.benchmark
def test_junk(capsys: pytest.CaptureFixture[str]) -> None:
    """The same under ``make bench-all``."""
    with capsys.disabled():
        assert [str(row) for row in main([]) if not row.met] == []


if __name__ == "__main__":
    sys.exit(0 if all(row.met for row in main()) else 1)
