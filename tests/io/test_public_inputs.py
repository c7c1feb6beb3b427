"""Small inputs made after public reports: each behaves as the README beside it says."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from alignpca2d_core.evaluation.evaluate import evaluate
from alignpca2d_core.settings import EvaluationSettings

Run = Callable[..., Any]


@pytest.fixture
def public(shared_data: Path) -> Path:
    """The folder of these inputs."""
    folder = shared_data / "public"
    if not folder.is_dir():
        pytest.skip(f"no third-party data in {folder}")
    return folder


def refusal(run_cli: Run, metadata: Path, out: Path) -> str:
    """The one line with which ``classify`` refuses a file."""
    outcome = run_cli("classify", metadata, "-o", out, "--classes", "3", "--threads", "1", "--quiet")
    assert outcome.code == 2, outcome
    assert outcome.out == ""
    lines: list[str] = outcome.err.strip().splitlines()
    assert len(lines) == 1, outcome.err
    assert not out.exists()
    return lines[0]


def test_clean_control(run_cli: Run, public: Path, tmp_path: Path) -> None:
    """Three views, correlation 0.98, and nothing to warn of but that 8 Å is finer than its pixels."""
    metadata, out = public / "clean_control" / "particles.star", tmp_path / "out"
    assert run_cli("classify", metadata, "-o", out, "--classes", "6", "--threads", "1").code == 0
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert summary["counts"]["views"] == 3
    assert summary["counts"]["unusable"] == 0
    assert [line for line in summary["warnings"] if "Nyquist" not in line] == []
    outcome = run_cli("evaluate", out, "--truth", public / "clean_control" / "truth.csv", "--json")
    figures = json.loads(outcome.out)["truth"]["figures"]
    assert figures["purity"] == 1.0
    assert figures["average_correlation"] > 0.97


def test_names_with_cryosparc_s_angle_bracket(run_cli: Run, public: Path, tmp_path: Path) -> None:
    line = refusal(run_cli, public / "csparc_angle_bracket" / "particles.star", tmp_path / "out")
    assert "row 1" in line
    assert "csparc_angle_bracket/J12/extract/particles.mrcs is there" in line
    assert "take the '>' out of the names" in line


def test_mrc_named_mrcs(run_cli: Run, public: Path, tmp_path: Path) -> None:
    line = refusal(run_cli, public / "mrc_named_mrcs" / "particles.star", tmp_path / "out")
    assert "mrc_named_mrcs/J12/extract/particles.mrc is there" in line
    assert "the names say .mrcs where the file is .mrc" in line


def test_stacks_missing(run_cli: Run, public: Path, tmp_path: Path) -> None:
    line = refusal(run_cli, public / "stacks_missing" / "particles.star", tmp_path / "out")
    assert "row 17" in line
    assert "m2.mrcs" in line
    assert "2 of 6 stacks are missing, with 16 of 48 particles" in line


def test_stale_extended_header(run_cli: Run, public: Path, tmp_path: Path) -> None:
    line = refusal(run_cli, public / "stale_extended_header" / "particles.star", tmp_path / "out")
    assert "15360 bytes of extended header that are not there" in line
    assert "truncated" not in line


def test_the_remedy_for_a_stale_extended_header_helps(run_cli: Run, public: Path, tmp_path: Path) -> None:
    folder = tmp_path / "a folder"
    shutil.copytree(public / "stale_extended_header", folder)
    for path in (folder, *folder.iterdir()):
        path.chmod(0o755)
    line = refusal(run_cli, folder / "particles.star", tmp_path / "out")
    command = line[line.index("printf") :]
    subprocess.run(command, shell=True, check=True, capture_output=True, timeout=20)
    out = tmp_path / "out"
    options = ("--classes", "2", "--threads", "1", "--quiet", "--resolution", "20")
    assert run_cli("classify", folder / "particles.star", "-o", out, *options).code == 0


def test_wrong_kind_of_file(run_cli: Run, public: Path, tmp_path: Path) -> None:
    folder = public / "wrong_kind_of_file"
    assert "gunzip" in refusal(run_cli, folder / "particles.mrcs.gz", tmp_path / "out")
    line = refusal(run_cli, folder / "particles.cs", tmp_path / "out")
    assert "particles.cs" in line
    assert "STAR file (no line" not in line


def classify(run_cli: Run, folder: Path, out: Path, *options: str) -> Any:
    rest = options or ("--classes", "6")
    return run_cli("classify", folder / "particles.star", "-o", out, "--threads", "1", "--quiet", *rest)


def small(run_cli: Run, folder: Path, out: Path, *options: str) -> Any:
    """The sets of 32 px, of which only the metadata matters."""
    return classify(run_cli, folder, out, "--classes", "2", "--resolution", "16", *options)


def summary(out: Path) -> dict[str, Any]:
    return dict(json.loads((out / "summary.json").read_text(encoding="utf-8")))


def figures(folder: Path, out: Path) -> dict[str, float]:
    return dict(evaluate(out, EvaluationSettings(truth=str(folder / "truth.csv")))["truth"]["figures"])


def refused(outcome: Any, *words: str) -> None:
    """Exit code 2, and a last line with these words."""
    assert outcome.code == 2, outcome
    line = outcome.err.strip().splitlines()[-1]
    assert all(word in line for word in words), line


def test_ctf_phase_flipped(run_cli: Run, public: Path, tmp_path: Path) -> None:
    assert classify(run_cli, public / "ctf_phase_flipped", tmp_path / "out").code == 0
    assert figures(public / "ctf_phase_flipped", tmp_path / "out")["average_correlation"] > 0.975
    assert summary(tmp_path / "out")["counts"]["views"] == 3


def test_gold_beads(run_cli: Run, public: Path, tmp_path: Path) -> None:
    """Classes of beads must not be good; here the beads are repaired, all of them and no other particle."""
    folder = public / "gold_beads"
    affected = len((folder / "affected.txt").read_text().split())
    assert classify(run_cli, folder, tmp_path / "out").code == 0
    said = summary(tmp_path / "out")
    assert said["counts"]["repaired"] + said["counts"]["damaged"] == affected
    assert any(f"{said['counts']['repaired']} particles with constant borders" in line for line in said["warnings"])
    found = figures(folder, tmp_path / "out")
    assert found["average_correlation"] > 0.97 and found["worst_average_correlation"] > 0.95


def test_two_contrasts(run_cli: Run, public: Path, tmp_path: Path) -> None:
    assert classify(run_cli, public / "two_contrasts", tmp_path / "out").code == 0
    told = [line for line in summary(tmp_path / "out")["warnings"] if "opposite contrast" in line]
    assert len(told) == 1
    assert "the 80 particles of optics group 2 are dark where the other 120 are white" in told[0]
    assert "--invert" in told[0]


def test_failed_ctf(run_cli: Run, public: Path, tmp_path: Path) -> None:
    assert small(run_cli, public / "failed_ctf", tmp_path / "out").code == 0
    said = summary(tmp_path / "out")
    assert said["counts"]["unusable"] == 12
    assert any(
        "12 rows" in line and "the first is 4" in line and "_rlnDefocusU -999" in line for line in said["warnings"]
    )
    assert small(run_cli, public / "failed_ctf", tmp_path / "without", "--ctf", "none").code == 0
    assert summary(tmp_path / "without")["counts"]["unusable"] == 0


def test_image_size_contradicts(run_cli: Run, public: Path, tmp_path: Path) -> None:
    folder = public / "image_size_contradicts"
    refused(small(run_cli, folder, tmp_path / "out"), "_rlnImageSize", "64", "32", "row 1", "--sampling-rate", "7 Å")
    assert small(run_cli, folder, tmp_path / "out", "--sampling-rate", "7").code == 0


def test_magnification_garbage(run_cli: Run, public: Path, tmp_path: Path) -> None:
    folder = public / "magnification_garbage"
    refused(small(run_cli, folder, tmp_path / "out"), "_rlnMagnification", "0.105887", "row 30", "leave it out")


def test_phase_shift_nan(run_cli: Run, public: Path, tmp_path: Path) -> None:
    folder = public / "phase_shift_nan"
    refused(small(run_cli, folder, tmp_path / "out"), "_rlnPhaseShift", "nan", "row 1", "48 rows", "--ctf none")
    assert small(run_cli, folder, tmp_path / "out", "--ctf", "none").code == 0


def test_voltage_in_volts(run_cli: Run, public: Path, tmp_path: Path) -> None:
    folder = public / "voltage_in_volts"
    refused(small(run_cli, folder, tmp_path / "out"), "_rlnVoltage", "300000", "row 1", "in volts", "300", "kV")
