"""A stream whose process is killed, or whose files are damaged: nothing is lost, or it is refused in one line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from simulated import SimulatedSet
from streams import content, cut, rows_of, step

from alignpca2d_core.errors import InputError
from alignpca2d_core.io import atomic_files
from alignpca2d_core.streaming import update as update_module
from alignpca2d_core.streaming.losses import Losses
from alignpca2d_core.streaming.store import batch_compaction
from alignpca2d_core.streaming.store import stream_store as journal_module
from alignpca2d_core.streaming.store.stream_store import StreamStore


class Crash(BaseException):
    """The process is gone."""


@pytest.fixture
def crashing(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Raises Crash at the n-th renaming of a file, when its item counts down to zero."""
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


def test_defects_of_a_batch_count_though_its_delivery_failed(
    portions: list[Path], begun: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = np.arange(60) % 20 == 0
    note = Losses.note_defects
    monkeypatch.setattr(Losses, "note_defects", lambda losses, batch, *_: note(losses, batch, flags, flags))
    with monkeypatch.context() as failing, pytest.raises(Crash):
        failing.setattr(update_module, "deliver", Mock(side_effect=Crash))
        step(portions[2], begun)
    said = step(portions[3], begun)
    assert (StreamStore(begun).record.repaired, StreamStore(begun).record.damaged) == (6, 6)
    assert any(line.startswith("6 particles") for line in said["warnings"])


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
