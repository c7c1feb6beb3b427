"""The contrast of each micrograph's particles: learned from how they fit, applied to what is compared, kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open

from alignpca2d_core.fourier.band import Band
from alignpca2d_core.io.particle_reading import read_particles
from alignpca2d_core.preprocessing.micrograph_scales import MicrographScales, larger_of
from alignpca2d_core.preprocessing.preprocess import Vectors

NOISE = (4.8, 0.55)
"""Mean and deviation of the best of many templates, as searches of 64 px have them."""


def ratios(scale: np.ndarray, usual: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What particles reach: the right pose, or the best wrong one."""
    return np.maximum(rng.normal(scale * usual, 1), rng.normal(*NOISE, len(usual)))


def test_expected_maximum_agrees_with_draws() -> None:
    rng = np.random.default_rng(1)
    for at in (0.0, 3.0, 5.0, 9.0):
        drawn = np.maximum(rng.normal(at, 1, 200_000), rng.normal(*NOISE, 200_000)).mean()
        assert larger_of(np.array([at]), *NOISE)[0] == pytest.approx(drawn, abs=0.01)


def test_scales_are_found_where_some_images_are_empty() -> None:
    rng = np.random.default_rng(2)
    micrograph = np.repeat(np.arange(40, dtype=np.int32), 60)
    truth = np.exp(rng.normal(0, 0.3, 40))
    usual = rng.uniform(6, 11, len(micrograph))
    held = truth[micrograph] * (rng.random(len(micrograph)) > 0.08)
    scales = MicrographScales(micrograph)
    assert not scales.are_learned
    drawn = torch.from_numpy(ratios(held, usual, rng))
    scales.learn(np.arange(len(micrograph)), drawn, torch.from_numpy(usual), NOISE)
    truth /= np.sqrt((truth**2).mean())
    assert np.abs(np.log(scales.scale / truth)).max() < 0.2
    assert np.sqrt((np.log(scales.scale / truth) ** 2).mean()) < 0.07
    assert np.square(scales.of_rows(np.arange(len(micrograph))).numpy()).mean() == pytest.approx(1, rel=1e-4)


def test_a_micrograph_of_which_nothing_is_known_is_usual() -> None:
    scales = MicrographScales(np.repeat(np.arange(3, dtype=np.int32), 20))
    rng = np.random.default_rng(3)
    usual = np.full(40, 9.0)
    drawn = ratios(np.repeat([0.8, 1.2], 20), usual, rng)
    scales.learn(np.arange(40), torch.from_numpy(drawn), torch.from_numpy(usual), NOISE)
    assert scales.scale[0] < scales.scale[2] < scales.scale[1]


def test_one_micrograph_against_what_is_known_to_be_usual() -> None:
    scales, rng = MicrographScales(np.zeros(80, dtype=np.int32)), np.random.default_rng(5)
    drawn = ratios(np.full(80, 0.6), np.full(80, 10.0), rng)
    scales.learn(np.arange(80), torch.from_numpy(drawn), torch.full((80,), 10.0), NOISE, common=1.0)
    assert scales.scale[0] == pytest.approx(0.6, abs=0.08)


def test_scaled_vectors_follow_the_model() -> None:
    """z = q·x + sqrt(q)·n stays true, and n stays of unit variance, with s²·q in the place of q."""
    band = Band.make(32, 10)
    generator = torch.Generator().manual_seed(4)
    x, n = (torch.view_as_complex(torch.randn(3, len(band), 2, generator=generator)) for _ in range(2))
    q, s = torch.rand(3, band.rings, generator=generator) + 0.5, torch.tensor([0.4, 1.0, 2.0])
    # y/σ = s·CTF·x + n, seen as z = CTF·y/σ with the contrast unknown.
    z = q[:, band.ring] * s[:, None] * x + q.sqrt()[:, band.ring] * n
    known = Vectors(z, q, band).scaled(s)
    left = known.z - known.q[:, band.ring] * x
    assert torch.allclose(left, known.q.sqrt()[:, band.ring] * n, atol=1e-5)


def test_micrographs_come_from_the_metadata(tmp_path: Path, run_cli: Callable[..., Any]) -> None:
    made = ("--particles", 60, "--realistic", "--micrographs", 6, "--box", 32, "--sampling-rate", 7, "--quiet")
    assert run_cli("simulate", "-o", tmp_path, *made).code == 0
    particles = read_particles(tmp_path / "particles.xmd")
    scales = MicrographScales.of(particles)
    assert scales is not None
    assert len(scales.scale) == 6
    assert MicrographScales.of(particles.subset(slice(0, 6))) is None


def test_scales_are_kept_for_a_run_that_goes_on(tmp_path: Path, run_cli: Callable[..., Any]) -> None:
    made = ("--particles", 500, "--realistic", "--micrographs", 8, "--box", 32, "--sampling-rate", 7, "--snr", 0.2)
    assert run_cli("simulate", "-o", tmp_path / "set", *made, "--quiet").code == 0
    options = ("--classes", 3, "--resolution", 16, "--threads", 1, "--initial-particles", 250, "--quiet")
    run = ("classify", tmp_path / "set" / "particles.xmd", "-o", tmp_path / "out", *options)
    assert run_cli(*run).code == 0
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["counts"]["sieved"] > 0
    assert sum(summary["classes"]["size"]) == summary["counts"]["classified"]
    names = ("particles.xmd", "classes.mrcs")
    before = {name: (tmp_path / "out" / name).read_bytes()[1024:] for name in names}
    with safe_open(tmp_path / "out" / "state" / "matches.safetensors", "pt") as stored:
        assert len(set(stored.get_tensor("scales").tolist())) > 3
    for name in names:
        (tmp_path / "out" / name).unlink()
    assert run_cli(*run, "--resume").code == 0
    assert {name: (tmp_path / "out" / name).read_bytes()[1024:] for name in names} == before
