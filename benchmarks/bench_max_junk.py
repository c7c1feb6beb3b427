"""What ``export --max-junk`` delivers: the junk that is left, and the real particles that are left out for it.

Realistic sets of nine specimens in turn are simulated and classified; SNR, 0.03 to 0.1, and share of junk, 3 to 40 %,
are drawn.  Boxes over a border of the micrograph count neither as real nor as junk.

    python benchmarks/bench_max_junk.py --sets 100 --seed 1 --keep FOLDER

keeps what each set shows as one file, and goes on from those that are there.

    python benchmarks/bench_max_junk.py --fit FOLDER

fits the numbers of ``choosing/junk_share.py`` to such files, and judges each set by those fitted to the others.
"""

from __future__ import annotations

import argparse
import csv
import json
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from realistic_sets import STRUCTURES

from alignpca2d_core.choosing.junk_share import Thinned, figures, in_other_classes, junk_probability, thinned
from alignpca2d_core.commands.classify import classify
from alignpca2d_core.commands.export import MOST_EVER_LOST, MOST_LOST
from alignpca2d_core.results.result_files import read_results
from alignpca2d_core.runtime.progress import Progress
from alignpca2d_core.settings import Settings, SimulationSettings
from alignpca2d_core.simulation.simulate import simulate

SPECIMENS: tuple[dict[str, Any], ...] = (
    {"map": "ap2_2vgl_64_3.2A.mrc", "sampling_rate": 3.2},
    {"map": "bgal_64_4A.mrc", "sampling_rate": 4.0, "symmetry": "D2"},
    {"phantom": "domains", "sampling_rate": 3.0},
    {"phantom": "subunits", "sampling_rate": 3.54},
    {"phantom": "barrel", "sampling_rate": 3.54, "symmetry": "D7", "orientations": "side"},
    {"phantom": "channel", "sampling_rate": 3.0, "symmetry": "C4"},
    {"phantom": "antibody", "sampling_rate": 3.0, "symmetry": "C2"},
    {"phantom": "knob", "sampling_rate": 3.0},
    {"phantom": "ring", "sampling_rate": 3.0},
)
PARTICLES, CLASSES = 800, 10
SNR, JUNK = (0.03, 0.1), (0.03, 0.4)
"""Least and most, evenly drawn on a scale of logarithms."""
ORDERS = (0.02, 0.03, 0.05)
FIRST_SEED = 20_000
WEAK = 1e-3
"""Of a pull to zero that keeps the fit finite."""
STEPS = 30


@dataclass(frozen=True)
class Judged:
    """The n particles of a set.

    Attributes
    ----------
    misfit, score : (n,)
    junk, counts, among : (n,) bool
        What is junk, what is judged, and what lies in classes that are not junk.
    """

    misfit: NDArray[np.float32]
    score: NDArray[np.float32]
    junk: NDArray[np.bool_]
    counts: NDArray[np.bool_]
    among: NDArray[np.bool_]

    def share(self, kept: NDArray[np.bool_]) -> float:
        """Of junk among some particles."""
        held = kept & self.counts
        return float(self.junk[held].mean()) if held.any() else 0.0

    def lost(self, kept: NDArray[np.bool_]) -> float:
        """Share of the real particles outside of junk classes that are not among some."""
        real = self.among & self.counts & ~self.junk
        return 1.0 - float(kept[real].mean())


def judged(specimen: dict[str, Any], drawn: dict[str, Any], folder: Path) -> Judged:
    """One set, simulated and classified."""
    quiet = Progress(quiet=True)
    where = {"map": STRUCTURES / specimen["map"]} if "map" in specimen else {}
    simulate(SimulationSettings(**(specimen | where | drawn), realistic=True), folder / "set", quiet)
    classes = CLASSES * max(1, round(drawn["particles"] / PARTICLES / 1.5))
    classify(folder / "set" / "particles.xmd", folder / "out", Settings(classes=classes, threads=1), quiet)
    return read(folder)


def read(folder: Path) -> Judged:
    """What a set and its classification show."""
    _, result = read_results(folder / "out")
    verdicts = json.loads((folder / "out" / "summary.json").read_text(encoding="utf-8"))["classes"]["verdict"]
    with (folder / "set" / "truth.csv").open(encoding="utf-8") as lines:
        truth = list(csv.DictReader(lines))
    assert result.misfit is not None
    junk = np.array([one["kind"] != "particle" for one in truth])
    counts = np.array([float(one["border"]) == 0 for one in truth])
    return Judged(result.misfit, result.score, junk, counts, in_other_classes(result, verdicts))


def sets(count: int, seed: int, particles: int, keep: Path | None) -> Iterator[Judged]:
    """So many sets of specimens in turn; those whose maps are not at hand are left out."""
    there = [one for one in SPECIMENS if "map" not in one or (STRUCTURES / one["map"]).is_file()]
    rng = np.random.default_rng(seed)
    for number in range(count):
        snr, junk = (float(np.exp(rng.uniform(*np.log(bounds)))) for bounds in (SNR, JUNK))
        own = FIRST_SEED + 1000 * seed + number
        drawn = {"snr": snr, "junk_fraction": junk, "seed": own, "specimen_seed": own, "particles": particles}
        file = keep / f"set-{particles}-{own}.npz" if keep is not None else None
        if file is not None and file.is_file():
            yield kept_in(file)
            continue
        with tempfile.TemporaryDirectory() as folder:
            one = judged(there[number % len(there)], drawn, Path(folder))
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            np.savez_compressed(file, **asdict(one))
        yield one


def kept_in(file: Path) -> Judged:
    """A set that was kept."""
    with np.load(file) as columns:
        return Judged(**columns)


def fitted(found: list[Judged]) -> NDArray[np.float64]:
    """The numbers a, b and c of ``junk_share`` that describe these sets best: logistic regression."""
    rows, given = [], []
    for one in found:
        shown, some = figures(one.misfit, one.score, one.among), one.among & one.counts
        rows.append(np.stack([np.ones(len(some)), shown.far, -shown.clear, one.junk], axis=1)[some])
        given.append(np.full(int(some.sum()), shown.prior))
    table, prior = np.concatenate(rows), np.concatenate(given)
    design, junk, numbers = table[:, :3], table[:, 3], np.zeros(3)
    for _ in range(STEPS):
        probability = 1.0 / (1.0 + np.exp(-design @ numbers - prior))
        curvature = (design * (probability * (1.0 - probability))[:, None]).T @ design + WEAK * np.eye(3)
        step = np.linalg.solve(curvature, design.T @ (junk - probability) - WEAK * numbers)
        numbers = numbers + step.clip(-3.0, 3.0)
    return np.asarray(numbers)


def by_the_others(found: list[Judged]) -> list[NDArray[np.float64]]:
    """The probabilities of each set by numbers that are fitted to all others."""
    return [
        junk_probability(one.misfit, one.score, one.among, fitted(found[:at] + found[at + 1 :]))
        for at, one in enumerate(found)
    ]


def table(found: list[Judged], probabilities: list[NDArray[np.float64]]) -> str:
    """One line for each order."""
    lines = [f"{len(found)} sets: met before, delivered, met, lost (median, most), both, of the unwarned"]
    for order in ORDERS:
        left = [thinned(probability, one.among, order) for one, probability in zip(found, probabilities, strict=True)]
        given = np.array([some.lost <= MOST_EVER_LOST for some in left])
        met, lost = np.array([outcome(one, some, order) for one, some in zip(found, left, strict=True)]).T
        before = sum(one.share(one.among) <= order for one in found)
        both, unwarned = met * (lost <= MOST_LOST), np.array([some.most_lost <= MOST_LOST for some in left])
        lines.append(
            f"{order:.0%}: {before}, {given.sum()}, {int((met * given).sum())}, {np.median(lost):.1%}, "
            f"{lost[given].max(initial=0):.1%}, {int((both * given).sum())}, {int(both[unwarned].sum())} of "
            f"{unwarned.sum()}"
        )
    return "\n".join(lines)


def outcome(one: Judged, some: Thinned, order: float) -> tuple[float, float]:
    """Whether the order was met, 1 or 0, and the share of the real particles that was lost."""
    return float(one.share(some.kept) <= order), one.lost(some.kept)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--particles", type=int, default=PARTICLES)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--fit", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.fit is not None:
        found = [kept_in(file) for file in sorted(options.fit.glob("set-*.npz"))]
        print("a, b, c:", *fitted(found).round(2))
        print(table(found, by_the_others(found)))
        return
    found = []
    for number, one in enumerate(sets(options.sets, options.seed, options.particles, options.keep)):
        found.append(one)
        print(f"set {number + 1}: {one.share(one.among):.1%} junk in classes that are none", flush=True)
    print(table(found, [junk_probability(one.misfit, one.score, one.among) for one in found]))


if __name__ == "__main__":
    main()
