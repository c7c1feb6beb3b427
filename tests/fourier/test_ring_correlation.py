"""FRC against other implementations; cut-off, resolution and the filters of eq. 6 against values by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from blobs import spots
from numpy.typing import NDArray
from torch import Tensor

from alignpca2d_core.fourier.band import Band
from alignpca2d_core.fourier.ring_correlation import (
    THRESHOLD,
    adapted_filter,
    cutoff_ring,
    emphasis_filter,
    fourier_ring_correlation,
    resolution_angstrom,
    wiener_shrinkage,
)


def halves(box: int, noise: float = 0.4, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Two noisy pictures of the same thing."""
    rng = np.random.default_rng(seed)
    noisy = [spots(box) + noise * rng.normal(size=(box, box)) for _ in range(2)]
    return noisy[0].astype(np.float32), noisy[1].astype(np.float32)


def textbook_frc(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float64]:
    """FRC over the whole FFT plane, ring by ring (Saxton & Baumeister 1982)."""
    a, b = np.fft.fft2(first.astype(np.float64)), np.fft.fft2(second.astype(np.float64))
    frequency = np.fft.fftfreq(len(first)) * len(first)
    ring = np.rint(np.hypot(*np.meshgrid(frequency, frequency))).astype(int)
    curve = []
    for r in range((len(first) - 1) // 2):
        here = ring == r
        cross = np.sum(a[here] * b[here].conj()).real
        curve.append(cross / math.sqrt(np.sum(np.abs(a[here]) ** 2) * np.sum(np.abs(b[here]) ** 2)))
    return np.array(curve)


def our_frc(first: NDArray[np.float32], second: NDArray[np.float32]) -> Tensor:
    band = Band.make(len(first), len(first) / 2)
    return fourier_ring_correlation(*(band.to_vectors(torch.from_numpy(image)) for image in (first, second)), band)


@pytest.mark.parametrize("box", [32, 33, 64, 65, 100])
@pytest.mark.parametrize("noise", [0.1, 1.0])
def test_frc_is_the_textbooks(box: int, noise: float) -> None:
    first, second = halves(box, noise)
    curve = textbook_frc(first, second)
    np.testing.assert_allclose(our_frc(first, second)[: len(curve)], curve, atol=2e-4)


@pytest.mark.parametrize("box", [64, 65])
def test_frc_agrees_with_teamtomos(box: int) -> None:
    """Theirs shares a coefficient between the two nearest rings, which smooths the curve a little."""
    package = pytest.importorskip("torch_fourier_shell_correlation")
    pairs = [halves(box, 0.2, seed) for seed in range(20)]
    ours = torch.stack([our_frc(*pair) for pair in pairs]).mean(0)
    theirs = torch.stack([package.fourier_ring_correlation(*map(torch.from_numpy, pair)) for pair in pairs]).mean(0)
    width = min(len(ours), len(theirs)) - 1
    torch.testing.assert_close(ours[1:width], theirs[1:width].float(), atol=0.06, rtol=0)
    assert float((ours[1:width] - theirs[1:width]).abs().mean()) < 0.015
    assert float(ours[1]) > 0.95 > 0.2 > float(ours[width - 1].abs())


def test_frc_of_noise_is_nothing_and_of_copies_is_one() -> None:
    rng = np.random.default_rng(1)
    first, second = rng.normal(size=(2, 64, 64)).astype(np.float32)
    assert float(our_frc(first, second)[4:].abs().mean()) < 0.1
    torch.testing.assert_close(our_frc(first, 3.5 * first), torch.ones(32), atol=1e-5, rtol=0)
    torch.testing.assert_close(our_frc(first, -first), -torch.ones(32), atol=1e-5, rtol=0)


def test_frc_of_an_empty_half_is_zero() -> None:
    image = halves(32)[0]
    assert torch.equal(our_frc(image, 0 * image), torch.zeros(16))


def test_frc_of_many_classes_at_once() -> None:
    band = Band.make(32, 12.0)
    first, second = (torch.randn(5, 32, 32, generator=torch.Generator().manual_seed(s)) for s in (0, 1))
    a, b = band.to_vectors(first), band.to_vectors(second)
    single = torch.stack([fourier_ring_correlation(x, y, band) for x, y in zip(a, b, strict=True)])
    torch.testing.assert_close(fourier_ring_correlation(a, b, band), single)


# ------------------------------------------------------------------------------------------------- cut-off


@pytest.mark.parametrize(
    ("curve", "ring"),
    [
        ([1.0, 0.9, 0.643, -0.357, 0.9], 2.5),  # half-way from 0.643 to -0.357 it passes 0.143
        ([1.0, 0.9, 0.8, 0.7, 0.6], 4.0),  # never below: the last ring
        ([-1.0, 0.9, 0.143, 0.142, 0.0], 2.0),
        ([1.0, 0.05, 0.9, 0.9, 0.9], 1.0),  # below at once
        ([1.0, 0.9, 0.9, 0.9, 0.043], 3.0 + (0.9 - 0.143) / (0.9 - 0.043)),
        ([1.0, 0.0, 0.0, 0.0, 0.0], 1.0),
    ],
)
def test_cutoff_by_hand(curve: list[float], ring: float) -> None:
    assert float(cutoff_ring(torch.tensor(curve))) == pytest.approx(ring, abs=0.01)


def test_cutoff_threshold_is_the_fields() -> None:
    assert THRESHOLD == 0.143
    falling = torch.linspace(1, 0, 11)
    assert float(cutoff_ring(falling, 0.5)) == pytest.approx(5.0, abs=1e-4)
    assert float(cutoff_ring(falling)) == pytest.approx(8.57, abs=1e-3)


def test_resolution_in_angstrom() -> None:
    curves = torch.tensor([[1.0] * 9 + [0.0] * 8, [1.0] * 17])
    found = resolution_angstrom(curves, 64, 3.0)
    assert float(found[1]) == pytest.approx(64 * 3.0 / 16)
    assert 64 * 3.0 / 9 < float(found[0]) < 64 * 3.0 / 8


# ------------------------------------------------------------------------------------------------- filters


def test_emphasis_filter_by_hand() -> None:
    """Eq. 6 at f = 0, f_c/2, f_c and beyond."""
    weights = emphasis_filter(
        torch.tensor([10.0, 4.0]), 13, sharpening=torch.tensor([3.0, 1.0]), exponent=torch.tensor([1.5, 2.0])
    )
    assert weights.shape == (2, 13)
    assert float(weights[0, 0]) == pytest.approx(1.0)
    assert float(weights[0, 5]) == pytest.approx(2**-0.25 * (1 + 2 * 0.5**1.5), rel=1e-5)
    third = (1 - math.cos(0.3 * math.pi)) / 2
    assert float(weights[0, 3]) == pytest.approx(math.exp(-math.log(2) * 0.09) * (1 + 2 * third**1.5), rel=1e-5)
    assert float(weights[0, 10]) == pytest.approx(0.5 * 3.0, rel=1e-5)
    assert torch.equal(weights[0, 11:], torch.zeros(2))
    # Without sharpening only the Gaussian is left.
    torch.testing.assert_close(weights[1, :5], torch.exp(-math.log(2) * (torch.arange(5) / 4) ** 2))
    assert torch.equal(weights[1, 5:], torch.zeros(8))


def spectra(band: Band, decay: float) -> Tensor:
    """Two averages whose power falls off with the ring."""
    noise = torch.randn(2, len(band), dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    return noise * torch.exp(-decay * band.ring)


@pytest.mark.parametrize("decay", [0.0, 0.1, 0.5])
def test_adapted_filter_keeps_the_energy_and_the_band(decay: float) -> None:
    band = Band.make(64, 20.0)
    averages = spectra(band, decay)
    rings = torch.arange(band.rings)
    frc = torch.stack((1 - rings / 20.0, 1 - rings / 40.0)).clamp_min(0)
    weights = adapted_filter(averages, frc, band)
    power = band.ring_sum(averages.abs() ** 2)
    cutoff = cutoff_ring(frc)
    for k in range(2):
        assert torch.all(weights[k, rings > cutoff[k]] == 0)
        assert torch.all(weights[k, rings <= cutoff[k]] > 0)
        assert float((weights[k] ** 2 * power[k]).sum()) <= float(power[k].sum()) * 1.0001
        low_pass = torch.exp(-math.log(2) * (rings / cutoff[k]) ** 2)
        inside = rings <= cutoff[k]
        gain = (weights[k] / low_pass)[inside]
        # Progressively larger weights for higher frequencies, between 1 and 4.
        assert torch.all(gain.diff() >= -1e-5)
        assert float(gain[0]) == pytest.approx(1.0)
        assert float(gain[-1]) <= 4.0 + 1e-5


def test_adapted_filter_sharpens_as_far_as_the_energy_allows() -> None:
    band = Band.make(64, 20.0)
    frc = (1 - torch.arange(band.rings) / 25.0).clamp_min(0)[None].expand(2, -1)
    steep, flat = (adapted_filter(spectra(band, decay), frc, band) for decay in (0.5, 0.0))
    edge = int(cutoff_ring(frc)[0])
    assert float(steep[0, edge]) > 1.5 * float(flat[0, edge])


def test_wiener_shrinkage_by_hand() -> None:
    constant = wiener_shrinkage(torch.tensor([[1.0] * 9, [0.5] * 9, [0.0] * 9, [-0.4] * 9]))
    torch.testing.assert_close(constant[:, 4], torch.tensor([1.0, 2 / 3, 0.0, 0.0]))
    assert constant.shape == (4, 9)
    torch.testing.assert_close(constant, constant[:, 4:5].expand(-1, 9))


def test_wiener_shrinkage_gives_the_least_error() -> None:
    """Of two noisy halves' mean, shrunk: no other factor per ring comes closer to the truth on average."""
    rng = np.random.default_rng(0)
    signal, sigma = rng.normal(size=4000), 1.5
    first, second = signal + sigma * rng.normal(size=(2, 4000))
    frc = np.sum(first * second) / math.sqrt(np.sum(first**2) * np.sum(second**2))
    mean = (first + second) / 2
    shrunk = float(wiener_shrinkage(torch.full((1, 9), float(frc)))[0, 4])
    assert shrunk == pytest.approx(float(np.sum(mean * signal) / np.sum(mean**2)), abs=0.03)
