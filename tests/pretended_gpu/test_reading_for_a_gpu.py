"""Images on their way to a GPU: pinned memory that is used again, copies beside what is computed, one reading."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pretended_cuda import Gpus
from simulated import QUICK, SimulatedSet, one_thread

from alignpca2d_core.classification.choose_method import make_classifier
from alignpca2d_core.io.particle_reading import read_particles
from alignpca2d_core.io.stacks import StackReader
from alignpca2d_core.preprocessing import image_feed, particle_source
from alignpca2d_core.preprocessing.image_feed import ImageFeed
from alignpca2d_core.preprocessing.particle_source import Source
from alignpca2d_core.preprocessing.prepared_run import Run
from alignpca2d_core.runtime.progress import Progress
from alignpca2d_core.settings import Settings


class CountingReader(StackReader):
    """Counts how often each image is read."""

    def read(self, rows: NDArray[np.int64], out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        if not hasattr(self, "times"):
            self.times = np.zeros(len(self), dtype=int)
        self.times[rows] += 1
        return super().read(rows, out)


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixteen images at once, and room for as few batches as there may be."""
    monkeypatch.setattr(particle_source, "READ_BATCH_BYTES", 0)
    monkeypatch.setattr(particle_source, "CACHED_BATCH_BYTES", 0)
    monkeypatch.setattr(image_feed, "AHEAD_BYTES", 0)


def test_every_batch_arrives_whole(gpus: Gpus, small: SimulatedSet, small_batches: None) -> None:
    """Were a batch used before it had been copied, or its memory filled again too early, others would come."""
    reader = StackReader(read_particles(small.metadata))
    batches = np.split(np.arange(150), range(7, 150, 7))
    with gpus():
        feed = ImageFeed(reader, torch.device("cuda", 0))
        for rows, images in feed.batches(batches):
            assert images.is_cuda
            np.testing.assert_array_equal(images.cpu().numpy(), reader.read(rows))
        held = feed._free
        assert len(held) <= image_feed.READERS_FOR_GPU + image_feed.SENT_TO_GPU
        assert all(one.images.is_pinned() for one in held)


def test_vectors_are_those_of_the_cpu(pretended: Gpus, small: SimulatedSet, small_batches: None) -> None:
    def vectors(device: str) -> torch.Tensor:
        settings = Settings(**QUICK, device=device)
        source = Run(read_particles(small.metadata), settings, Progress(quiet=True)).source()
        source.learn(source.rows[:60])
        return torch.cat([some.z for _, some in source.batches(source.rows, 40)]).cpu()

    with one_thread(), pretended():
        on_gpu = vectors("cuda")
    with one_thread():
        assert torch.equal(on_gpu, vectors("cpu"))


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_every_image_is_read_once(
    pretended: Gpus, small: SimulatedSet, tmp_path: Path, small_batches: None, device: str
) -> None:
    """Vectors of all particles are kept: nothing is read again, but once for what averages show beyond the band."""
    with one_thread(), pretended():
        run = Run(read_particles(small.metadata), Settings(**QUICK, device=device), Progress(quiet=True))
        reader = CountingReader(run.particles)
        classifier = make_classifier(run, Source(reader, run.particles, run.preparation()))
        beyond = classifier.fit().shown_.finer.dim() > 0
    assert (reader.times >= 1).all()
    assert (reader.times <= 1 + beyond).all()
