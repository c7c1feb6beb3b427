"""A thousand ``update`` batches in one process: memory, file handles and time per batch stay flat, the folder small.

``python benchmarks/bench_long_stream.py [--batches 1000] [--each 5]``.  The figures of the last tenth are held
against those of the tenth after the classes were made; the exit code is 1 where something grows.

This is harder than what happens: Scipion's protocol and the command line start a process for each batch, which ends
with all that it held (``bench_stream.py`` measures those).  Memory is what the process still holds when the C library
has given back what it keeps for later, as much as the largest batch so far needed.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import torch

from alignpca2d_core.io.particle_reading import read_particles
from alignpca2d_core.io.particle_set import write_particles
from alignpca2d_core.runtime.progress import Progress
from alignpca2d_core.settings import Settings, SimulationSettings
from alignpca2d_core.simulation.simulate import simulate
from alignpca2d_core.streaming.update import update

MOST_MEMORY_GROWTH_MB = 30.0
MOST_TIME_GROWTH = 1.5
"""Batches grow by what is written of all particles, a row each; not by more."""
MOST_BYTES_PER_PARTICLE = 1500


@dataclass(frozen=True)
class Figures:
    """What the process and the folder are after a batch."""

    cpu_s: float
    memory_mb: float
    handles: int
    files: int
    bytes: int


def give_back() -> None:
    """Let the C library return what it keeps of memory that was freed."""
    gc.collect()
    library = ctypes.CDLL(None)
    if hasattr(library, "malloc_trim"):
        library.malloc_trim(0)


def measured(folder: Path, cpu_s: float) -> Figures:
    give_back()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    files = [path for path in folder.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    handles = len(list(Path("/proc/self/fd").iterdir()))
    return Figures(cpu_s, pages * os.sysconf("SC_PAGE_SIZE") / 2**20, handles, len(files), size)


def shown(name: str, some: list[Figures]) -> str:
    last = some[-1]
    return (
        f"{name:<28} {1000 * median(one.cpu_s for one in some):8.0f} ms CPU per batch  {last.memory_mb:8.1f} MB  "
        f"{last.handles:3d} handles  {last.files:4d} files  {last.bytes / 2**20:7.2f} MB on disk"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", type=int, default=1000)
    parser.add_argument("--each", type=int, default=5, help="particles per batch")
    options = parser.parse_args()
    torch.set_num_threads(1)
    settings = Settings(classes=4, resolution=16.0, initial_particles=100, threads=1, quiet=True)
    figures: list[Figures] = []
    with tempfile.TemporaryDirectory() as scratch:
        folder, out = Path(scratch), Path(scratch) / "out"
        count = options.batches * options.each
        made = SimulationSettings(particles=count, views=3, box=32, sampling_rate=7.0, snr=0.3, view_selection="spread")
        simulate(made, folder / "set", Progress(quiet=True))
        particles = read_particles(folder / "set" / "particles.xmd")
        for rows in np.array_split(np.arange(count), options.batches):
            write_particles(folder / "batch.xmd", particles.subset(rows))
            began = time.process_time()
            update(folder / "batch.xmd", out, settings, Progress(quiet=True))
            figures.append(measured(out, time.process_time() - began))
            if len(figures) % 100 == 0:
                print(shown(f"batches {len(figures) - 99} to {len(figures)}", figures[-100:]), flush=True)
        classified = len(read_particles(out / "particles.xmd"))
    begun = 100 // options.each + 10
    tenth = max(1, (options.batches - begun) // 10)
    early, late = figures[begun : begun + tenth], figures[-tenth:]
    print(shown(f"batches {begun} to {begun + tenth}", early))
    print(shown(f"the last {tenth}", late))
    grown = late[-1].memory_mb - early[-1].memory_mb
    slower = median(one.cpu_s for one in late) / median(one.cpu_s for one in early)
    each = late[-1].bytes / count
    print(f"{grown:+.1f} MB, time × {slower:.2f}, {each:.0f} bytes on disk per particle, {classified} of {count} there")
    flat = grown < MOST_MEMORY_GROWTH_MB and slower < MOST_TIME_GROWTH and late[-1].handles <= early[-1].handles
    return 0 if flat and each < MOST_BYTES_PER_PARTICLE and classified == count else 1


if __name__ == "__main__":
    sys.exit(main())
