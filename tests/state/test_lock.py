"""The lock on an output folder: holds between processes, ends with them, and says who has it."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from particle_files import ParticleFiles, two_views

from alignpca2d_core.errors import InputError
from alignpca2d_core.state import lock
from alignpca2d_core.state.lock import sole_use

QUICK = ("--classes", "2", "--resolution", "12", "--threads", "1", "--quiet")
HOLD = """
import sys
from pathlib import Path
from alignpca2d_core.state.lock import sole_use
with sole_use(Path(sys.argv[1]), print):
    print("held", flush=True)
    sys.stdin.read()
"""


def no_warning(line: str) -> None:
    raise AssertionError(line)


@pytest.fixture
def held(tmp_path: Path, repository: Path) -> Any:
    """A folder that another process uses, and the process."""
    folder = tmp_path / "out"
    folder.mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, folder], cwd=repository, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield folder, process
        process.kill()


def test_a_second_process_is_refused_and_told_who_is_there(held: Any) -> None:
    folder, process = held
    with pytest.raises(InputError) as caught, sole_use(folder, no_warning):
        pass
    assert f"process {process.pid}" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("subcommand", ["classify", "assign"])
def test_the_command_line_refuses_a_folder_in_use(
    run_cli: Callable[..., Any], held: Any, tmp_path: Path, subcommand: str
) -> None:
    folder, process = held
    metadata = ParticleFiles(tmp_path / "input").write(two_views(30))
    outcome = run_cli(subcommand, metadata, "-o", folder, *QUICK, "--references", tmp_path / "input" / "particles.mrcs")
    assert outcome.code == 2
    assert len(outcome.err.strip().splitlines()) == 1
    assert str(process.pid) in outcome.err
    assert [path.name for path in folder.iterdir()] == ["state"]


def test_a_killed_process_leaves_no_lock(held: Any) -> None:
    folder, process = held
    process.send_signal(signal.SIGKILL)
    process.wait()
    with sole_use(folder, no_warning):
        assert str(os.getpid()) in (folder / "state" / lock.LOCK).read_text()


def test_a_failure_lets_go(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), sole_use(tmp_path, no_warning):
        raise ZeroDivisionError
    with sole_use(tmp_path, no_warning):
        pass


def test_two_folders_are_two_locks(tmp_path: Path) -> None:
    with sole_use(tmp_path / "a", no_warning), sole_use(tmp_path / "b", no_warning):
        pass


def test_the_message_about_who_is_there_survives_a_foreign_file(tmp_path: Path) -> None:
    with sole_use(tmp_path, no_warning):
        (tmp_path / "state" / lock.LOCK).write_bytes(b"")
        with pytest.raises(InputError, match="another process"), sole_use(tmp_path, no_warning):
            pass


def test_a_file_system_without_locks_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(lock.fcntl, "flock", flock)
    told: list[str] = []
    with sole_use(tmp_path, told.append):
        pass
    assert len(told) == 1
    assert "cannot be locked" in told[0]


def test_a_link_in_the_place_of_the_lock_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / "out" / "state").mkdir(parents=True)
    (tmp_path / "out" / "state" / lock.LOCK).symlink_to(victim)
    with pytest.raises(InputError, match="cannot be written"), sole_use(tmp_path / "out", no_warning):
        pass
    assert victim.read_text() == "mine"


def test_what_killed_processes_left_half_written_is_removed(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        pass
    (tmp_path / "state").mkdir()
    left = [f".classes.{gone.pid}.part.mrcs", f".LICENSE.{gone.pid}.part", f"state/.a.{gone.pid}.part.safetensors"]
    kept = [f".classes.{os.getppid()}.part.mrcs", ".hidden.part", "notes.12.part", "classes.mrcs"]
    for name in (*left, *kept):
        (tmp_path / name).touch()
    with sole_use(tmp_path, no_warning):
        pass
    assert not [name for name in left if (tmp_path / name).exists()]
    assert all((tmp_path / name).exists() for name in kept)
