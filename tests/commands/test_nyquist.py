"""Everything that the program does, compared up to Nyquist, whatever the box."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from particle_files import ParticleFiles, two_views

from alignpca2d_core.results.result_files import read_results

BOXES = (33, 64, 74)
COUNT = 40


@pytest.mark.parametrize(
    "box", [pytest.param(box, marks=() if box in BOXES else pytest.mark.benchmark) for box in range(32, 97)]
)
def test_every_subcommand_at_nyquist(run_cli: Callable[..., Any], tmp_path: Path, box: int) -> None:
    """64 px of 4 Å with 8 Å ended after minutes."""
    files = ParticleFiles(tmp_path / "input")
    metadata = files.write(two_views(COUNT, box=box), sampling_rate=4.0)
    rest = ("--resolution", "8", "--threads", "1", "--quiet")
    run = ("classify", metadata, "-o", tmp_path / "out", "--classes", "2", *rest)
    stream = ("update", metadata, "-o", tmp_path / "stream", "--classes", "2", "--initial-particles", "20", *rest)
    assign = ("assign", metadata, "-o", tmp_path / "assigned", "--references", tmp_path / "out", *rest)
    for words in (run, stream, (*stream, "--last"), assign, ("export", tmp_path / "out"), ("report", tmp_path / "out")):
        outcome = run_cli(*words)
        assert outcome.code == 0, (words[0], outcome.err)
    for folder in ("out", "stream", "assigned"):
        result = read_results(tmp_path / folder)[1]
        assert (result.assignments >= 0).all()
        assert np.isfinite(result.averages).all() and np.isfinite(result.frc).all()
