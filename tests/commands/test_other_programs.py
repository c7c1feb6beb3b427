"""Options of other programs, options without effect, files too many: one line with what to write instead."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from particle_files import ParticleFiles, two_views

Run = Callable[..., Any]
QUICK = ("--resolution", "12", "--threads", "1")


def refusal(run_cli: Run, *words: object) -> str:
    outcome = run_cli(*words)
    assert outcome.code == 2, outcome
    assert outcome.out == ""
    (line,) = outcome.err.strip().splitlines()
    return str(line)


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        ("-i p.star -o out", "alignpca2d classify PARTICLES -o DIR"),
        ("--i p.star --o out --K 50", "alignpca2d classify PARTICLES -o DIR"),
        ("p.star -o out -K 50", "-K: say --classes"),
        ("p.star -o out -K50", "-K: say --classes"),
        ("p.star -o out --K 50", "--K: say --classes"),
        ("p.star -o out --nref=50", "--nref: say --classes"),
        ("p.star -o out --gpu 0:1", "--gpu: say --device cuda"),
        ("p.star -o out --j 4", "--j: say --threads"),
        ("p.star -o out -j4", "-j: say --threads"),
        ("p.star -o out --particle_diameter 180", "say --mask-diameter (Å)"),
        ("p.star -o out --angpix 1.1", "say --sampling-rate"),
        ("p.star -o out --psi_step 6", "grids that follow from --resolution"),
        ("p.star -o out --tau2_fudge 2", "leave it out"),
        ("p.star -o out --random_seed 1", "say --seed"),
        ("p.star -o out --ctf --seed 3", "without --ctf the CTF is used where there is one"),
        ("p.star -o out --klasses 3", "did you mean --classes?"),
        ("p.star -o out --batch_size 3", "did you mean --batch-size?"),
        ("p.star q.star r.star -o out", "3 files are given (q.star is the second), one is taken"),
    ],
)
def test_what_to_write_instead(run_cli: Run, words: str, remedy: str) -> None:
    assert remedy in refusal(run_cli, "classify", *words.split())


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        ("p.star -o out", "to classify: alignpca2d classify PARTICLES -o DIR"),
        ("-i p.star -o out", "alignpca2d classify PARTICLES -o DIR"),
        ("clasify p.star -o out", "did you mean classify?"),
        ("--resum", "begin with a subcommand"),
    ],
)
def test_no_subcommand(run_cli: Run, words: str, remedy: str) -> None:
    assert remedy in refusal(run_cli, *words.split())


def test_paths_that_are_empty(run_cli: Run, tmp_path: Path) -> None:
    """An unset variable of a shell does not fill the working directory."""
    assert "the path is empty" in refusal(run_cli, "classify", "p.star", "-o", "")
    assert "the path is empty" in refusal(run_cli, "classify", "", "-o", tmp_path / "out")
    assert "the path is empty" in refusal(run_cli, "report", " ")


def listed(run_cli: Run, command: str) -> set[str]:
    return set(re.findall(r"^\s+(--[a-z-]+)", run_cli(command, "--help").out, re.MULTILINE))


def test_help_lists_what_is_obeyed(run_cli: Run) -> None:
    classify, assign, update = (listed(run_cli, name) for name in ("classify", "assign", "update"))
    assert update - classify == {"--last", "--revisit"}
    unlisted = {"--classes", "--initial-particles", "--iterations", "--preset", "--resume", "--no-sieve", "--rounds"}
    assert classify - assign == unlisted
    assert classify - update == {"--rounds", "--resume"}
    assert assign <= classify


def test_options_without_effect_are_taken_and_said(run_cli: Run, tmp_path: Path) -> None:
    metadata = ParticleFiles(tmp_path / "input").write(two_views(40))
    vain = ("--revisit", "0.5", "--classes", "2")
    first = run_cli("classify", metadata, "-o", tmp_path / "classes", *QUICK, *vain)
    assert first.code == 0
    assert "--revisit: no effect on classify" in first.err.splitlines()
    words = ("--references", tmp_path / "classes", "--iterations", "3", *vain, "--no-sieve")
    second = run_cli("assign", metadata, "-o", tmp_path / "assigned", *QUICK, *words)
    assert second.code == 0
    assert "--iterations, --revisit, --classes, --no-sieve: no effect on assign" in second.err.splitlines()
    assert second.out.splitlines()[0].startswith("2 given classes of 40 particles; look at ")
    third = run_cli("assign", metadata, "-o", tmp_path / "assigned", *QUICK, *words, "--quiet")
    assert (third.code, third.out, third.err) == (0, "", "")


def test_a_run_ends_with_views_and_report(run_cli: Run, tmp_path: Path) -> None:
    metadata, out = ParticleFiles(tmp_path / "input").write(two_views(60)), tmp_path / "out"
    outcome = run_cli("classify", metadata, "-o", out, *QUICK, "--classes", "3")
    report = re.escape(str(out / "report.html"))
    first_line = rf"^\d distinct views? in 3 classes of 60 particles; look at {report}\n +class "
    assert re.search(first_line, outcome.out, re.MULTILINE)
    outcome = run_cli("update", metadata, "-o", tmp_path / "stream", *QUICK, "--classes", "3", "--last")
    assert re.search(r"^\d distinct views? in 3 classes of 60 particles; look at ", outcome.out, re.MULTILINE)


@pytest.mark.parametrize("command", ["report", "export"])
def test_folder_that_holds_no_results(run_cli: Run, tmp_path: Path, command: str) -> None:
    assert "holds no results of classify, update or assign" in refusal(run_cli, command, tmp_path)
    assert "there is no such folder" in refusal(run_cli, command, tmp_path / "nowhere")
    (tmp_path / "a.star").write_text("data_\n")
    assert "is a file; give the folder of results" in refusal(run_cli, command, tmp_path / "a.star")
    (tmp_path / "run" / "state").mkdir(parents=True)
    assert "has not ended" in refusal(run_cli, command, tmp_path / "run")
    (tmp_path / "run" / "summary.json").write_text("{}")
    assert f"{tmp_path / 'run'} has" in refusal(run_cli, command, tmp_path)
