"""``classify --rounds``: what is set aside is looked at again, and what comes back is numbered after the others."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from simulated import SimulatedSet, run

from alignpca2d_core.commands import rounds
from alignpca2d_core.fourier.rigid_transforms import apply
from alignpca2d_core.io.stacks import StackReader
from alignpca2d_core.results.result_files import Classification, read_results

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> SimulatedSet:
    """Three views without a CTF, so that averages are plain means."""
    return SimulatedSet.make(tmp_path_factory.mktemp("rounds"), no_ctf=True)


def test_a_class_that_was_taken_for_junk_comes_back(
    simulated: SimulatedSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second class and a few members of the first are said to be junk: they come back as the fourth."""
    before = run(simulated.metadata, tmp_path / "before")
    aside = before.assignments == 1
    aside[np.flatnonzero(before.assignments == 0)[:20]] = True
    asked: list[int] = []

    def is_junk(result: Classification) -> NDArray[np.bool_]:
        asked.append(len(result))
        return aside if len(asked) == 1 else np.zeros_like(aside)

    monkeypatch.setattr(rounds, "is_junk", is_junk)
    after = run(simulated.metadata, tmp_path / "after", rounds=3)
    said = json.loads((tmp_path / "after" / "summary.json").read_text())
    (first,) = said["rounds"]
    assert first["particles"] == int(aside.sum())
    assert first["classes"] == list(range(4, len(after) + 1))
    assert asked == [3, len(after)]
    back = after.assignments >= 3
    assert first["returned"] == int(back.sum()) > 0.9 * int((before.assignments == 1).sum())
    assert not (back & ~aside).any()
    assert np.array_equal(after.assignments[~back], before.assignments[~back])
    assert np.array_equal(after.poses.psi_deg[~back], before.poses.psi_deg[~back])
    assert after.sizes.tolist() == np.bincount(after.assignments, minlength=len(after)).tolist()
    particles, _ = read_results(tmp_path / "after")
    with StackReader(particles) as reader:
        images = reader.read(np.arange(len(particles)))
    for k in np.flatnonzero(after.sizes >= 20):
        members = np.flatnonzero(after.assignments == k)
        mean = apply(images[members], after.poses[members]).mean(0)
        # Low frequencies are enough to tell whose average it is: averages end at the band's edge.
        assert np.corrcoef(mean[8:24, 8:24].ravel(), after.averages[k][8:24, 8:24].ravel())[0, 1] > 0.9


def test_rounds_that_find_nothing_change_nothing(simulated: SimulatedSet, tmp_path: Path, run_cli: Run) -> None:
    words = ("--classes", 3, "--resolution", 16, "--threads", 1)
    done = run_cli("classify", simulated.metadata, "-o", tmp_path / "one", "--rounds", 2, *words)
    assert done.code == 0, done.err
    assert "Round 1: 0 particles are set aside, too few for classes" in done.err
    assert json.loads((tmp_path / "one" / "summary.json").read_text())["rounds"] == []
    run(simulated.metadata, tmp_path / "two")
    for name in ("particles.xmd", "classes.xmd", "classes.mrcs"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_what_rounds_do_not_go_with(simulated: SimulatedSet, tmp_path: Path, run_cli: Run) -> None:
    refused = run_cli("classify", simulated.metadata, "-o", tmp_path / "x", "--rounds", 1, "--preset", "paper")
    assert refused.code == 2
    assert "--rounds" in refused.err
    assert not (tmp_path / "x").exists()
