"""At most so many particles of each class or superclass, and those that fit best."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from averages_of_views import BOX, average, noisy, view
from report_files import classification, particle_set, run_of

from alignpca2d_core.choosing.shares import best_of_each
from alignpca2d_core.io.particle_reading import read_particles
from alignpca2d_core.results.result_files import write_results

Run = Callable[..., Any]


def test_the_best_of_each_group_are_kept() -> None:
    group = np.array([0, 0, 0, 1, 1, -1])
    score = np.array([1, 3, 2, 5, 6, 9], dtype=np.float32)
    among = np.array([True, True, True, True, False, False])
    assert best_of_each(group, score, 2, among).tolist() == [False, True, True, True, False, False]
    assert best_of_each(group, score, 9, among).tolist() == among.tolist()
    tied = best_of_each(np.zeros(4, dtype=np.int64), np.ones(4, dtype=np.float32), 2, np.ones(4, dtype=bool))
    assert tied.tolist() == [True, True, False, False]


def test_exports_are_capped_by_class_and_balanced_by_view(tmp_path: Path, run_cli: Run) -> None:
    """Six classes of three views: one view has four of them."""
    of = np.array([0, 0, 1, 0, 2, 0])
    averages, frc = noisy([average(view(v), 53.0 * k) for k, v in enumerate(of)])
    result = replace(classification(6, 300, BOX), averages=averages, frc=frc)
    write_results(tmp_path / "out", particle_set(tmp_path / "input", 300, BOX), result, 3.0, run_of(6))

    def exported(*words: str) -> tuple[Any, Any, str]:
        outcome = run_cli("export", tmp_path / "out", *words)
        assert outcome.code == 0, outcome.err
        table = read_particles(tmp_path / "out" / "particles.star").table
        return table["rlnClassNumber"] - 1, table["rlnParticleFigureOfMerit"], outcome.err

    classes, _, said = exported("--cap", "20")
    assert np.bincount(classes).tolist() == [20] * 6
    assert "--cap 20: 120 of 299 particles are kept" in said
    classes, score, said = exported("--balance", "30")
    assert np.bincount(of[classes]).tolist() == [30, 30, 30]
    assert "90 of 299 particles of 3 superclasses" in said
    whole = result.score[(result.assignments >= 0) & (of[result.assignments] == 0)]
    assert np.allclose(np.sort(score[of[classes] == 0]), np.sort(whole)[-30:], atol=1e-4)
    classes, _, _ = exported("--select", "1,3", "--balance", "10", "--mirror")
    assert np.bincount(classes, minlength=6).tolist() == [10, 0, 10, 0, 0, 0]
    refused = run_cli("export", tmp_path / "out", "--mirror")
    assert refused.code == 2
    assert "--mirror: goes with --balance" in refused.err
