"""Stage 1 on a pretended GPU, counted; the tests hold it, and ``benchmarks/bench_gpu.py --counts`` prints it."""

from __future__ import annotations

from pathlib import Path

from pretended_cuda import Gpus, Pretence
from simulated import SimulatedSet, one_thread

from alignpca2d_core.classification.choose_method import make_classifier
from alignpca2d_core.io.particle_reading import read_particles
from alignpca2d_core.preprocessing.prepared_run import Run
from alignpca2d_core.runtime.progress import Progress
from alignpca2d_core.settings import Settings
from alignpca2d_core.state.checkpoint import Checkpoint

PARTICLES, VIEWS, CLASSES = 3000, 20, 100


def counted_stage_1(folder: Path, gpus: Gpus) -> Pretence:
    """Kernels and waits of stage 1 of the set that has been counted since before anything was done about them."""
    simulated = SimulatedSet.make(folder, particles=PARTICLES, views=VIEWS)
    settings = Settings(classes=CLASSES, resolution=16.0, threads=1, device="cuda")
    with one_thread(), gpus() as gpu:
        run = Run(read_particles(simulated.metadata), settings, Progress(quiet=True))
        make_classifier(run, run.source()).first_stage(Checkpoint())
    return gpu
