"""What lies in the folder of the results and would be lost is kept; options that a run would not obey are refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from particle_files import ParticleFiles, two_views

from alignpca2d_core.classification.classifier import Classifier
from alignpca2d_core.io.star.star_reader import parse, scan

Run = Callable[..., Any]
QUICK = ("--classes", "2", "--resolution", "12", "--threads", "1", "--quiet")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> ParticleFiles:
    files = ParticleFiles(tmp_path_factory.mktemp("made") / "input")
    files.write(two_views(40))
    return files


def content(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}


@pytest.mark.parametrize("subcommand", ["classify", "assign"])
def test_a_stream_is_not_lost(run_cli: Run, made: ParticleFiles, tmp_path: Path, subcommand: str) -> None:
    out = tmp_path / "out"
    assert run_cli("update", made.metadata, "-o", out, *QUICK, "--initial-particles", "40").code == 0
    before = content(out)
    rest = () if subcommand == "classify" else ("--references", made.stack)
    outcome = run_cli(subcommand, made.metadata, "-o", out, *QUICK, *rest)
    assert outcome.code == 2
    assert "stream" in outcome.err and str(out) in outcome.err
    assert content(out) == before


@pytest.mark.parametrize("subcommand", ["classify", "assign"])
@pytest.mark.parametrize("named", ["", "classes.mrcs"])
def test_references_are_not_overwritten(
    run_cli: Run, made: ParticleFiles, tmp_path: Path, subcommand: str, named: str
) -> None:
    out = tmp_path / "out"
    assert run_cli("classify", made.metadata, "-o", out, *QUICK).code == 0
    before = content(out)
    outcome = run_cli(subcommand, made.metadata, "-o", out, *QUICK, "--references", out / named)
    assert outcome.code == 2
    assert "--references" in outcome.err and "overwritten" in outcome.err
    assert content(out) == before
    shutil.copytree(out, tmp_path / "other")
    assert run_cli(subcommand, made.metadata, "-o", out, *QUICK, "--references", tmp_path / "other" / named).code == 0


def test_a_second_run_that_ends_early_does_not_pass_for_the_first(
    run_cli: Run, made: ParticleFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its metadata would stand beside the classes of the first run."""
    out = tmp_path / "out"
    assert run_cli("classify", made.metadata, "-o", out, *QUICK).code == 0
    with monkeypatch.context() as interrupted:
        interrupted.setattr(Classifier, "fit", Mock(side_effect=KeyboardInterrupt))
        assert run_cli("classify", made.metadata, "-o", out, *QUICK, "--seed", 5).code == 130
    outcome = run_cli("export", out)
    assert outcome.code == 2
    assert "has not ended" in outcome.err
    assert run_cli("classify", made.metadata, "-o", out, *QUICK).code == 0
    assert run_cli("export", out).code == 0


def test_what_is_damaged_is_known_to_a_run_that_goes_on(run_cli: Run, tmp_path: Path) -> None:
    images = two_views(60)
    images[7, :20] = images[23, :20] = 0.0
    files = ParticleFiles(tmp_path / "input")
    metadata, out = files.write(images), tmp_path / "out"
    said = []
    for more in ((), ("--resume",)):
        assert run_cli("classify", metadata, "-o", out, *QUICK, *more).code == 0
        summary = json.loads((out / "summary.json").read_text())
        said.append((summary["counts"], summary["warnings"]))
    assert said[0][0]["damaged"] == 2
    assert said[1] == said[0]


@pytest.mark.parametrize("subcommand", ["classify", "assign", "update"])
def test_the_papers_method_takes_no_references(
    run_cli: Run, made: ParticleFiles, tmp_path: Path, subcommand: str
) -> None:
    options = ("--preset", "paper", "--references", made.stack, "--initial-particles", "40")
    outcome = run_cli(subcommand, made.metadata, "-o", tmp_path / "out", *QUICK, *options)
    assert outcome.code == 2
    assert "--preset paper" in outcome.err and "--references" in outcome.err


def test_assigning_cannot_be_continued(run_cli: Run, made: ParticleFiles, tmp_path: Path) -> None:
    outcome = run_cli("assign", made.metadata, "-o", tmp_path / "out", *QUICK, "--references", made.stack, "--resume")
    assert outcome.code == 2
    assert "--resume" in outcome.err


def test_names_that_are_no_utf_8(run_cli: Run, made: ParticleFiles, tmp_path: Path) -> None:
    folder = tmp_path / "bl\udce5r"
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    shutil.copy(made.stack, folder / "st\udcf8ck.mrcs")
    text = made.metadata.read_text().replace(made.stack.name, "st\udcf8ck.mrcs")
    metadata, out = folder / "p\udce6.xmd", folder / "\udcffout"
    metadata.write_text(text, errors="surrogateescape")
    assert run_cli("classify", metadata, "-o", out, *QUICK).code == 0
    assert run_cli("report", out).code == 0
    assert run_cli("export", out).code == 0
    exported = next(parse(block) for block in scan(out / "particles.star") if block.name == "particles")
    assert exported["rlnImageName"][0].endswith("st\udcf8ck.mrcs")
    assert run_cli("update", metadata, "-o", folder / "stream", *QUICK, "--initial-particles", "40").code == 0
    assert run_cli("export", folder / "stream").code == 0
