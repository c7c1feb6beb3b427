"""Paths and names of every kind: they lead to the particles, or are refused in one line and exit code 2."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from bad_input import COUNT, HEAD, Corpus
from particle_files import CTF, SAMPLING_RATE, ParticleFiles, two_views, write_metadata

from alignpca2d_core.io.particle_reading import read_particles
from alignpca2d_core.io.stacks import write_stack


@pytest.mark.parametrize(
    "name",
    ["two words", "it's", 'the "best"', "Überstruktur β₂", "a@b", "#1", "$HOME;ls", "-o", "per%cent", "back\\slash"],
)
def test_names_of_every_kind(corpus: Corpus, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    files = ParticleFiles(tmp_path / name)
    files.folder.mkdir()
    write_stack(files.folder / f"{name}.mrcs", two_views(COUNT), SAMPLING_RATE)
    mark = '"' if "'" in name else "'"
    rows = "".join(f"{mark}{number}@{name}.mrcs{mark} 12000 300 2.7 0.1\n" for number in range(1, COUNT + 1))
    files.metadata.write_text(HEAD + rows, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    corpus.out = tmp_path / f"{name} out"
    assert corpus.used(files.metadata)["counts"]["classified"] == COUNT
    names = read_particles(corpus.out / "particles.xmd").stacks
    assert [path.is_file() for path in names] == [True]


def linked(corpus: Corpus, folder: Path) -> Path:
    link = folder / "link.xmd"
    link.symlink_to(corpus.files.metadata)
    return link


def relative(corpus: Corpus, folder: Path) -> Path:
    return Path(os.path.relpath(corpus.files.metadata, folder))


@pytest.mark.parametrize("kind", [linked, relative])
def test_paths_that_lead_there(
    corpus: Corpus, tmp_path: Path, kind: Callable[[Corpus, Path], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_metadata(corpus.files.metadata, [f"{n}@{corpus.files.stack}" for n in range(1, COUNT + 1)], CTF)
    assert corpus.used(kind(corpus, tmp_path))["counts"]["classified"] == COUNT


def a_pipe(folder: Path) -> Path:
    os.mkfifo(folder / "pipe")
    return folder / "pipe"


def a_socket(folder: Path) -> Path:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(folder / "s"))
    return folder / "s"


def a_loop_of_links(folder: Path) -> Path:
    (folder / "loop").symlink_to(folder / "loop")
    return folder / "loop"


def a_link_to_nothing(folder: Path) -> Path:
    (folder / "dangling").symlink_to(folder / "nothing")
    return folder / "dangling"


NO_FILES: dict[str, Callable[[Path], Path]] = {
    "missing": lambda folder: folder / "missing",
    "a folder": lambda folder: folder,
    "below a file": lambda folder: folder / "input" / "particles.mrcs" / "below",
    "a pipe": a_pipe,
    "a socket": a_socket,
    "a device": lambda _: Path("/dev/zero"),
    "the null device": lambda _: Path("/dev/null"),
    "a loop of links": a_loop_of_links,
    "a link to nothing": a_link_to_nothing,
    "too long a name": lambda folder: folder / ("x" * 300),
}


@pytest.mark.parametrize("kind", NO_FILES)
def test_paths_that_are_no_files(corpus: Corpus, kind: str) -> None:
    """As metadata, as a bare stack, and as a stack that metadata names."""
    with pytest.MonkeyPatch.context() as patch:
        folder = corpus.files.folder.parent
        patch.chdir(folder)
        path = NO_FILES[kind](folder)
        corpus.refused(path)
        link = folder / "as_a_stack.mrcs"
        link.symlink_to(path)
        corpus.refused(link)
        corpus.refused(write_metadata(corpus.files.metadata, [f"1@{path}"], CTF))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_files_without_permission(corpus: Corpus) -> None:
    corpus.files.stack.chmod(0)
    corpus.refused(corpus.files.metadata, "Permission denied")
    corpus.files.metadata.chmod(0)
    corpus.refused(corpus.files.metadata, "Permission denied")
