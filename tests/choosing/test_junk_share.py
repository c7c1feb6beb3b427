"""Particles left out as the likeliest junk, and what is said where an order for little junk cannot be met."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report_files import classification, particle_set, run_of

from alignpca2d_core.choosing.junk_share import junk_of_classes, junk_probability, thinned
from alignpca2d_core.io.particle_reading import read_particles
from alignpca2d_core.results.result_files import MISFIT, read_results, write_results

Run = Callable[..., Any]
COUNT, CLASSES = 2000, 8


def figures(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Misfits and scores of particles, the last of which are junk, and which are."""
    rng = np.random.default_rng(seed)
    junk = np.arange(COUNT) >= 0.97 * COUNT
    misfit = np.exp(rng.normal(np.where(junk, 0.45, 0.0), 0.1))
    return misfit.astype(np.float32), rng.normal(8, 2, COUNT).astype(np.float32), junk


def test_a_large_misfit_and_a_low_score_tell_of_junk() -> None:
    misfit, score, junk = figures()
    every = np.ones(COUNT, dtype=bool)
    probability = junk_probability(misfit, score, every)
    assert probability[junk].mean() > 10 * probability[~junk].mean()
    assert np.all((probability > 0) & (probability < 1))
    faint = junk_probability(misfit, np.where(np.arange(COUNT) < 100, 0, score), every)
    assert np.all(faint[:100] > 10 * probability[:100])
    # Beyond what is clear of noise a score says no more, but for the usual one; units of misfit say nothing.
    clear = np.where(score > np.quantile(score, 0.6), 2 * score, score.clip(3))
    same = junk_probability(3 * misfit, clear, every)
    np.testing.assert_allclose(same, junk_probability(misfit, score.clip(3), every), rtol=1e-5)


def test_junk_that_was_found_tells_of_junk_that_was_not() -> None:
    misfit, score, junk = figures()
    kept = ~junk
    before = junk_probability(misfit, score, kept)[kept].sum()
    # More of it beside the same particles, and none.
    more = [np.concatenate((one, one[junk], one[junk])) for one in (misfit, score)]
    among = np.concatenate((kept, np.zeros(2 * int(junk.sum()), dtype=bool)))
    assert 2 < junk_probability(*more, among)[among].sum() / before < 3.1
    none = junk_probability(misfit[kept], score[kept], kept[kept]).sum()
    assert 0 < none < 0.1 * before
    # The fainter the particles, the more is missed.
    faint = junk_probability(misfit, np.where(kept, score / 2 + 3, score), kept)[kept].sum()
    assert 1.05 * before < faint < 2 * before


def test_the_likeliest_junk_is_left_out_first() -> None:
    misfit, score, junk = figures()
    probability = junk_probability(misfit, score, np.ones(COUNT, dtype=bool))
    chosen = np.arange(COUNT) % 4 > 0
    few, more = (thinned(probability, chosen, most) for most in (0.02, 0.05))
    assert junk[few.kept].mean() < 0.3 * junk[chosen].mean()
    assert few.share < few.most <= 0.02
    assert few.kept.sum() < more.kept.sum()
    assert not (few.kept & ~chosen).any()
    assert probability[few.kept].max() <= probability[chosen & ~few.kept].min()
    assert few.lost > more.lost >= 0
    assert thinned(probability, chosen, 1.0).kept.sum() == chosen.sum()
    nothing = thinned(probability, chosen, 0.0)
    assert (nothing.kept.sum(), nothing.share, nothing.lost) == (0, 0.0, 1.0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return written(tmp_path, figures()[0])


def written(tmp_path: Path, misfit: np.ndarray | None) -> Path:
    """Results of which the last class is junk."""
    result = classification(CLASSES, COUNT, 32)
    result = dataclasses.replace(result, misfit=misfit, score=figures()[1])
    summary = run_of(CLASSES)
    write_results(tmp_path / "out", particle_set(tmp_path, COUNT, 32), result, 3.0, summary, lambda *_: [])
    path = tmp_path / "out" / "summary.json"
    whole = json.loads(path.read_text(encoding="utf-8"))
    whole["classes"]["verdict"] = ["good"] * (CLASSES - 2) + ["doubtful", "junk"]
    path.write_text(json.dumps(whole), encoding="utf-8")
    return tmp_path / "out"


def test_export_takes_an_order_for_little_junk(run_cli: Run, folder: Path) -> None:
    done = run_cli("export", folder, "--max-junk", 0.03)
    assert done.code == 0
    assert "Warning: --max-junk 0.03: " in done.err
    assert "of the real ones are left out\n" in done.err
    assert "more than 3%" in run_cli("export", folder, "--max-junk", 0.02).err
    kept = np.array([int(name.partition("@")[0]) for name in read_particles(folder / "particles.star").image_names()])
    assert 0.5 * COUNT < len(kept) < 0.93 * COUNT
    result = read_results(folder)[1]
    shares = junk_of_classes(result, ["good"] * (CLASSES - 1) + ["junk"])
    assert shares is not None
    assert shares[-1] is None
    assert all(share is not None and 0 < share < 0.5 for share in shares[:-1])


@pytest.mark.parametrize("order", [0.0, 0.001])
def test_an_order_that_cannot_be_met_writes_nothing(run_cli: Run, folder: Path, order: float) -> None:
    done = run_cli("export", folder, "--max-junk", order)
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "cannot be given" in done.err
    assert not (folder / "particles.star").exists()


def test_results_without_misfits_are_refused(run_cli: Run, tmp_path: Path) -> None:
    folder = written(tmp_path, None)
    done = run_cli("export", folder, "--max-junk", 0.02)
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert f"have no misfit ({MISFIT})" in done.err
    assert junk_of_classes(read_results(folder)[1], []) is None
