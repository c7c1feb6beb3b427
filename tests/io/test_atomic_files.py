"""Files that are whole or absent, and that others may read as the umask says."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from particle_files import CTF, ParticleFiles, two_views

from alignpca2d_core.io.atomic_files import atomic_path, write_json

QUICK = ("--classes", "2", "--resolution", "20", "--threads", "1", "--iterations", "1", "--quiet")


@pytest.fixture
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    """A umask for the time of a test."""
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o002], indirect=True, ids=oct)
def test_every_file_that_is_written_follows_the_umask(run_cli: Callable[..., Any], tmp_path: Path, umask: int) -> None:
    """Results and state alike: a group that may read them must be able to go on from them."""
    metadata = ParticleFiles(tmp_path / "input").write(two_views(48), CTF)
    out, stream = tmp_path / "classes", tmp_path / "stream"
    assert run_cli("classify", metadata, "-o", out, *QUICK).code == 0
    assert run_cli("export", out).code == 0
    assert run_cli("update", metadata, "-o", stream, "--last", *QUICK).code == 0
    assert run_cli("simulate", "-o", tmp_path / "made", "--particles", "8", "--box", "16", "--quiet").code == 0
    made = [path for folder in (out, stream, tmp_path / "made") for path in (folder, *folder.rglob("*"))]
    states = [path for path in made if path.suffix == ".safetensors"]
    assert len(states) >= 4
    assert {path.name for path in made} >= {"classes.mrcs", "gallery.png", "report.html", "stream.json", ".lock"}
    wrong = {
        str(path.relative_to(tmp_path)): oct(mode(path))
        for path in made
        if mode(path) != (0o777 if path.is_dir() else 0o666) & ~umask
    }
    assert wrong == {}


def test_a_link_under_the_temporary_name_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / f".summary.{os.getpid()}.part.json").symlink_to(victim)
    write_json(tmp_path / "summary.json", {"new": 1})
    assert victim.read_text() == "mine"
    assert not (tmp_path / "summary.json").is_symlink()


def test_a_block_that_fails_leaves_nothing_new(tmp_path: Path) -> None:
    write_json(tmp_path / "summary.json", {"old": 1})
    before = (tmp_path / "summary.json").read_bytes()
    with pytest.raises(ValueError, match="no"), atomic_path(tmp_path / "summary.json") as temporary:
        temporary.write_text("half")
        raise ValueError("no")
    assert (tmp_path / "summary.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["summary.json"]
