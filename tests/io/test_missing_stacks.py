"""Stacks that are not there: how many of how many, and the likely cause."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from particle_files import SAMPLING_RATE, two_views, write_metadata

from alignpca2d_core.errors import InputError
from alignpca2d_core.io.particle_reading import read_particles
from alignpca2d_core.io.stacks import StackReader, write_stack

Refusal = Callable[[Path], str]


def refusal(metadata: Path) -> str:
    with pytest.raises(InputError) as raised:
        StackReader(read_particles(metadata))
    return str(raised.value)


def named(folder: Path, *stacks: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return write_metadata(folder / "particles.xmd", [f"000001@{stack}" for stack in stacks])


def stack(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_stack(path, two_views(1), SAMPLING_RATE)


def test_how_many_of_how_many(tmp_path: Path) -> None:
    stack(tmp_path / "a.mrcs")
    line = refusal(named(tmp_path, "a.mrcs", "b.mrcs", "c.mrcs", "a.mrcs"))
    assert "row 2" in line
    assert "b.mrcs" in line
    assert "2 of 3 stacks are missing, with 2 of 4 particles" in line
    assert f"names count from {Path.cwd()}" in line


def test_disabled_rows_need_no_stack(tmp_path: Path) -> None:
    stack(tmp_path / "a.mrcs")
    metadata = write_metadata(tmp_path / "particles.xmd", ["1@a.mrcs", "1@b.mrcs"], {"enabled": [1, -1]})
    assert StackReader(read_particles(metadata)).box == 32


@pytest.mark.parametrize(
    ("name", "there", "cause"),
    [
        (">J3/a.mrcs", "J3/a.mrcs", "take the '>' out"),
        (">J3/a.mrcs", "J3/a.mrc", "take the '>' out"),
        ("a.mrcs", "a.mrc", "the names say .mrcs where the file is .mrc"),
        ("a.mrc", "a.mrcs", "the names say .mrc where the file is .mrcs"),
        ("a.mrcs", "a.mrcs.gz", "decompress it"),
        ("Extract/job010/Movies/a.mrcs", "Movies/a.mrcs", "where they count from"),
        ("/data/of/another/Movies/a.mrcs", "a.mrcs", "where they count from"),
        ("a.mrcs", "Particles/a.mrcs", "where they count from"),
    ],
)
def test_likely_cause(tmp_path: Path, name: str, there: str, cause: str) -> None:
    (tmp_path / there).parent.mkdir(exist_ok=True)
    (tmp_path / there).write_bytes(b"\0" * 2000)
    line = refusal(named(tmp_path, name))
    assert "the only stack is missing" in line
    assert cause in line
    assert f"{tmp_path / there} is there" in line


def test_link_that_leads_nowhere(tmp_path: Path) -> None:
    metadata = named(tmp_path, str(tmp_path / "a.mrcs"))
    (tmp_path / "a.mrcs").symlink_to("/scratch/gone.mrcs")
    assert "is a link to /scratch/gone.mrcs, which is gone" in refusal(metadata)


def test_two_optics_groups_and_no_column_that_says_which(tmp_path: Path) -> None:
    stack(tmp_path / "a.mrcs")
    path = tmp_path / "particles.star"
    optics = "data_optics\nloop_\n_rlnOpticsGroup\n_rlnVoltage\n1 300\n2 200\n\n"
    path.write_text(f"{optics}data_particles\nloop_\n_rlnImageName\n_rlnDefocusU\n1@a.mrcs 9000\n", encoding="utf-8")
    line = refusal(path)
    assert "2 optics groups" in line
    assert "_rlnOpticsGroup" in line
