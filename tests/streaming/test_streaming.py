"""A stream of particles: every one exactly once, and classes as good as those of a whole set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from simulated import SimulatedSet, run
from streams import PORTIONS, START, content, cut, rows_of, step, stream, summary_of

from alignpca2d_core.io.particle_reading import read_particles
from alignpca2d_core.io.particle_set import write_particles
from alignpca2d_core.io.stacks import write_stack
from alignpca2d_core.io.star.star_reader import parse, scan
from alignpca2d_core.results.result_files import read_results
from alignpca2d_core.streaming.store.stream_store import StreamStore


def test_stream_finds_what_a_whole_run_finds(simulated: SimulatedSet, streamed: Path, tmp_path: Path) -> None:
    run(simulated.metadata, tmp_path / "whole")
    whole, found = simulated.figures(tmp_path / "whole"), simulated.figures(streamed)
    assert whole["purity"] > 0.95
    assert found["purity"] > whole["purity"] - 0.01
    assert found["pose_within"] > whole["pose_within"] - 0.01


def test_every_particle_is_in_one_class_in_the_order_it_came(simulated: SimulatedSet, streamed: Path) -> None:
    particles, result = read_results(streamed)
    given = read_particles(simulated.metadata)
    np.testing.assert_array_equal(particles.ids, given.ids)
    np.testing.assert_array_equal(particles.index_in_stack, given.index_in_stack)
    assert (result.assignments >= 0).all()
    np.testing.assert_array_equal(np.bincount(result.assignments), result.sizes)
    blocks = {block.name: parse(block) for block in scan(streamed / "classes.xmd")}
    members = [blocks[f"class{k + 1:06d}_images"]["itemId"] for k in range(len(result))]
    for k, ids in enumerate(members):
        np.testing.assert_array_equal(ids, particles.ids[result.assignments == k])
    assert blocks["classes"]["classCount"].tolist() == [len(ids) for ids in members]


def test_classes_begin_when_enough_have_come(portions: list[Path], tmp_path: Path) -> None:
    first = step(portions[0], tmp_path / "out")
    assert first["stream"] == {"batch": 0, "missing": START - 60, "closed": False, "particles": 60}
    assert not (tmp_path / "out" / "classes.xmd").exists()
    second = step(portions[1], tmp_path / "out")
    assert (second["stream"]["batch"], second["stream"]["missing"]) == (1, 0)
    assert len(rows_of(tmp_path / "out" / "particles.xmd")) == 120


def test_the_changes_applied_one_after_the_other_are_the_whole(portions: list[Path], tmp_path: Path) -> None:
    held: dict[int, tuple[float, ...]] = {}
    batches = []
    for path in [*portions, None]:
        said = step(path, tmp_path, last=path is None)
        if said["stream"]["batch"]:
            held |= rows_of(tmp_path / "changed.xmd")
            assert held == rows_of(tmp_path / "particles.xmd")
            batches.append(said["stream"]["batch"])
    assert batches == [1, 2, 3, 4, 5]
    assert len(summary_of(tmp_path)["history"]["batches"]) == 5


def test_class_numbers_stay(portions: list[Path], begun: Path) -> None:
    before = rows_of(begun / "particles.xmd")
    for path in portions[2:]:
        step(path, begun)
    after = rows_of(begun / "particles.xmd")
    assert np.mean([after[one][0] == before[one][0] for one in before]) > 0.95


def test_the_same_again_changes_nothing(portions: list[Path], begun: Path) -> None:
    files = {path: path.read_bytes() for path in begun.rglob("*") if path.is_file() and path.name != ".lock"}
    for path in portions[:2]:
        step(path, begun)
    assert {path: path.read_bytes() for path in files} == files


def test_overlapping_portions_are_counted_once(simulated: SimulatedSet, streamed: Path, tmp_path: Path) -> None:
    particles = read_particles(simulated.metadata)
    for number in range(1, PORTIONS + 1):
        write_particles(tmp_path / "so_far.xmd", particles.subset(slice(60 * number)))
        step(tmp_path / "so_far.xmd", tmp_path / "out")
    step(None, tmp_path / "out", last=True)
    assert content(tmp_path / "out") == content(streamed)


def test_classes_improve(simulated: SimulatedSet, portions: list[Path], begun: Path) -> None:
    first = simulated.figures(begun)["average_correlation"]
    for path in portions[2:]:
        step(path, begun)
    assert simulated.figures(begun)["average_correlation"] > first


def test_budget_of_zero_revisits_nothing(portions: list[Path], begun: Path) -> None:
    said = stream(portions[2:], begun, revisit=0.0)
    assert [one["stream"].get("revisited", 0) for one in said] == [0] * 4
    assert said[-1]["stream"]["closed"]


def test_budget_is_kept(portions: list[Path], tmp_path: Path) -> None:
    said = stream(portions, tmp_path, revisit=0.5)
    revisited = [one["stream"].get("revisited", 0) for one in said]
    assert 0 < sum(revisited[:-1]) <= 0.5 * 300
    assert max(revisited[:-1]) <= 60 + 0.5 * 60, "no update does the work of many"
    assert 0 < revisited[-1] <= 0.5 * 300


def test_end_comes_with_fewer_than_asked_for(portions: list[Path], tmp_path: Path) -> None:
    said = step(portions[0], tmp_path, last=True)
    assert said["stream"]["closed"]
    assert len(rows_of(tmp_path / "particles.xmd")) == 60


def test_a_stream_that_has_ended_can_go_on(portions: list[Path], begun: Path) -> None:
    step(None, begun, last=True)
    said = step(portions[2], begun)
    assert not said["stream"]["closed"]
    assert len(rows_of(begun / "particles.xmd")) == 180
    assert step(None, begun, last=True)["stream"]["closed"]


def test_given_classes_keep_their_numbers(streamed: Path, portions: list[Path], tmp_path: Path) -> None:
    given = read_results(streamed)[1].averages[::-1]
    write_stack(tmp_path / "given.mrcs", np.ascontiguousarray(given), 7.0)
    stream(portions[:3], tmp_path / "out", references=str(tmp_path / "given.mrcs"))
    found = read_results(tmp_path / "out")[1].averages
    agreement = np.corrcoef(given.reshape(3, -1), found.reshape(3, -1))[:3, 3:]
    assert (agreement.argmax(1) == np.arange(3)).all()


def test_papers_preset_moves_its_references(portions: list[Path], tmp_path: Path) -> None:
    moved = []
    for path in portions[1:4]:
        step(path, tmp_path, preset="paper", initial_particles=60)
        moved.append(StreamStore(tmp_path).load_classes()["complex:references"])
    assert not torch.equal(moved[0], moved[1])
    assert not torch.equal(moved[1], moved[2])


@pytest.fixture(scope="module")
def changing(tmp_path_factory: pytest.TempPathFactory) -> SimulatedSet:
    """Four views, one after the other."""
    folder = tmp_path_factory.mktemp("changing") / "set"
    return SimulatedSet.make(folder, particles=400, views=4, order="blocks")


@pytest.mark.parametrize("classes", [8, 2])
def test_views_that_come_up_later(changing: SimulatedSet, tmp_path: Path, classes: int) -> None:
    settings = {"classes": classes, "initial_particles": 200, "enough": 25}
    paths = cut(changing.metadata, tmp_path, 4)
    for path in paths:
        said = step(path, tmp_path / "out", **settings)
    said = step(None, tmp_path / "out", last=True, **settings)
    warnings = " ".join(said["warnings"])
    figures = changing.figures(tmp_path / "out")
    if classes == 8:
        assert figures["purity"] > 0.95
        assert figures["views_covered"] == 4
        assert "now holds a view that came up" in warnings
        assert min(said["classes"]["size"]) > 0
    else:
        assert "fit none of the classes" in warnings
