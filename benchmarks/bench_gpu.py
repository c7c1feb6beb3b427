"""What the parts of a classification take on a GPU, and what that makes of the paper's set EMPIAR-10061.

Run from the root of the checkout: ``make bench-gpu``, or ``python benchmarks/bench_gpu.py [--device cuda:1]``.  Each
part is timed by itself on random numbers: images of 128 px, a resolution limit of 8 Å, 100 classes.  The table says
what a particle takes, and what the 381,792 of EMPIAR-10061 take, for which the paper states 29.33 minutes.  Where there
is no GPU the figures are CPU seconds of one thread.  ``--counts`` needs no GPU: it counts kernels and waits of
stage 1 on a pretended one.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
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
from alignpca2d_core.averaging.noise_scores import matched_filter_ratio
from alignpca2d_core.averaging.templates import Templates
from alignpca2d_core.classification.method import FINENESS, KEEP
from alignpca2d_core.fourier.band import Band, as_real
from alignpca2d_core.fourier.ctf import CtfParameters
from alignpca2d_core.io.particle_reading import read_particles
from alignpca2d_core.io.stacks import StackReader, write_stack
from alignpca2d_core.preprocessing.image_feed import ImageFeed
from alignpca2d_core.preprocessing.preprocess import Preparation, Treatment, Vectors
from alignpca2d_core.runtime import devices

PARTICLES = 381_792
"""Of EMPIAR-10061."""
PAPER = {
    "10061": (381_792, 30.11, 248.33, 29.33),
    "10025": (181_358, 20.45, 95.49, 16.00),
    "10081": (258_426, 34.00, 237.50, 30.40),
    "11604": (1_107_902, 206.00, 2220.00, 122.00),
}
"""Table 1: particles, and minutes of cryoSPARC, RELION and the authors' program."""
BOX, SAMPLING_RATE, RADIUS, CLASSES = 128, 1.77, 28.3, 100
SAMPLE, KERNELS, LITTLE = 10_000, 18_100, 1000
"""Particles that the PCA is learned from; kernels that stage 1 starts (``--counts``), so many of which are timed."""
ON_GPU, ON_CPU = 8192, 2048
"""Particles at once."""
REPEATS = 3


@dataclass(frozen=True)
class Part:
    """One part of the work.

    Attributes
    ----------
    name : str
    work : callable
    passes : int
        How often all particles go through it; 0 for a part of the next one.
    """

    name: str
    work: Callable[[], object]
    passes: int = 1


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """The least of some runs, after one that is not counted; of a CPU, which may be shared, CPU seconds."""
    clock, taken = time.perf_counter if device.type == "cuda" else time.process_time, []
    for _ in range(REPEATS + 1):
        start = clock()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        taken.append(clock() - start)
    return min(taken[1:])


def of_particles(device: torch.device, count: int, folder: Path) -> Iterator[Part]:
    """The parts that all particles go through, ``count`` particles at once."""
    drawn = torch.Generator().manual_seed(0)
    band = Band.make(BOX, RADIUS, device)

    def vectors(rows: int) -> torch.Tensor:
        return torch.view_as_complex(torch.randn(rows, len(band), 2, generator=drawn)).to(device)

    images = torch.randn(count, BOX, BOX, generator=drawn).numpy()
    write_stack(folder / "particles.mrcs", images, SAMPLING_RATE)
    feed = ImageFeed(StackReader(read_particles(folder / "particles.mrcs")), device)
    reads = np.split(np.arange(count), range(512, count, 512))
    particles = Vectors(vectors(count), torch.ones(count, band.rings, device=device), band)
    references, schedule = vectors(CLASSES), nested_schedule(BOX, RADIUS, FINENESS)
    narrow = particles.narrowed(schedule.exhaustive.radius)
    basis = FourierPCA().partial_fit(as_real(narrow.z)).finalize()
    matches = exhaustive(particles, references, schedule, basis, KEEP[0])
    last, best = schedule.final, matches.best(2)
    placed = Matches.at_rest(matches.classes[:, 0])
    placed.angle = matches.angle[:, :1]
    halves = torch.arange(count, device=device) % 2
    prepared = Preparation(band, Treatment(SAMPLING_RATE, "model", mask_radius=52.0))
    known = (np.full(count, value) for value in (15_000.0, 14_500.0, 30.0, 300.0, 2.7, 0.1, 0.0))
    optics, templates = CtfParameters(*known), Templates.given(references, band)
    keep = KEEP[: 1 + len(schedule.local)]
    yield Part("files to the device", lambda: [None for _ in feed.batches(reads)])
    yield Part("images to vectors", lambda: prepared.spectra(images, optics))
    yield Part("first grid", lambda: exhaustive(particles, references, schedule, basis, KEEP[0]), 0)
    yield Part("whole search", lambda: locate(particles, references, schedule, basis, keep))
    yield Part("final poses", lambda: refine(particles, references, band, last, best))
    yield Part("scores", lambda: matched_filter_ratio(particles, templates, last, placed))
    yield Part("sums of classes", lambda: accumulate(particles, placed, CLASSES, halves), 2)


def once(device: torch.device) -> Iterator[tuple[str, Callable[[], object], int]]:
    """The parts that a run goes through once, and how many of these it is made of."""
    band = Band.make(BOX, RADIUS, device).narrowed(nested_schedule(BOX, RADIUS, FINENESS).exhaustive.radius)
    sample, little = torch.randn(SAMPLE, len(band), dtype=torch.complex64).to(device), torch.ones(8, device=device)

    def learn() -> None:
        FourierPCA().fit_vectors(sample).symmetrise(band.symmetries()).finalize()

    def start() -> None:
        for _ in range(LITTLE):
            little.add_(1.0)

    yield "PCA of a sample", learn, 1
    yield f"{KERNELS:,} kernels of stage 1 started", start, KERNELS // LITTLE


def timed(device: torch.device, count: int) -> None:
    """Print the tables."""
    on_gpu = device.type == "cuda"
    name = torch.cuda.get_device_name(device) if on_gpu else "No GPU is here: CPU seconds of one thread"
    print(f"{name}; {BOX} px, {CLASSES} classes, {count:,} particles at once; PyTorch {torch.__version__}\n")
    print(f"{'part':<36}{'µs a particle':>15}{'passes':>8}{f's for {PARTICLES:,}':>18}")
    growing = fixed = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for part in of_particles(device, count, Path(folder)):
            each = seconds(part.work, device) / count
            growing += each * part.passes
            total = f"{each * part.passes * PARTICLES:>18.1f}" if part.passes else f"{'of the next':>18}"
            print(f"{part.name:<36}{each * 1e6:>15.1f}{part.passes:>8}{total}")
    for called, work, times in once(device):
        taken = seconds(work, device) * times
        fixed += taken
        print(f"{called:<36}{'':>23}{taken:>18.1f}")
    print(f"{'together':<59}{growing * PARTICLES + fixed:>18.1f}")
    print(
        "\nMinutes; ours for as many images of 128 px, without stage 1's work on its sample, look-alikes and results:\n"
    )
    print(f"{'EMPIAR':<8}{'particles':>12}{'these parts':>14}{'paper':>10}{'cryoSPARC':>12}{'RELION':>10}")
    for number, (particles, cryosparc, relion, paper) in PAPER.items():
        ours = (growing * particles + fixed) / 60
        print(f"{number:<8}{particles:>12,}{ours:>14.2f}{paper:>10.2f}{cryosparc:>12.2f}{relion:>10.2f}")


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
    options.add_argument("--particles", type=int, help=f"at once (default {ON_GPU:,}, {ON_CPU} on a CPU)")
    options.add_argument("--counts", action="store_true", help="count kernels and waits on a pretended GPU")
    chosen = options.parse_args()
    if chosen.counts:
        counted()
    else:
        device = devices.set_up(chosen.device, 1)
        timed(device, chosen.particles or (ON_GPU if device.type == "cuda" else ON_CPU))


if __name__ == "__main__":
    main()
