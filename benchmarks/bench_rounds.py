"""What further rounds bring back of what a classification sets aside: real particles, and junk with them.

Realistic sets are simulated (``alignpca2d simulate --realistic``: a phantom and its symmetry as NAME:SYMMETRY), or
given as METADATA=TRUTH, a truth.csv with a column ``kind``.  Each is classified with three rounds.

    python benchmarks/bench_rounds.py --sets barrel:D7 channel:C4 --classes 20 5
"""

from __future__ import annotations

import argparse
import csv
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from alignpca2d_core.commands.classify import classify
from alignpca2d_core.results.class_quality import JUNK
from alignpca2d_core.results.result_files import read_results
from alignpca2d_core.runtime.progress import Progress
from alignpca2d_core.settings import Settings, SimulationSettings
from alignpca2d_core.simulation.simulate import simulate

ROUNDS, PARTICLES = 3, 2500


def files_of(name: str, folder: Path) -> tuple[Path, Path]:
    """Metadata and truth of a set, simulated unless it is given."""
    if "=" in name:
        metadata, _, truth = name.partition("=")
        return Path(metadata), Path(truth)
    phantom, _, symmetry = name.partition(":")
    settings = SimulationSettings(realistic=True, phantom=phantom, symmetry=symmetry, particles=PARTICLES)
    simulate(settings, folder, Progress(quiet=True))
    return folder / "particles.xmd", folder / "truth.csv"


def row(metadata: Path, truth: Path, classes: int, folder: Path) -> str:
    """What rounds have done, as a line of the table."""
    began = time.process_time()
    classify(metadata, folder, Settings(classes=classes, rounds=ROUNDS, threads=1), Progress(quiet=True))
    seconds = time.process_time() - began
    particles, result = read_results(folder)
    with truth.open(encoding="utf-8") as lines:
        kinds = {int(one.get("itemId") or one["idx"]): one["kind"] for one in csv.DictReader(lines)}
    real = np.array([kinds[number] == "particle" for number in particles.ids.tolist()])
    said = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    junk = np.isin(result.assignments, np.flatnonzero(np.array(said["classes"]["verdict"]) == JUNK))
    back = np.isin(result.assignments + 1, [number for one in said["rounds"] for number in one["classes"]])
    spent = sum(used["cpu_s"] for stage, used in said["times"].items() if stage.startswith("Round"))
    counts = [f"{int((one & real).sum()):5d} + {int((one & ~real).sum()):4d}" for one in (junk | back, back)]
    return f"{classes:7d}  {'   '.join(counts)}  {len(said['rounds']):6d}  {spent:4.0f} of {seconds:4.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", default=["barrel:D7", "channel:C4"], metavar="SET")
    parser.add_argument("--classes", nargs="+", type=int, default=[20, 5])
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("set, classes   set aside: real + junk   back: real + junk   rounds   CPU s")
    for name in options.sets:
        with tempfile.TemporaryDirectory() as folder:
            files = files_of(name, Path(folder) / "set")
            for classes in options.classes:
                print(Path(name).name, row(*files, classes, Path(folder) / f"classes{classes}"), flush=True)


if __name__ == "__main__":
    main()
