"""Workflows with Xmipp's protocol become workflows with ours: what is taken over, and what is told to be left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pwem")

from alignpca2d_plugin.workflows.import_xmipp import OURS, THEIRS, converted, main

pytestmark = pytest.mark.scipion

PICKING = {"object.className": "SomeOtherProtocol", "object.id": "2", "numberOfClasses": 3, "mode": 1}


def theirs(**parameters: Any) -> dict[str, Any]:
    """An entry of Xmipp's protocol, as Scipion exports one."""
    general = {"object.id": "5", "object.label": "2D", "_useQueue": False, "_queueParams": None, "runMode": 0}
    return {"object.className": THEIRS, **general, **parameters}


@pytest.mark.parametrize(
    ("name", "value", "ours", "expected"),
    [
        ("inputParticles", "2.outputParticles", "inputParticles", "2.outputParticles"),
        ("inputImages", "2.outputParticles", "inputParticles", "2.outputParticles"),
        ("initialClasses", "9.outputAverages", "initialClasses", "9.outputAverages"),
        ("mode", 1, "mode", 1),
        ("numberOfClasses", 100, "numberOfClasses", 100),
        ("numberOfClasses", "9.count", "numberOfClasses", "9.count"),
        ("correctCtf", False, "correctCtf", False),
        ("maxResolution", 10.0, "resolution", 10.0),
        ("variance", 0.85, "variance", 0.85),
        ("percentVariance", 85, "variance", 0.85),
        ("classificationBatch", 5000, "initialParticles", 5000),
        ("gpuList", "1", "gpuList", "1"),
        ("_useQueue", True, "_useQueue", True),
    ],
)
def test_parameters_of_the_same_meaning_are_taken_over(name: str, value: Any, ours: str, expected: Any) -> None:
    entry, told = converted(theirs(**{name: value}))
    assert entry[ours] == expected
    assert entry["object.className"] == OURS
    assert told == ([] if name == ours else [f"{name} = {value}: now {ours} = {expected}"])


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("useMask", True, "circle"),
        ("sigma", -1, "circle"),
        ("trainingParticles", 40000, "PCA"),
        ("numberOfMpi", 4, "threads"),
        ("somethingNew", 7, "no such parameter"),
        ("correctCtf", "a word", "no such parameter"),
    ],
)
def test_others_are_left_out_with_the_reason(name: str, value: Any, reason: str) -> None:
    entry, (line,) = converted(theirs(**{name: value}))
    assert name not in entry
    assert line.startswith(f"{name} = {value}: not taken over, ")
    assert reason in line


def test_two_parameters_never_become_one() -> None:
    entry, (line,) = converted(theirs(resolution=8.0, resolutionOfOthers=12.0))
    assert entry["resolution"] == 8.0
    assert "resolutionOfOthers" in line


def test_other_protocols_and_links_stay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    after = {"object.className": "ProtUserSubSet", "object.id": "7", "inputObject": "5.outputClasses"}
    (tmp_path / "theirs.json").write_text(json.dumps([PICKING, theirs(sigma=-1), after]))
    assert main([str(tmp_path / "theirs.json"), str(tmp_path / "ours.json")]) == 0
    first, ours, last = json.loads((tmp_path / "ours.json").read_text())
    assert (first, last) == (PICKING, after)
    assert (ours["object.className"], ours["object.id"]) == (OURS, "5")
    assert capsys.readouterr().out.splitlines()[0] == f"2D (5): now {OURS}"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ours.json", "theirs.json"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "No such file"),
        ("not JSON", "is no workflow"),
        ('{"object.className": 1}', "a list of protocols"),
        ("[1]", "a list of protocols"),
        (json.dumps([PICKING]), f"has no protocol of the class {THEIRS}"),
    ],
)
def test_what_is_no_such_workflow_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | None, said: str
) -> None:
    if text is not None:
        (tmp_path / "theirs.json").write_text(text)
    assert main([str(tmp_path / "theirs.json"), str(tmp_path / "ours.json")]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "theirs.json" in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "ours.json").exists()
