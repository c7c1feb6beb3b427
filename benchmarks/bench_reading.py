"""How fast images are read against ``dd``, and how often a classification reads each.

Run from the root of the checkout: ``python benchmarks/bench_reading.py [--images 4000] [--box 128]``.  A stack in the
page cache is read by ``dd``, by the feed of images with its two threads, and by the feed with all that is prepared of
each image.  Elapsed seconds, the best of some turns, each of which has all three one after the other.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import pytest
import torch
from bench_accuracy import circumstances
from measured_run import ROOT
from numpy.typing import NDArray

sys.path.insert(0, str(ROOT))

from alignpca2d_core.classification.classifier import Classifier
from alignpca2d_core.io.particle_reading import read_particles
from alignpca2d_core.io.stacks import StackReader
from alignpca2d_core.preprocessing.image_feed import ImageFeed
from alignpca2d_core.preprocessing.particle_source import Source
from alignpca2d_core.preprocessing.prepared_run import Run
from alignpca2d_core.preprocessing.vector_cache import VectorCache
from alignpca2d_core.runtime.progress import Progress
from alignpca2d_core.settings import Settings

TURNS = 3
LEAST_SHARE = 0.5
"""Of what dd reads in the same time."""


def write_stack(path: Path, images: int, box: int) -> None:
    """Noise with a spot in the middle."""
    random, axis = np.random.default_rng(0), np.linspace(-1, 1, box)
    spot = 2 * np.exp(-(np.hypot.outer(axis, axis) ** 2) / 0.1).astype(np.float32)
    with mrcfile.new_mmap(path, (images, box, box), mrc_mode=2) as stack:
        for image in stack.data:
            image[:] = random.standard_normal((box, box), dtype=np.float32) + spot
        stack.set_image_stack()
        stack.voxel_size = 1.77


def by_dd(path: Path) -> None:
    """All of a file, in blocks of 8 MB."""
    subprocess.run(["dd", f"if={path}", "of=/dev/null", f"bs={8 * 2**20}"], check=True, capture_output=True)


def by_feed(reader: StackReader, batch: int) -> None:
    """All images, in the batches in which they are prepared."""
    rows = np.arange(len(reader))
    parts = [rows[start : start + batch] for start in range(0, len(rows), batch)]
    for _ in ImageFeed(reader, torch.device("cpu")).batches(parts):
        pass


def prepared(source: Source) -> None:
    """All images as spectra."""
    for _ in source.batches(source.rows, source.read_batch):
        pass


def fastest(ways: dict[str, Callable[[], None]]) -> dict[str, float]:
    """Elapsed seconds of each, the best of some turns."""
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(TURNS):
        for name, way in ways.items():
            begun = time.perf_counter()
            way()
            best[name] = min(best[name], time.perf_counter() - begun)
    return best


def reads_of_each(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> float:
    """How often a classification reads an image, on average."""
    rows, read = [0], StackReader.read

    def counted(reader: StackReader, wanted: NDArray[Any], out: NDArray[np.float32] | None = None) -> NDArray[Any]:
        rows[0] += len(wanted)
        return read(reader, wanted, out)

    monkeypatch.setattr(StackReader, "read", counted)
    classifier.fit()
    return rows[0] / len(classifier.source.usable)


def opened(path: Path, images: int) -> Classifier:
    """A classifier of the first images of a stack."""
    particles = read_particles(path)
    run = Run(
        particles.subset(np.arange(images)),
        Settings(classes=5, threads=1, device="cpu", quiet=True),
        Progress(True),
    )
    return Classifier(run.settings, run.source(), run.band, run.mask, run.progress)


def main(arguments: list[str] | None = None) -> float:
    """Print the table; returns the share of dd's rate that the feed of images reaches."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--box", type=int, default=128)
    parser.add_argument("--classified", type=int, default=200, help="images of the classification that is counted")
    parser.add_argument("--work", type=Path, help="folder for the stack")
    options = parser.parse_args(arguments)
    options.device, options.threads = "cpu", 1
    with tempfile.TemporaryDirectory(dir=options.work) as folder:
        path = Path(folder) / "stack.mrcs"
        write_stack(path, options.images, options.box)
        classifier = opened(path, options.images)
        classifier.source.learn(np.arange(200))
        with StackReader(read_particles(path)) as reader:
            ways = {
                "dd": lambda: by_dd(path),
                "feed of images": lambda: by_feed(reader, classifier.source.read_batch),
                "feed, prepared": lambda: prepared(classifier.source),
            }
            source = classifier.source
            source._cache = VectorCache(0, source.band, 0)  # every turn reads
            found = fastest(ways)
        size = 4 * options.images * options.box**2 / 1e9
        print(
            f"{options.images:,} images of {options.box} px, {size:.2f} GB, in the page cache; {circumstances(options)}"
        )
        for name, seconds in found.items():
            print(f"{name:16s} {size / seconds:6.2f} GB/s  {found['dd'] / seconds:5.2f} of dd", flush=True)
        with pytest.MonkeyPatch.context() as monkeypatch:
            each = reads_of_each(opened(path, options.classified), monkeypatch)
    print(f"a classification of {options.classified} reads each image {each:.2f} times")
    share = found["dd"] / found["feed of images"]
    print(f"reading over dd: {share:.2f}")
    return share


@pytest.mark.benchmark
def test_reading(capsys: pytest.CaptureFixture[str]) -> None:
    """The same under ``make bench-all``."""
    with capsys.disabled():
        assert main([]) >= LEAST_SHARE


if __name__ == "__main__":
    sys.exit(0 if main() >= LEAST_SHARE else 1)
