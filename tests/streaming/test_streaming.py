"""A stream of particles: every one exactly once, whatever happens, and classes as good as those of a whole set."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from simulated import QUICK, SimulatedSet, one_thread, run

from alignpca2d_core.errors import InputError
from alignpca2d_core.io import atomic_files
from alignpca2d_core.io.particle_set import ParticleSet, read_particles, write_particles
from alignpca2d_core.io.stacks import StackReader, write_stack
from alignpca2d_core.io.star.star_reader import parse, scan
from alignpca2d_core.results.result_files import read_results
from alignpca2d_core.runtime.progress import Progress
from alignpca2d_core.settings import Settings
from alignpca2d_core.streaming.store import batch_compaction
from alignpca2d_core.streaming.store import stream_store as journal_module
from alignpca2d_core.streaming.store.particle_identity import identities
from alignpca2d_core.streaming.store.stream_store import StreamStore
from alignpca2d_core.streaming.update import update

PORTIONS = 5
START = 120


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> SimulatedSet:
    return SimulatedSet.make(tmp_path_factory.mktemp("stream") / "set")


@pytest.fixture(scope="module")
def portions(simulated: SimulatedSet) -> list[Path]:
    """The set in portions of 60 particles."""
    return cut(simulated.metadata, simulated.folder, PORTIONS)


@pytest.fixture(scope="module")
def streamed(portions: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stream that has ended, undisturbed."""
    directory = tmp_path_factory.mktemp("streamed")
    stream(portions, directory)
    return directory


@pytest.fixture(scope="module")
def first_classes(portions: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stream whose classes have just been made, of two portions."""
    directory = tmp_path_factory.mktemp("begun")
    for path in portions[:2]:
        step(path, directory)
    return directory


@pytest.fixture(scope="module")
def three_portions(first_classes: Path, portions: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with a portion more."""
    directory = tmp_path_factory.mktemp("three")
    shutil.copytree(first_classes, directory, dirs_exist_ok=True)
    step(portions[2], directory)
    return directory


@pytest.fixture(scope="module")
def before_the_end(three_portions: Path, portions: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with all portions, still open."""
    directory = tmp_path_factory.mktemp("open")
    shutil.copytree(three_portions, directory, dirs_exist_ok=True)
    for path in portions[3:]:
        step(path, directory)
    return directory


@pytest.fixture
def begun(first_classes: Path, tmp_path: Path) -> Path:
    """A copy to go on with, as deep in the file system as the stream that it is a copy of."""
    shutil.copytree(first_classes, tmp_path, dirs_exist_ok=True)
    return tmp_path


def cut(metadata: Path, folder: Path, count: int) -> list[Path]:
    particles = read_particles(metadata)
    paths = [folder / f"portion{number}.xmd" for number in range(count)]
    for path, rows in zip(paths, np.array_split(np.arange(len(particles)), count), strict=True):
        write_particles(path, particles.subset(rows))
    return paths


def step(path: Path | None, directory: Path, last: bool = False, **changes: Any) -> dict[str, Any]:
    """One update; returns its summary."""
    settings = Settings(**{**QUICK, "initial_particles": START, **changes})
    with one_thread():
        update(path, directory, settings, Progress(quiet=True), last)
    return summary_of(directory)


def stream(portions: list[Path], directory: Path, **changes: Any) -> list[dict[str, Any]]:
    """All portions and the end; returns the summaries."""
    said = [step(path, directory, **changes) for path in portions]
    return [*said, step(None, directory, last=True, **changes)]


def summary_of(directory: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((directory / "summary.json").read_text())
    return content


def rows_of(path: Path) -> dict[int, tuple[float, ...]]:
    """What a file of particles says of each id."""
    table = next(parse(block) for block in scan(path) if block.name == "particles")
    labels = ("ref", "anglePsi", "shiftX", "shiftY", "enabled")
    rows = zip(*(table[label].tolist() for label in labels), strict=True)
    return dict(zip(table["itemId"].tolist(), rows, strict=True))


def content(directory: Path) -> dict[str, bytes]:
    """The files that say what was found, and nothing of when."""
    return {name: (directory / name).read_bytes() for name in ("particles.xmd", "classes.xmd", "classes.mrcs")}


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


def test_whoever_applies_the_changes_has_the_whole(portions: list[Path], tmp_path: Path) -> None:
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


class Crash(BaseException):
    """The process is gone."""


@pytest.fixture
def crashing(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Raises Crash at the n-th renaming of a file, when its item counts down to nought."""
    left = [10**9]
    replace = Path.replace

    def perhaps(path: Path, target: Path) -> Path:
        left[0] -= 1
        if left[0] == 0:
            raise Crash
        return replace(path, target)

    monkeypatch.setattr(atomic_files.Path, "replace", perhaps)
    yield left
    left[0] = 10**9


@pytest.mark.parametrize("moment", [1, 2, 3, 4, 5, 6, 8, 10, 12, 14])
def test_a_crash_at_any_file_loses_nothing(
    portions: list[Path], three_portions: Path, begun: Path, crashing: list[int], moment: int
) -> None:
    crashing[0] = moment
    with pytest.raises(Crash):
        step(portions[2], begun)
    said = step(portions[2], begun)
    assert content(begun) == content(three_portions)
    assert [one["particles"] for one in said["history"]["batches"]] == [120, 180]
    assert not [path for path in begun.rglob("*") if ".part" in path.name]


@pytest.mark.parametrize("moment", [3, 8, 13, 18, 23, 28])
def test_a_crash_at_the_end_loses_nothing(
    before_the_end: Path, streamed: Path, tmp_path: Path, crashing: list[int], moment: int
) -> None:
    shutil.copytree(before_the_end, tmp_path, dirs_exist_ok=True)
    crashing[0] = moment
    with pytest.raises(Crash):
        step(None, tmp_path, last=True)
    step(None, tmp_path, last=True)
    assert content(tmp_path) == content(streamed)


def test_a_batch_that_was_kept_and_not_assigned_is_assigned_with_the_next(
    portions: list[Path], begun: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(journal_module.StreamStore, "assign", crash)
        with pytest.raises(Crash):
            step(portions[2], begun)
    assert len(rows_of(begun / "particles.xmd")) == 120
    step(portions[3], begun)
    found = rows_of(begun / "particles.xmd")
    assert len(found) == 240
    assert all(row[0] > 0 for row in found.values())


def crash(*_: Any) -> None:
    raise Crash


def test_budget_of_nought_revisits_nothing(portions: list[Path], begun: Path) -> None:
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


@pytest.fixture
def marred(simulated: SimulatedSet, tmp_path: Path) -> list[Path]:
    """Portions with a disabled particle, a constant one and one of NaN in each, in a stack of their own."""
    particles = read_particles(simulated.metadata)
    images = StackReader(particles).read(np.arange(len(particles))).copy()
    images[1::60] = 3.0
    write_stack(tmp_path / "marred.mrcs", images, 7.0)
    pixels = np.memmap(tmp_path / "marred.mrcs", np.float32, "r+", 1024, images.shape)
    pixels[2::60, 5] = np.nan
    pixels.flush()
    enabled = particles.enabled.copy()
    enabled[::60] = False
    marred = ParticleSet(**{**vars(particles), "stacks": (tmp_path / "marred.mrcs",), "enabled": enabled})
    write_particles(tmp_path / "marred.xmd", marred)
    return cut(tmp_path / "marred.xmd", tmp_path, PORTIONS)


def test_bad_particles_stay_in_their_rows(marred: list[Path], tmp_path: Path) -> None:
    said = stream(marred, tmp_path / "out")[-1]
    found = rows_of(tmp_path / "out" / "particles.xmd")
    unused = [number for number, row in found.items() if row[0] == 0]
    assert unused == sorted(60 * portion + which for portion in range(5) for which in (1, 2, 3))
    assert all(found[number][-1] == -1 for number in unused)
    assert said["counts"] == {
        "particles": 300,
        "classified": 285,
        "disabled": 5,
        "unusable": 10,
        "classes": 3,
        "views": 3,
    }


def test_particles_that_vanish_or_change_keep_their_classes(marred: list[Path], tmp_path: Path) -> None:
    for path in marred:
        step(path, tmp_path / "out", revisit=0.0)
    before = rows_of(tmp_path / "out" / "particles.xmd")
    pixels = np.memmap(tmp_path / "marred.mrcs", np.float32, "r+", 1024, (300, 32, 32))
    pixels[:] = pixels[::-1].copy()
    pixels.flush()
    said = step(None, tmp_path / "out", last=True)
    assert "their images have changed" in " ".join(said["warnings"])
    after = rows_of(tmp_path / "out" / "particles.xmd")
    assert {one: row[0] for one, row in after.items()} == {one: row[0] for one, row in before.items()}


@pytest.mark.parametrize(("change", "named"), [({"classes": 4}, "classes"), ({"resolution": 20.0}, "resolution")])
def test_settings_must_stay(portions: list[Path], tmp_path: Path, change: dict[str, Any], named: str) -> None:
    step(portions[0], tmp_path)
    with pytest.raises(InputError, match=f"begun with other {named}"):
        step(portions[1], tmp_path, **change)
    step(portions[0], tmp_path, batch_size=7, revisit=2.0)


def test_limits_of_good_classes_may_change_and_the_history_counts_what_is_good(
    portions: list[Path], begun: Path
) -> None:
    before = summary_of(begun)
    sizes, said = before["classes"]["size"], before["classes"]["verdict"]
    last = before["history"]["batches"][-1]
    assert last["verdicts"] == {verdict: said.count(verdict) for verdict in ("good", "doubtful", "junk")}
    assert last["good"] == sum(size for size, verdict in zip(sizes, said, strict=True) if verdict == "good") > 0
    after = step(portions[2], begun, good_particles=10**6, title="of the night")
    assert "good" not in after["classes"]["verdict"]
    assert after["history"]["batches"][-1]["good"] == 0
    assert after["settings"]["title"] == "of the night"


def test_another_box_is_refused_and_nothing_lost(portions: list[Path], tmp_path: Path) -> None:
    step(portions[0], tmp_path / "out")
    other = SimulatedSet.make(tmp_path / "other", box=40, particles=20)
    with pytest.raises(InputError, match="begun with other box"):
        step(other.metadata, tmp_path / "out")
    assert step(portions[1], tmp_path / "out")["stream"]["batch"] == 1


def test_a_classification_is_not_overwritten(simulated: SimulatedSet, portions: list[Path], tmp_path: Path) -> None:
    (tmp_path / "classes.xmd").write_text("")
    with pytest.raises(InputError, match="no stream's"):
        step(portions[0], tmp_path)


def test_nothing_to_begin_with(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no stream was begun"):
        step(None, tmp_path, last=True)
    with pytest.raises(InputError, match="--last"):
        step(None, tmp_path)


def test_damaged_record_is_refused(portions: list[Path], tmp_path: Path) -> None:
    step(portions[0], tmp_path)
    (tmp_path / "state/stream.json").write_text("{")
    with pytest.raises(InputError, match=r"stream\.json: damaged"):
        step(portions[1], tmp_path)


@pytest.mark.parametrize("damage", [b"", b'{"particles": 120}', b"\xff" * 4000])
def test_damaged_history_is_refused(portions: list[Path], begun: Path, damage: bytes) -> None:
    (begun / "state/history.jsonl").write_bytes(damage)
    before = rows_of(begun / "particles.xmd")
    with pytest.raises(InputError, match=r"history\.jsonl: .*start again in a new folder"):
        step(portions[2], begun)
    assert rows_of(begun / "particles.xmd") == before


def test_what_a_killed_process_added_to_the_history_does_not_count(portions: list[Path], begun: Path) -> None:
    with (begun / "state/history.jsonl").open("ab") as file:
        file.write(b'{"batch": 9, "partic')
    batches = step(portions[2], begun)["history"]["batches"]
    assert [one["batch"] for one in batches] == [1, 2]
    lines = (begun / "state/history.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == batches


def test_ids_that_come_twice_stay_apart(portions: list[Path], tmp_path: Path) -> None:
    second = read_particles(portions[1])
    second.ids = second.ids - 60
    write_particles(tmp_path / "second.xmd", second)
    step(portions[0], tmp_path / "out")
    step(tmp_path / "second.xmd", tmp_path / "out")
    assert sorted(rows_of(tmp_path / "out/particles.xmd")) == list(range(1, 121))


def test_identity_of_an_image_is_its_own(tmp_path: Path) -> None:
    particles = read_particles_of(tmp_path, stacks=30, images=500)
    assert len(np.unique(identities(particles, tmp_path))) == 15000
    np.testing.assert_array_equal(identities(particles, tmp_path), identities(particles, tmp_path / "x" / ".."))


def read_particles_of(folder: Path, stacks: int, images: int) -> ParticleSet:
    count = stacks * images
    paths = tuple(folder / f"{number}.mrcs" for number in range(stacks))
    rows = np.arange(count)
    return ParticleSet(
        table=read_particles_table(count),
        stacks=paths,
        stack_of=(rows // images).astype(np.int32),
        index_in_stack=rows % images,
        enabled=np.ones(count, dtype=bool),
        ids=rows + 1,
        source=folder,
    )


def read_particles_table(count: int) -> Any:
    from alignpca2d_core.io.star.star_reader import Table

    return Table("particles", {"itemId": np.arange(count) + 1})


@pytest.fixture(scope="module")
def changing(tmp_path_factory: pytest.TempPathFactory) -> SimulatedSet:
    """Four views, one after the other."""
    folder = tmp_path_factory.mktemp("changing") / "set"
    return SimulatedSet.make(folder, particles=400, views=4, order="blocks")


@pytest.mark.parametrize("classes", [8, 2])
def test_views_that_come_up_later(changing: SimulatedSet, tmp_path: Path, classes: int) -> None:
    settings = {"classes": classes, "initial_particles": 200}
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


def test_many_small_batches_become_few(
    simulated: SimulatedSet, begun: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    portions = cut(simulated.metadata, tmp_path_factory.mktemp("small"), 20)[8:]
    apart = tmp_path_factory.mktemp("apart")
    shutil.copytree(begun, apart, dirs_exist_ok=True)
    for path in portions:
        step(path, begun)
        assert len(list((begun / "state").iterdir())) < 3 * 14
    with monkeypatch.context() as patch:
        patch.setattr(batch_compaction, "LEAST_MERGED", 1000)
        for path in portions:
            step(path, apart)
    assert len(StreamStore(begun).record.batches) < len(StreamStore(apart).record.batches) == 14
    # When earlier particles are looked at again depends on how many lie together; where they end does not.
    for where in (begun, apart):
        step(None, where, last=True)
    found, expected = (rows_of(where / "particles.xmd") for where in (begun, apart))
    assert list(found) == list(expected)
    assert {one: row[0] for one, row in found.items()} == {one: row[0] for one, row in expected.items()}
