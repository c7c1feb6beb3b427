"""`alignpca2d report`, the table that classify prints, and what it leaves for reproduction."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from particle_files import ParticleFiles, two_views

from alignpca2d_core.commands.command_line import make_parser

pytest.importorskip("PIL")

Run = Callable[..., Any]
QUICK = ("--classes", "3", "--resolution", "12", "--threads", "1")


@pytest.fixture(scope="module")
def metadata(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ParticleFiles(tmp_path_factory.mktemp("input")).write(two_views(60))


def test_classify_prints_its_classes_and_keeps_its_command(run_cli: Run, metadata: Path, tmp_path: Path) -> None:
    out = tmp_path / "my results"
    done = run_cli("classify", metadata, "-o", out, *QUICK)
    assert done.code == 0
    lines = done.out.splitlines()[1:]  # after that with the distinct views
    assert [line.split()[0] for line in lines] == ["class", "1", "2", "3", "3"]
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert [int(line.split()[1]) for line in lines[1:4]] == summary["classes"]["size"]
    assert summary["command"] == f"alignpca2d classify {metadata} -o '{out}' {' '.join(QUICK)}"
    rounds = summary["history"]["rounds"]
    assert [one["round"] for one in rounds] == list(range(1, len(rounds) + 1))
    assert rounds[0]["changed"] is None
    assert all(0 <= one["changed"] <= 1 for one in rounds[1:])
    text = (out / "report.html").read_text(encoding="utf-8")
    assert '"components":{"features"' in text
    assert "Stage 1: " in done.err
    assert " rounds, " in done.err


def test_report_makes_the_pictures_again(run_cli: Run, metadata: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run_cli("assign", metadata, "-o", out, "--references", _stack(tmp_path), *QUICK[2:], "--quiet").code == 0
    for name in ("report.html", "gallery.png"):
        (out / name).unlink()
    done = run_cli("report", out)
    assert (done.code, done.out.strip(), done.err) == (0, str(out / "report.html"), "")
    assert (out / "report.html").stat().st_size > 20_000
    assert (out / "gallery.png").is_file()


def test_title_and_limits_of_verdicts_change_without_classifying_again(
    run_cli: Run, metadata: Path, tmp_path: Path
) -> None:
    out = tmp_path / "extra"
    assert run_cli("classify", metadata, "-o", out, *QUICK, "--quiet").code == 0
    assert ">extra – alignPCA-2D<" in (out / "report.html").read_text(encoding="utf-8")
    averages, stated = (out / "classes.mrcs").read_bytes(), (out / "state" / "matches.safetensors").stat()
    changed = ("--title", "Session 7: 2D <classes>", "--good-particles", "100000", "--resume", "--quiet")
    done = run_cli("classify", metadata, "-o", out, *QUICK, *changed)
    assert (done.code, done.err) == (0, "")
    assert (out / "classes.mrcs").read_bytes() == averages
    assert (out / "state" / "matches.safetensors").stat().st_mtime_ns == stated.st_mtime_ns
    assert ">Session 7: 2D &lt;classes&gt; – alignPCA-2D<" in (out / "report.html").read_text(encoding="utf-8")
    verdicts = json.loads((out / "summary.json").read_text(encoding="utf-8"))["classes"]["verdict"]
    assert "good" not in verdicts


def _stack(folder: Path) -> Path:
    files = ParticleFiles(folder / "references")
    files.write(two_views(2))
    return files.stack


def test_report_of_something_else_is_one_line(run_cli: Run, tmp_path: Path) -> None:
    done = run_cli("report", tmp_path)
    assert done.code == 2
    assert done.err.count("\n") == 1
    assert "summary.json" in done.err


@pytest.mark.parametrize("name", ["classify", "assign", "simulate", "evaluate", "report"])
def test_help_gives_examples_that_parse(run_cli: Run, name: str) -> None:
    text = run_cli(name, "--help").out
    examples = [line for line in text.replace("\\\n", " ").splitlines() if line.startswith("  alignpca2d ")]
    assert examples
    for example in examples:
        words = shlex.split(example.partition(" | ")[0], comments=True)
        arguments = make_parser().parse_args(words[1:])
        assert arguments.command == name
    assert max(map(len, text.split("examples:")[1].splitlines())) <= 80
