"""A stream of micrographs: each batch says the contrast of its own, and sums lose what they gained."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from alignpca2d_core.streaming.contrast_watch import ContrastWatch
from alignpca2d_core.streaming.store.stream_records import Assignments

OPTIONS = ("--classes", 3, "--resolution", 16, "--threads", 1, "--initial-particles", 250, "--quiet")
SIMULATED = ("--realistic", "--micrographs", 10, "--box", 32, "--sampling-rate", 7, "--snr", 0.2, "--quiet")
MICROGRAPHS = 10


def batches(metadata: Path, count: int) -> list[Path]:
    """The metadata of a set in so many files beside it."""
    lines = metadata.read_text().splitlines()
    rows = [line for line in lines if "@" in line]
    head = [line for line in lines if "@" not in line]
    paths = [metadata.with_name(f"batch{number}.xmd") for number in range(count)]
    for number, path in enumerate(paths):
        some = rows[number * len(rows) // count : (number + 1) * len(rows) // count]
        path.write_text("\n".join([*head, *some]) + "\n")
    return paths


def stored(out: Path) -> list[dict[str, torch.Tensor]]:
    """The newest assignments of each batch, as the folder keeps them."""
    newest: dict[str, Path] = {}
    for path in sorted(out.rglob("*.safetensors"), key=lambda one: one.stat().st_mtime):
        if "scale" in load_file(path):
            newest[path.name.split(".")[0]] = path
    return [load_file(path) for path in newest.values()]


def test_every_batch_has_the_contrast_of_its_micrographs(tmp_path: Path, run_cli: Callable[..., Any]) -> None:
    assert run_cli("simulate", "-o", tmp_path / "set", "--particles", 600, *SIMULATED).code == 0
    out = tmp_path / "out"
    for path in batches(tmp_path / "set" / "particles.xmd", 2):
        assert run_cli("update", path, "-o", out, *OPTIONS).code == 0
    found = stored(out)
    assert len(found) == 2
    for one in found:
        scales = set(one["scale"].tolist())
        assert 3 < len(scales) <= MICROGRAPHS + 1
        assert 0.3 < min(scales) < 1 < max(scales) < 3
    # All that has come is compared again.
    assert run_cli("update", "--last", "-o", out, *OPTIONS).code == 0


def test_new_particles_have_not_changed_whatever_the_sieve_sets_aside(
    tmp_path: Path, run_cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = []
    monkeypatch.setattr(ContrastWatch, "look", lambda *given: looked.append(len(given[1])))
    assert run_cli("simulate", "-o", tmp_path / "set", "--particles", 600, *SIMULATED).code == 0
    for path in batches(tmp_path / "set" / "particles.xmd", 2):
        assert run_cli("update", path, "-o", tmp_path / "out", *OPTIONS, "--revisit", 0).code == 0
    second = json.loads((tmp_path / "out" / "summary.json").read_text())["history"]["batches"][-1]
    [last] = stored(tmp_path / "out")[1:]
    assert int((last["misfit"] == 0).sum()) > 5  # set aside by the sieve
    assert second["changed"] == 0
    assert len(looked) == 1


def test_streams_of_earlier_versions_have_usual_contrast() -> None:
    earlier = {name: value for name, value in vars(Assignments.none(3)).items() if name not in ("scale", "misfit")}
    assert Assignments.restored(earlier).scale.tolist() == [1.0, 1.0, 1.0]
