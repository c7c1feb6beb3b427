"""How often stage 1 starts a kernel, and how often the host waits for the GPU."""

from __future__ import annotations

from pathlib import Path

import pytest
from pretended_cuda import Gpus
from simulated import SimulatedSet, one_thread

from alignpca2d_core.classification.choose_method import make_classifier
from alignpca2d_core.io.particle_set import read_particles
from alignpca2d_core.preprocessing.prepared_run import Run
from alignpca2d_core.runtime.progress import Progress
from alignpca2d_core.settings import Settings
from alignpca2d_core.state.checkpoint import Checkpoint

MOST_LAUNCHES, MOST_WAITS = 17_500, 430
"""On 1,000 particles at K = 40: 15,025 and 373 when this was written.

The set that was counted before and after, 3,000 particles at K = 100, takes half a minute:
``benchmarks/bench_gpu.py --counts`` prints 18,600 and 470 where it was 168,800 and 8,800.
"""


@pytest.fixture(scope="module")
def twenty_views(tmp_path_factory: pytest.TempPathFactory) -> SimulatedSet:
    return SimulatedSet.make(tmp_path_factory.mktemp("counted"), particles=1000, views=20)


def test_stage_1_hardly_waits(pretended: Gpus, twenty_views: SimulatedSet, tmp_path: Path) -> None:
    settings = Settings(classes=40, resolution=16.0, threads=1, device="cuda")
    with one_thread(), pretended() as gpu:
        run = Run(read_particles(twenty_views.metadata), settings, Progress(quiet=True))
        make_classifier(run, run.source()).first_stage(Checkpoint())
    assert sum(gpu.launches.values()) <= MOST_LAUNCHES, gpu.launches.most_common(5)
    assert sum(gpu.waits.values()) <= MOST_WAITS, gpu.waits.most_common(5)
