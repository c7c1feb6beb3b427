"""Faults while a run is at work: what is left is whole or absent, one line says what happened, and the run goes on."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from particle_files import ParticleFiles, two_views

from alignpca2d_core.io import atomic_files, open_stacks, stacks
from alignpca2d_core.io.particle_reading import read_particles
from alignpca2d_core.io.particle_set import write_particles
from alignpca2d_core.io.stacks import StackReader
from alignpca2d_core.preprocessing.particle_source import Source
from alignpca2d_core.state.checkpoint import Checkpoint, FirstStage

QUICK = ("--classes", "2", "--resolution", "20", "--threads", "1", "--iterations", "1", "--quiet")
RESULTS = ("particles.xmd", "classes.xmd", "classes.mrcs")
COUNT = 24


@pytest.fixture
def metadata(tmp_path: Path) -> Path:
    return ParticleFiles(tmp_path / "input").write(two_views(COUNT))


def checksums(out: Path) -> dict[str, str]:
    return {name: hashlib.sha256((out / name).read_bytes()).hexdigest() for name in RESULTS}


def temporary_files(out: Path) -> list[str]:
    return [path.name for path in out.rglob("*") if ".part" in path.name]


def test_signals_at_random_moments(repository: Path) -> None:
    """The benchmark of faults, shortened: three moments of classify and three of update."""
    done = subprocess.run(
        [sys.executable, repository / "benchmarks" / "bench_faults.py", "--moments", "3", "--seed", "1"],
        capture_output=True,
        text=True,
        cwd=repository,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("3 moments, all went on to the same result") == 2


# ------------------------------------------------------------------------------------------------------ full disk


class FullDisk:
    """A disk that is full when the n-th file is to be flushed to it."""

    def __init__(self, room: int) -> None:
        self.room = room
        self._flush = atomic_files.flush_to_disk

    def __call__(self, path: Path) -> None:
        if path.is_file():
            self.room -= 1
            if self.room < 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        self._flush(path)


def test_a_full_disk_at_every_file_that_is_written(
    run_cli: Callable[..., Any], metadata: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """First without results of an earlier run, then over them."""
    assert run_cli("classify", metadata, "-o", tmp_path / "undisturbed", *QUICK).code == 0
    wanted = checksums(tmp_path / "undisturbed")
    out, room, refused = tmp_path / "out", 0, 0
    while True:
        with monkeypatch.context() as patch:
            patch.setattr(atomic_files, "flush_to_disk", FullDisk(room))
            outcome = run_cli("classify", metadata, "-o", out, *QUICK)
        assert temporary_files(out) == []
        if outcome.code == 0:
            break
        refused += 1
        assert outcome.code == 2
        assert len(outcome.err.strip().splitlines()) == 1
        assert "No space left" in outcome.err
        for name in ("particles.xmd", "classes.xmd"):
            assert not (out / name).exists() or len(read_particles(out / name)) > 0
        resumed = run_cli("classify", metadata, "-o", out, *QUICK, "--resume")
        assert resumed.code == 0, resumed.err
        assert checksums(out) == wanted
        room += 1
    assert refused >= 6, "two states and four results at least"
    assert checksums(out) == wanted


def portions_of(metadata: Path) -> list[Path]:
    """The particles in three files, as they would come one after the other."""
    particles, paths = read_particles(metadata), [metadata.with_name(f"portion{number}.xmd") for number in range(3)]
    for number, path in enumerate(paths):
        write_particles(path, particles.subset(slice(number * COUNT // 3, (number + 1) * COUNT // 3)))
    return paths


def test_a_full_disk_at_every_file_that_an_update_writes(
    run_cli: Callable[..., Any], metadata: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second portion meets the full disk; given again when there is room it goes on as if nothing had been."""
    portions, begun, out = portions_of(metadata), tmp_path / "begun", tmp_path / "out"
    options = (*QUICK, "--initial-particles", str(COUNT // 3))
    assert run_cli("update", portions[0], "-o", begun, *options).code == 0
    shutil.copytree(begun, tmp_path / "undisturbed")
    assert run_cli("update", portions[1], "-o", tmp_path / "undisturbed", *options).code == 0
    wanted = checksums(tmp_path / "undisturbed")
    for room in range(100):
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(begun, out)
        with monkeypatch.context() as patch:
            patch.setattr(atomic_files, "flush_to_disk", FullDisk(room))
            outcome = run_cli("update", portions[1], "-o", out, *options)
        assert temporary_files(out) == []
        if outcome.code == 0:
            break
        assert outcome.code == 2
        said = [line for line in outcome.err.splitlines() if not line.startswith("Warning: gallery.png")]
        assert len(said) == 1, outcome.err
        assert "No space left" in said[0]
        assert run_cli("update", portions[1], "-o", out, *options).code == 0
        assert checksums(out) == wanted
        batches = json.loads((out / "summary.json").read_text(encoding="utf-8"))["history"]["batches"]
        assert [one["particles"] for one in batches] == [COUNT // 3, 2 * COUNT // 3]
    # The report and pictures are not worth a failure: with room for all else the update succeeds.
    assert room >= 10, "particles, assignments, classes, history, four results and three records at least"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Makes real file systems of so many bytes, where that is permitted."""
    mounted: list[Path] = []

    def make(size: int) -> Path:
        folder = tmp_path / f"disk{size}"
        folder.mkdir()
        options = f"size={size}"
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"file systems cannot be mounted here: {done.stderr.strip()}")
        mounted.append(folder)
        return folder

    yield make
    for folder in mounted:
        subprocess.run(["umount", folder], check=True)


def test_a_disk_that_is_really_full(
    run_cli: Callable[..., Any], metadata: Path, small_disk: Callable[[int], Path], tmp_path: Path
) -> None:
    for size in (4096, 16384, 65536):
        out = small_disk(size) / "out"
        outcome = run_cli("classify", metadata, "-o", out, *QUICK)
        assert outcome.code in (1, 2), size
        assert len(outcome.err.strip().splitlines()) == 1
        assert temporary_files(out.parent) == []
        moved = tmp_path / f"moved{size}"
        shutil.copytree(out, moved) if out.exists() else moved.mkdir()
        assert run_cli("classify", metadata, "-o", moved, *QUICK, "--resume").code == 0


# --------------------------------------------------------------------------------------- folders that cannot serve


@pytest.mark.parametrize("place", ["/proc/alignpca2d", "/dev/null/out", "/sys/alignpca2d"])
def test_folders_that_cannot_be_written(run_cli: Callable[..., Any], metadata: Path, place: str) -> None:
    outcome = run_cli("classify", metadata, "-o", place, *QUICK)
    assert outcome.code == 2
    assert len(outcome.err.strip().splitlines()) == 1
    assert place in outcome.err


def test_a_folder_that_becomes_read_only(
    run_cli: Callable[..., Any], metadata: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    with monkeypatch.context() as patch:
        patch.setattr(atomic_files, "flush_to_disk", refuse)
        outcome = run_cli("classify", metadata, "-o", tmp_path / "out", *QUICK)
    assert outcome.code == 2
    assert "Read-only file system" in outcome.err
    assert temporary_files(tmp_path / "out") == []


def test_a_folder_that_vanishes(
    run_cli: Callable[..., Any], metadata: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it was removed during the run there are whole results, or the run has failed in one line."""
    save = Checkpoint.save_first

    def remove(self: Checkpoint, done: FirstStage) -> None:
        save(self, done)
        shutil.rmtree(tmp_path / "out")

    monkeypatch.setattr(Checkpoint, "save_first", remove)
    outcome = run_cli("classify", metadata, "-o", tmp_path / "out", *QUICK)
    assert outcome.code in (0, 1)
    assert len(outcome.err.strip().splitlines()) <= 1
    if outcome.code == 0:
        assert len(read_particles(tmp_path / "out" / "particles.xmd")) == COUNT


# ------------------------------------------------------------------------------------------------ input that goes


@pytest.mark.parametrize("fault", ["shrinks", "vanishes", "cannot be read"])
def test_a_stack_that_goes_while_it_is_read(
    run_cli: Callable[..., Any], metadata: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """After stage 1; what was finished by then is kept."""
    stack, whole = metadata.with_suffix(".mrcs"), metadata.with_suffix(".mrcs").read_bytes()
    save = Checkpoint.save_first

    opened: list[Source] = []
    learn = Source.learn

    def remember(self: Source, rows: Any) -> Any:
        opened.append(self)
        return learn(self, rows)

    def spoil(self: Checkpoint, done: FirstStage) -> None:
        save(self, done)
        opened[0]._cache._kept[:] = False
        if fault == "shrinks":
            os.truncate(stack, len(whole) // 2)
        elif fault == "vanishes":
            opened[0]._feed._reader.close()
            stack.unlink()
        else:
            monkeypatch.setattr(open_stacks.os, "preadv", fail)

    def fail(*_: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(Source, "learn", remember)
        patch.setattr(Checkpoint, "save_first", spoil)
        outcome = run_cli("classify", metadata, "-o", tmp_path / "out", *QUICK)
    monkeypatch.undo()
    assert outcome.code == 2
    assert len(outcome.err.strip().splitlines()) == 1
    assert "particles.mrcs" in outcome.err
    assert not (tmp_path / "out" / "classes.xmd").exists()
    stack.write_bytes(whole)
    assert run_cli("classify", metadata, "-o", tmp_path / "out", *QUICK, "--resume").code == 0
    assert run_cli("classify", metadata, "-o", tmp_path / "whole", *QUICK).code == 0
    assert checksums(tmp_path / "out") == checksums(tmp_path / "whole")


def test_a_reader_says_which_stack_cannot_be_opened_again(metadata: Path) -> None:
    with StackReader(read_particles(metadata)) as reader:
        metadata.with_suffix(".mrcs").unlink()
        with pytest.raises(stacks.InputError, match="cannot be read any more"):
            reader.read(np.arange(2))
