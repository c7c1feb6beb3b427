"""What a stream says of its averages at its end: as of a whole set that is read at once."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from simulated import one_thread
from streams import QUICK, START, content, step, summary_of

from alignpca2d_core.averaging.usable_particles import UsableParticles
from alignpca2d_core.io.concatenation import concatenate
from alignpca2d_core.io.stacks import StackReader
from alignpca2d_core.preprocessing.particle_source import Source
from alignpca2d_core.preprocessing.prepared_run import Run
from alignpca2d_core.runtime.progress import Progress
from alignpca2d_core.settings import Settings
from alignpca2d_core.streaming import final_figures
from alignpca2d_core.streaming.assignment_updates import AssignmentUpdates
from alignpca2d_core.streaming.final_figures import PlacedParticles, shown_at_the_end
from alignpca2d_core.streaming.store.stream_store import StreamStore


@pytest.fixture(scope="module")
def members(streamed: Path) -> AssignmentUpdates:
    """A stream that has ended."""
    journal = StreamStore(streamed)
    particles = journal.particles(journal.record.batches[0])
    settings = Settings(**{**QUICK, "initial_particles": START})
    return AssignmentUpdates(journal, Run(particles, settings, Progress(quiet=True)))


def test_particles_are_those_of_one_set(members: AssignmentUpdates) -> None:
    batches = members.record.batches
    rows = np.arange(5, members.record.count, 3)
    placed = PlacedParticles(members.journal, rows, members.preparation)
    everything = concatenate([members.journal.particles(batch) for batch in batches])
    source = Source(StackReader(everything), everything, members.preparation, cache_bytes=0).among(rows)
    whole = UsableParticles(source, rows, 64)
    some = np.arange(0, len(rows), 2)
    with one_thread():
        for one, other in ((placed, whole), (placed.to_nyquist(), whole.to_nyquist())):
            found = [torch.cat(parts) for parts in zip(*((at, v.z) for at, v in one.batches(some)), strict=True)]
            expected = [torch.cat(parts) for parts in zip(*((at, v.z) for at, v in other.batches(some)), strict=True)]
            assert torch.equal(found[0], expected[0])
            assert torch.equal(found[0], torch.from_numpy(some))
            torch.testing.assert_close(found[1], expected[1])
    assert torch.equal(placed.halves(found[0]), whole.halves(found[0]))
    assert torch.equal(placed.quarters(found[0]), whole.quarters(found[0]))


def test_the_end_states_less_than_halves_at_the_delivered_poses(members: AssignmentUpdates) -> None:
    classes = members.classes
    with one_thread():
        shown = shown_at_the_end(members)
    assert shown is not None
    delivered = classes.method.average(classes.delivered()).frc
    inner = shown.frc[:, 1 : delivered.shape[1]]
    assert inner.shape == delivered[:, 1:].shape
    assert float(inner.mean()) < float(delivered[:, 1:].mean()) + 0.02
    said = summary_of(members.journal.directory)["classes"]["resolution_angstrom"]
    assert len(said) == len(shown.frc)


def test_where_images_are_gone_it_says_nothing(members: AssignmentUpdates, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AssignmentUpdates, "unchanged", lambda _, batch: np.arange(batch.count) > 0)
    assert shown_at_the_end(members) is None


def test_without_a_budget_nothing_is_read_for_it(
    before_the_end: Path, streamed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    monkeypatch.setattr(final_figures.PlacedParticles, "batches", lambda *_: read.append(1))
    shutil.copytree(before_the_end, tmp_path, dirs_exist_ok=True)
    step(None, tmp_path, last=True, revisit=0.0)
    assert not read
    assert content(tmp_path).keys() == content(streamed).keys()
