"""What ``export --max-junk`` delivers: the junk that is left, and the real particles that are left out for it.

Realistic sets of nine specimens in turn are simulated and classified, at an SNR that is drawn between 0.03 and 0.1.
Boxes over a border of the micrograph count neither as real nor as junk.

    python benchmarks/bench_max_junk.py --sets 100 --seed 1
"""

from __future__ import annotations

import argparse
import csv
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from realistic_sets import STRUCTURES

from alignpca2d_core.choosing.junk_share import in_other_classes, junk_probability, thinned
from alignpca2d_core.commands.classify import classify
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
LEAST_SNR, MOST_SNR = 0.03, 0.1
ORDERS = (0.02, 0.03, 0.05)
MOST_LOST = 0.03
FIRST_SEED = 20_000


@dataclass(frozen=True)
class Judged:
    """The n particles of a set.

    Attributes
    ----------
    probability : (n,)
        Of being junk, as the program has it.
    junk, counts, chosen : (n,) bool
        What is junk, what is judged, and what lies in classes that are not junk.
    """

    probability: NDArray[np.float64]
    junk: NDArray[np.bool_]
    counts: NDArray[np.bool_]
    chosen: NDArray[np.bool_]

    def share(self, kept: NDArray[np.bool_]) -> float:
        """Of junk among some particles."""
        held = kept & self.counts
        return float(self.junk[held].mean()) if held.any() else 0.0

    def lost(self, kept: NDArray[np.bool_]) -> float:
        """Share of the real particles among the chosen that are not among some."""
        real = self.chosen & self.counts & ~self.junk
        return 1.0 - float(kept[real].mean())


def judged(specimen: dict[str, Any], snr: float, seed: int, folder: Path) -> Judged:
    """One set, simulated and classified."""
    quiet = Progress(quiet=True)
    where = {"map": STRUCTURES / specimen["map"]} if "map" in specimen else {}
    drawn = {"snr": snr, "seed": seed, "specimen_seed": seed, "particles": PARTICLES, "realistic": True}
    simulate(SimulationSettings(**(specimen | where | drawn)), folder / "set", quiet)
    classify(folder / "set" / "particles.xmd", folder / "out", Settings(classes=CLASSES, threads=1), quiet)
    _, result = read_results(folder / "out")
    verdicts = json.loads((folder / "out" / "summary.json").read_text(encoding="utf-8"))["classes"]["verdict"]
    with (folder / "set" / "truth.csv").open(encoding="utf-8") as lines:
        truth = list(csv.DictReader(lines))
    chosen = in_other_classes(result, verdicts)
    assert result.misfit is not None
    junk = np.array([one["kind"] != "particle" for one in truth])
    counts = np.array([float(one["border"]) == 0 for one in truth])
    return Judged(junk_probability(result.misfit, result.score, chosen), junk, counts, chosen)


def sets(count: int, seed: int) -> Iterator[Judged]:
    """So many sets of specimens in turn; those whose maps are not at hand are left out."""
    there = [one for one in SPECIMENS if "map" not in one or (STRUCTURES / one["map"]).is_file()]
    rng = np.random.default_rng(seed)
    for number in range(count):
        snr = float(np.exp(rng.uniform(np.log(LEAST_SNR), np.log(MOST_SNR))))
        with tempfile.TemporaryDirectory() as folder:
            yield judged(there[number % len(there)], snr, FIRST_SEED + 1000 * seed + number, Path(folder))


def table(found: list[Judged]) -> str:
    """One line for each order."""
    lines = [
        f"{len(found)} sets: met before, met, lost (median, most), met with {MOST_LOST:.0%} lost, of those unwarned"
    ]
    for order in ORDERS:
        left = [thinned(one.probability, one.chosen, order) for one in found]
        met = np.array([one.share(some.kept) <= order for one, some in zip(found, left, strict=True)])
        before = sum(one.share(one.chosen) <= order for one in found)
        lost = np.array([one.lost(some.kept) for one, some in zip(found, left, strict=True)])
        both, unwarned = met & (lost <= MOST_LOST), np.array([some.lost <= MOST_LOST for some in left])
        lines.append(
            f"{order:.0%}: {before}, {met.sum()}, {np.median(lost):.1%}, {lost.max():.1%}, {both.sum()}, "
            f"{(both & unwarned).sum()} of {unwarned.sum()}"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = []
    for number, one in enumerate(sets(options.sets, options.seed)):
        found.append(one)
        print(f"set {number + 1}: {one.share(one.chosen):.1%} junk in classes that are none", flush=True)
    print(table(found))


if __name__ == "__main__":
    main()
