"""Small simulated sets, and what a classification makes of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from alignpca2d_core.commands.classify import classify
from alignpca2d_core.evaluation.evaluate import evaluate
from alignpca2d_core.results.result_files import Classification, read_results
from alignpca2d_core.runtime.progress import Progress
from alignpca2d_core.settings import EvaluationSettings, Settings, SimulationSettings
from alignpca2d_core.simulation.simulate import simulate

SMALL = {"particles": 300, "views": 3, "box": 32, "sampling_rate": 7.0, "snr": 0.3, "view_selection": "spread"}
QUICK = {"classes": 3, "resolution": 16.0, "threads": 1}


@contextmanager
def one_thread() -> Iterator[None]:
    """Threads that wait for each other cost more than they bring on sets so small."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True)
class SimulatedSet:
    """Particles with their truth in a folder."""

    folder: Path

    @staticmethod
    def make(folder: Path, **changes: Any) -> SimulatedSet:
        """Simulate a small set, some of its settings changed."""
        with one_thread():
            simulate(SimulationSettings(**{**SMALL, **changes}), folder)
        return SimulatedSet(folder)

    @property
    def metadata(self) -> Path:
        return self.folder / "particles.xmd"

    def figures(self, directory: Path) -> dict[str, float]:
        """Purity and the like of a classification."""
        settings = EvaluationSettings(truth=str(self.folder / "truth.csv"))
        with one_thread():
            return evaluate(directory, settings)["truth"]["figures"]


def run(metadata: Path, directory: Path, **changes: Any) -> Classification:
    """Classify in this process, quietly."""
    with one_thread():
        classify(metadata, directory, Settings(**{**QUICK, **changes}), Progress(quiet=True))
    return read_results(directory)[1]


def same_partition(first: NDArray[np.int64], second: NDArray[np.int64]) -> float:
    """Share of particles that lie in the classes of the second that match those of the first best."""
    table = np.zeros((first.max() + 1, second.max() + 1), dtype=int)
    np.add.at(table, (first, second), 1)
    return float(table.max(1).sum() / len(first))
