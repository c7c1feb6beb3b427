"""What the parts of a classification take on a GPU, and what that makes of the paper's set EMPIAR-10061.

Run from the root of the checkout: ``make bench-gpu``, or ``python benchmarks/bench_gpu.py [--device cuda:1]``.  Each
part is timed by itself on random numbers: images of 128 px, a resolution limit of 8 Å, 100 classes.  The table says
what a particle takes, and what the 381,792 of EMPIAR-10061 take, for which the paper states 29.33 minutes.
``--counts`` needs no GPU: it counts kernels and waits of stage 1 on a pretended one.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from alignpca2d_core.alignment.exhaustive_search import exhaustive, locate
from alignpca2d_core.alignment.fourier_pca import FourierPCA
from alignpca2d_core.alignment.local_search import refine
from alignpca2d_core.alignment.matches import Matches
from alignpca2d_core.alignment.search_grids import nested_schedule
from alignpca2d_core.averaging.class_averages import accumulate
from alignpca2d_core.classification.method import FINENESS, KEEP
from alignpca2d_core.fourier.band import Band, as_real
from alignpca2d_core.fourier.ctf import CtfParameters
from alignpca2d_core.preprocessing.preprocess import Preparation, Treatment, Vectors
from alignpca2d_core.runtime import devices

PARTICLES = 381_792
"""Of EMPIAR-10061, for which the paper states 29.33 minutes."""
PAPER_MINUTES = 29.33
BOX, SAMPLING_RATE, RADIUS, CLASSES = 128, 1.77, 28.3, 100
REPEATS = 3


@dataclass(frozen=True)
class Part:
    """One part of the work.

    Attributes
    ----------
    name : str
    passes : int
        How often all particles go through it.
    particles : int
        At once.
    work : callable
    """

    name: str
    passes: int
    particles: int
    work: Callable[[], object]


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """The least of some runs, after one that is not counted."""
    taken = []
    for _ in range(REPEATS + 1):
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        taken.append(time.perf_counter() - start)
    return min(taken[1:])


def parts(device: torch.device, count: int) -> list[Part]:
    """The parts that all particles go through, ``count`` particles at once."""
    drawn = torch.Generator().manual_seed(0)
    band = Band.make(BOX, RADIUS, device)

    def vectors(rows: int) -> torch.Tensor:
        return torch.view_as_complex(torch.randn(rows, len(band), 2, generator=drawn)).to(device)

    images = torch.randn(count, BOX, BOX, generator=drawn).numpy()
    particles = Vectors(vectors(count), torch.ones(count, band.rings, device=device), band)
    references, schedule = vectors(CLASSES), nested_schedule(BOX, RADIUS, FINENESS)
    narrow = particles.narrowed(schedule.exhaustive.radius)
    basis = FourierPCA().partial_fit(as_real(narrow.z)).finalize()
    matches = exhaustive(particles, references, band, schedule, basis, KEEP[0])
    last, best = schedule.final, matches.best(2)
    placed = Matches.at_rest(matches.classes[:, 0])
    placed.angle = matches.angle[:, :1]
    halves = torch.arange(count, device=device) % 2
    prepared = Preparation(band, Treatment(SAMPLING_RATE, "model", 52.0))
    known = (np.full(count, value) for value in (15_000.0, 14_500.0, 30.0, 300.0, 2.7, 0.1, 0.0))
    optics = CtfParameters(*known)
    keep = KEEP[: 1 + len(schedule.local)]
    return [
        Part("images to vectors", 2, count, lambda: prepared.spectra(images, optics)),
        Part("exhaustive search", 1, count, lambda: exhaustive(particles, references, band, schedule, basis, KEEP[0])),
        Part("whole search", 1, count, lambda: locate(particles, references, schedule, basis, keep)),
        Part("final poses", 1, count, lambda: refine(particles, references, band, last, best)),
        Part("sums of classes", 2, count, lambda: accumulate(particles, placed, CLASSES, halves)),
    ]


def timed(device: torch.device, count: int) -> None:
    """Print the table."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU, one thread"
    print(f"{name}; {BOX} px, {CLASSES} classes, {count:,} particles at once; PyTorch {torch.__version__}\n")
    print(f"{'part':<20}{'µs a particle':>15}{'passes':>8}{f's for {PARTICLES:,}':>18}")
    whole = 0.0
    for part in parts(device, count):
        each = seconds(part.work, device) / part.particles
        total = each * part.passes * PARTICLES
        # The exhaustive search is part of the whole one.
        whole += 0 if part.name == "exhaustive search" else total
        print(f"{part.name:<20}{each * 1e6:>15.1f}{part.passes:>8}{total:>18.0f}")
    print(f"{'together':<43}{whole:>18.0f}   without reading files and stage 1")
    print(f"{'the paper':<43}{PAPER_MINUTES * 60:>18.0f}   all of it")


def counted() -> None:
    """Print how many kernels stage 1 of 3,000 particles at K = 100 starts, and how often the host waits."""
    sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "tests" / name) for name in ("", "pretended_gpu")]
    from counted_stage import counted_stage_1
    from pretended_cuda import pretended_gpus

    with tempfile.TemporaryDirectory() as folder:
        gpu = counted_stage_1(Path(folder), pretended_gpus)
    for kind, found in (("kernels", gpu.launches), ("waits", gpu.waits)):
        print(f"{sum(found.values()):,} {kind}; most of them:")
        for line, times in found.most_common(10):
            print(f"{times:>8,}  {line}")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    options.add_argument("--particles", type=int, default=8192, help="at once (default 8192)")
    options.add_argument("--counts", action="store_true", help="count kernels and waits on a pretended GPU")
    chosen = options.parse_args()
    if chosen.counts:
        counted()
    else:
        timed(devices.set_up(chosen.device, 1), chosen.particles)


if __name__ == "__main__":
    main()
