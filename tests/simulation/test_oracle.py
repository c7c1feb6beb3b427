"""The oracle benchmark: given the true views, it finds every particle, and so holds the simulation to its truth."""

import importlib.util

import numpy as np
import pytest
import torch

from alignpca2d_core.evaluation.assignments import read_truth
from alignpca2d_core.fourier.cross_correlation import CroppedBand
from alignpca2d_core.io.particle_reading import read_particles
from alignpca2d_core.io.particle_set import write_particles
from alignpca2d_core.settings import SimulationSettings
from alignpca2d_core.simulation.simulate import simulate


@pytest.fixture(scope="module")
def oracle(repository):
    """The benchmark as a module."""
    spec = importlib.util.spec_from_file_location("oracle", repository / "benchmarks" / "oracle.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "changes",
    [{}, {"invert": True, "no_ctf": True}, {"box": 47, "astigmatism": 0.3}, {"phase_flip": True}],
    ids=["plain", "dark", "odd", "flipped"],
)
def test_oracle_finds_views_and_poses(oracle, tmp_path, changes):
    simulate(SimulationSettings(**{"particles": 24, "views": 4, "box": 48, "snr": 1.0, **changes}), tmp_path)
    found = oracle.run_oracle(tmp_path, resolution=9.0)
    assert found["oracle_purity"] == 1.0
    assert found["oracle_within"] == 1.0
    assert found["median_angle_deg"] < 0.6
    assert found["median_shift_px"] < 0.15


def test_accuracy_is_a_share_of_the_oracles(oracle, tmp_path):
    """Half the particles put into one class of a wrong view cost half of the oracle's poses."""
    simulate(SimulationSettings(particles=40, views=2, box=48, snr=1.0, order="blocks"), tmp_path / "set")
    particles, truth = read_particles(tmp_path / "set" / "particles.xmd"), read_truth(tmp_path / "set" / "truth.csv")
    pose = truth.poses
    labels = {
        "ref": np.ones(40, dtype=int),
        "anglePsi": pose.psi_deg,
        "shiftX": pose.shift_x_px,
        "shiftY": pose.shift_y_px,
    }
    (tmp_path / "run").mkdir()
    write_particles(tmp_path / "run" / "particles.xmd", particles, labels)
    shares = oracle.share_of_oracle(tmp_path / "run", tmp_path / "set", {"oracle_purity": 0.8, "oracle_within": 1.0})
    assert shares["of_oracle"] == pytest.approx(0.5 / 0.8)
    assert shares["pose_of_oracle"] == pytest.approx(0.5)


def test_oracle_fails_in_noise(oracle, tmp_path):
    simulate(SimulationSettings(particles=24, views=4, box=48, snr=1e-4), tmp_path)
    assert oracle.run_oracle(tmp_path, resolution=9.0)["oracle_purity"] < 0.7


@pytest.mark.parametrize("box", [32, 33])
def test_correlation_in_a_band_is_that_of_the_images(box):
    images = torch.randn(2, box, box, generator=torch.Generator().manual_seed(0))
    band = CroppedBand.below(box / 2, box)
    first, second = band.coefficients(images)
    maps = band.correlation((first * second.conj())[None])[0]
    y, x = torch.fft.fftfreq(box, d=1.0 / box)[:, None], torch.fft.rfftfreq(box, d=1.0 / box)
    limited = torch.fft.irfft2(torch.fft.rfft2(images) * (x**2 + y**2 < (box / 2 - 0.5) ** 2), s=(box, box))
    assert float(maps[0, 0]) == pytest.approx(float((limited[0] * limited[1]).sum()), rel=1e-3)


def test_best_shift_is_the_shift_within_reach():
    box = 40
    grid = np.arange(box) - box // 2
    blob = np.exp(-((grid - 3.4) ** 2 + (grid[:, None] + 2.3) ** 2) / 20.0)
    still = np.exp(-(grid**2 + grid[:, None] ** 2) / 20.0)
    band = CroppedBand.below(box / 2, box)
    moved, centred = band.coefficients(torch.from_numpy(np.stack([blob, still])).float())
    maps = band.correlation((moved * centred.conj())[None])
    _, x, y = band.best_shift(maps, 5.0)
    assert (float(x), float(y)) == (pytest.approx(3.4, abs=0.1), pytest.approx(-2.3, abs=0.1))
    _, x, _ = band.best_shift(maps, 1.0)
    assert abs(float(x)) <= 2.0
