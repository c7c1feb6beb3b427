"""Which particles are read where, by their positions among those that can be used."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from simulated import SimulatedSet

from alignpca2d_core.averaging.usable_particles import UsableParticles, halves_of, spread, spread_of_each
from alignpca2d_core.io.particle_reading import read_particles
from alignpca2d_core.preprocessing.particle_source import Source
from alignpca2d_core.preprocessing.prepared_run import Run
from alignpca2d_core.runtime import distributed
from alignpca2d_core.runtime.progress import Progress
from alignpca2d_core.settings import Settings

BATCH = 16


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    particles = SimulatedSet.make(tmp_path_factory.mktemp("members"), particles=120, views=3, box=32).metadata
    run = Run(read_particles(particles), Settings(classes=3, resolution=16.0, threads=1), Progress(True))
    made = run.source()
    made.learn(made.rows)
    return made


def every_third(source: Source) -> UsableParticles:
    return UsableParticles(source, source.rows[::3], BATCH)


def test_positions_count_the_members(source: Source) -> None:
    """They find the vectors of their rows, in order, batch by batch."""
    members = every_third(source)
    _, expected = next(source.batches(members.rows, len(members)))
    chosen, particles = zip(*members.batches(), strict=True)
    assert max(len(some) for some in chosen) <= BATCH
    assert torch.cat(chosen).tolist() == list(range(len(members)))
    assert torch.equal(torch.cat([part.z for part in particles]), expected.z)


def test_some_positions(source: Source) -> None:
    members, some = every_third(source), np.array([1, 2, 30])
    _, expected = next(source.batches(members.rows[some], len(some)))
    chosen, particles = zip(*members.batches(some), strict=True)
    assert torch.cat(chosen).tolist() == some.tolist()
    assert torch.equal(torch.cat([part.z for part in particles]), expected.z)
    assert torch.equal(members.weights(some), expected.q)
    assert members.weights(some[:0]).shape == (0, source.band.rings)


def test_halves_go_with_the_rows(source: Source) -> None:
    """Wherever a row is met it is in the same half, and half of the rows are in each."""
    members = every_third(source)
    some = np.array([0, 4, 7])
    assert torch.equal(members.halves(some), halves_of(source.rows[::3][some], source.band.device))
    assert torch.equal(members.halves(torch.from_numpy(some)), members.halves(some))
    assert halves_of(np.arange(10_000), source.band.device).double().mean() == pytest.approx(0.5, abs=0.02)


def test_ranks_share_the_positions(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each position belongs to one of them."""
    members = every_third(source)
    monkeypatch.setattr(distributed, "count", lambda: 3)
    own = []
    for number in range(3):
        monkeypatch.setattr(distributed, "_mine", lambda number=number: number)
        own.append(members.own_positions())
    assert sorted(np.concatenate(own).tolist()) == list(range(len(members)))
    assert all(len(positions) for positions in own)


def test_positions_all_over() -> None:
    assert spread(5, 10).tolist() == [0, 1, 2, 3, 4]
    assert spread(101, 3).tolist() == [0, 50, 100]
    assert spread(0, 3).tolist() == []


def test_some_of_each_class_are_spread_over_the_set() -> None:
    """Of a class that has no more, all; of others as many as are wanted, from beginning to end."""
    classes = torch.tensor([0] * 500 + [1, 2] * 40 + [0] * 500)
    chosen = spread_of_each(classes, 50)
    assert (np.diff(chosen) > 0).all()
    assert np.bincount(classes.numpy()[chosen]).tolist() == [50, 40, 40]
    of_large = chosen[classes.numpy()[chosen] == 0]
    assert np.diff(of_large).max() <= 100
    assert spread_of_each(classes, 1000).tolist() == list(range(len(classes)))


def test_a_subset_reads_the_rows_there(source: Source) -> None:
    members, some = every_third(source), np.array([1, 4, 7])
    subset = members.subset(some)
    assert subset.rows.tolist() == members.rows[some].tolist()
    (_, few), (_, expected) = next(subset.batches()), next(members.batches(some))
    assert torch.equal(few.z, expected.z)
    assert torch.equal(subset.halves(np.arange(3)), members.halves(some))
