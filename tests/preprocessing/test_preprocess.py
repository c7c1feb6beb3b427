"""Normalisation, masks, whitening and CTF correction of raw particles."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from blobs import spots
from numpy.typing import NDArray
from torch import Tensor

from alignpca2d_core.fourier.band import Band
from alignpca2d_core.fourier.ctf import CtfParameters
from alignpca2d_core.preprocessing.preprocess import Preparation, Treatment, Vectors, background_ring, soft_mask

BOXES = (32, 33, 48)
RATE = 4.0


def optics(count: int) -> CtfParameters:
    """Different and astigmatic defoci."""
    u = np.linspace(9000.0, 22000.0, count)
    values = (u, u - 900.0, np.linspace(0, 150, count), 300.0, 2.7, 0.07, 0.0)
    return CtfParameters(*(np.broadcast_to(value, (count,)).astype(np.float64) for value in values))


def textbook_ctf(parameters: CtfParameters, box: int, rate: float) -> NDArray[np.float64]:
    """CTF over the whole FFT plane (n, box, box), written down once more."""
    y, x = np.meshgrid(*(np.fft.fftfreq(box, rate),) * 2, indexing="ij")
    x = np.where(x == x.min(), np.abs(x), x) if box % 2 == 0 else x  # which sign Nyquist has is a convention
    wavelength = 12.2642596 / math.sqrt(300e3 * (1 + 0.978475e-6 * 300e3))
    planes = []
    for u, v, degrees in zip(parameters.defocus_u, parameters.defocus_v, parameters.defocus_angle, strict=True):
        defocus = 0.5 * (u + v + (u - v) * np.cos(2 * (np.arctan2(y, x) - math.radians(degrees))))
        s2 = x**2 + y**2
        phase = math.pi * wavelength * defocus * s2 - 0.5 * math.pi * 2.7e7 * wavelength**3 * s2**2
        planes.append(np.sin(phase + math.asin(0.07)))
    return np.array(planes)


def preparation(box: int, ctf: str = "none", **options: object) -> Preparation:
    band = Band.make(box, 0.4 * box)
    return Preparation(band, Treatment(RATE, ctf, options.pop("mask_radius", box / 2 - 4), **options))  # type: ignore[arg-type]


def particles(count: int, box: int, seed: int = 0) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    return (spots(box) * 2 + rng.normal(size=(count, box, box))).astype(np.float32)


# ------------------------------------------------------------------------------------------- normalisation


@pytest.mark.parametrize("box", BOXES)
def test_background_has_zero_mean_and_unit_deviation(box: int) -> None:
    prepared = preparation(box, mask_radius=box * 0.3)
    images = torch.from_numpy(particles(5, box) * 37 + 1200)
    cleaned = prepared.cleaned(images)
    normal, usable = cleaned.images, cleaned.usable
    y, x = np.mgrid[:box, :box] - box // 2
    outside = torch.from_numpy(np.hypot(x, y) > box * 0.3)
    assert usable.all()
    torch.testing.assert_close(normal[:, outside].mean(1), torch.zeros(5), atol=1e-4, rtol=0)
    torch.testing.assert_close(normal[:, outside].std(1), torch.ones(5), atol=1e-4, rtol=0)
    assert float(normal[:, box // 2, box // 2].mean()) > 1


def test_grey_values_of_the_camera_do_not_matter() -> None:
    prepared, images = preparation(32), particles(4, 32)
    plain = prepared.spectra(images, None)[0]
    scaled = prepared.spectra(images * 251.5 + 3e4, None)[0]
    torch.testing.assert_close(scaled, plain, atol=2e-2, rtol=1e-3)


def test_inversion_turns_the_sign() -> None:
    images = particles(4, 32)
    plain = preparation(32).spectra(images, None)[0]
    torch.testing.assert_close(preparation(32, invert=True).spectra(images, None)[0], -plain)
    torch.testing.assert_close(preparation(32, invert=True).spectra(-images, None)[0], plain)


def test_flat_background_is_scaled_by_the_image() -> None:
    """A clean or masked stack has nothing outside the particle; the scale of its signal must not matter."""
    clean = np.stack([spots(48), 50 * spots(48) + 7]) * soft_mask(48, 14).numpy()
    clean[1] += 7 * (1 - soft_mask(48, 14).numpy())
    z, _, usable = preparation(48).spectra(clean.astype(np.float32), None)
    assert usable.all()
    torch.testing.assert_close(z[0], z[1], atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("mode", ["none", "model", "wiener"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, "constant", "zero", "one pixel"])
def test_images_that_cannot_be_used_are_told_apart(bad: float | str, mode: str) -> None:
    images = particles(5, 32)
    alone = preparation(32, mode).spectra(images, optics(5))
    if bad == "one pixel":
        images[2, 31, 0] = np.nan
    else:
        images[2] = {"constant": 12.7, "zero": 0.0}.get(str(bad), bad)
    z, q, usable = preparation(32, mode).spectra(images, optics(5))
    assert usable.tolist() == [True, True, False, True, True]
    assert torch.isfinite(torch.view_as_real(z)).all()
    assert torch.isfinite(q).all()
    torch.testing.assert_close(z[usable], alone[0][usable])


# --------------------------------------------------------------------------------------------------- masks


@pytest.mark.parametrize("box", BOXES)
def test_soft_mask(box: int) -> None:
    mask = soft_mask(box, 10.0, 4.0)
    y, x = np.mgrid[:box, :box] - box // 2
    distance = np.hypot(x, y)
    assert np.all(mask.numpy()[distance <= 10] == 1)
    assert np.all(np.abs(mask.numpy()[distance >= 14]) < 1e-6)
    assert mask[box // 2, box // 2 + 12] == pytest.approx(0.5, abs=1e-6)
    middle = mask[box // 2, box // 2 :]
    assert torch.all(middle.diff() <= 1e-6)


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize("radius", [5.0, 1e3])
def test_background_ring_is_never_empty(box: int, radius: float) -> None:
    ring = background_ring(box, radius)
    assert ring[0, 0]
    assert not ring[box // 2, box // 2]
    assert int(ring.sum()) >= 0.1 * box**2


def test_what_lies_beyond_the_mask_does_not_matter() -> None:
    images = particles(3, 48)
    z = preparation(48, mask_radius=12.0).spectra(images, None)[0]
    changed = images.copy()
    changed[:, 24, 43] += 0.5  # beyond radius 16; a little, for the background's own figures
    torch.testing.assert_close(preparation(48, mask_radius=12.0).spectra(changed, None)[0], z, atol=0.1, rtol=0.01)
    changed[:, 24, 26] += 50
    moved = preparation(48, mask_radius=12.0).spectra(changed, None)[0]
    assert float((moved - z).norm() / z.norm()) > 0.5


def test_reach_keeps_what_a_shift_may_have_brought_there() -> None:
    image = spots(64, ((0.0, 0.0, 0.04, 10.0),), shift=(20.0, 0.0))[None]
    narrow = preparation(64, mask_radius=16.0).spectra(image, None)[0]
    wide = preparation(64, mask_radius=16.0, reach=8.0).spectra(image, None)[0]
    assert float(wide.abs().square().sum()) > 5 * float(narrow.abs().square().sum())


# ----------------------------------------------------------------------------------------------------- CTF


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize("flipped", [False, True])
def test_model_multiplies_by_the_ctf(box: int, flipped: bool) -> None:
    images, parameters = particles(3, box), optics(3)
    plain = preparation(box).spectra(images, None)[0]
    prepared = preparation(box, "model", phase_flipped=flipped)
    z, q, _ = prepared.spectra(images, parameters)
    band = prepared.band
    ctf = textbook_ctf(parameters, box, RATE)[:, band.ky.numpy() % box, band.kx.numpy() % box]
    ctf = np.abs(ctf) if flipped else ctf
    torch.testing.assert_close(z, plain * torch.from_numpy(ctf).float(), atol=2e-3, rtol=2e-3)
    for ring in range(band.rings):
        here = band.ring.numpy() == ring
        np.testing.assert_allclose(q[:, ring], (ctf[:, here] ** 2).mean(1), atol=1e-4)


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize("flipped", [False, True])
def test_wiener_filter_is_xmipps_formula(box: int, flipped: bool) -> None:
    """Xmipp pads twice and multiplies by CTF / (CTF² + 0.1 mean CTF²), the mean over the padded plane."""
    images, parameters = particles(3, box), optics(3)
    prepared = preparation(box, "wiener", phase_flipped=flipped)
    z, q, _ = prepared.spectra(images, parameters)
    assert torch.equal(q, torch.ones_like(q))
    ctf = textbook_ctf(parameters, 2 * box, RATE)
    factor = (np.abs(ctf) if flipped else ctf) / (ctf**2 + 0.1 * (ctf**2).mean((1, 2), keepdims=True))
    normal = prepared.cleaned(torch.from_numpy(images)).images.double().numpy()
    padded = np.zeros((3, 2 * box, 2 * box))
    padded[:, :box, :box] = normal
    corrected = np.fft.irfft2(np.fft.rfft2(padded) * factor[:, :, : box + 1])[:, :box, :box]
    mask = soft_mask(box, box / 2 - 4).double().numpy()
    expected = prepared.band.to_vectors(torch.from_numpy((corrected * mask).astype(np.float32)))
    assert float((z - expected).norm() / expected.norm()) < 3e-4


# ----------------------------------------------------------------------------------------------- whitening


def learned(prepared: Preparation, images: NDArray[np.float32], parameters: CtfParameters | None) -> Vectors:
    z, q, _ = prepared.spectra(images, parameters)
    prepared.learn(z, q)
    return prepared.whiten(z, q)


def ring_power(vectors: Vectors) -> Tensor:
    """Mean square of one real feature by ring."""
    return vectors.band.ring_mean(vectors.z.abs().square().mean(0)) / 2


@pytest.mark.parametrize("mode", ["none", "model"])
def test_noise_alone_becomes_white(mode: str) -> None:
    rng = np.random.default_rng(3)
    white = rng.normal(size=(400, 32, 32))
    # Coloured: each pixel and half of its neighbour.
    noise = (white + 0.5 * np.roll(white, 1, 1)).astype(np.float32)
    vectors = learned(preparation(32, mode), noise, optics(400))
    torch.testing.assert_close(vectors.q.mean(0), torch.ones(vectors.band.rings), atol=1e-3, rtol=1e-3)
    # z = sqrt(q)·noise: its variance in a ring is q, whose mean is 1.
    torch.testing.assert_close(ring_power(vectors), torch.ones(vectors.band.rings), atol=1e-3, rtol=1e-3)
    defocused = vectors.q[:, 9] > 1.2
    if mode == "model":
        assert 10 < int(defocused.sum()) < 390
        ring = vectors.z[:, vectors.band.ring == 9].abs().square()
        near, far = ring[defocused].mean(), ring[~defocused].mean()
        expected = vectors.q[defocused, 9].mean() / vectors.q[~defocused, 9].mean()
        assert float(near / far) == pytest.approx(float(expected), rel=0.15)


def test_signal_is_in_the_units_of_the_averages() -> None:
    """The least-squares average sum z / sum q, taken back by noise / rms CTF, is the particle itself."""
    band = Band.make(48, 16.0)
    parameters = optics(300)
    truth = spots(48) * 4
    ctf = textbook_ctf(parameters, 48, RATE)
    clean = np.fft.ifft2(np.fft.fft2(truth) * ctf).real
    rng = np.random.default_rng(0)
    noisy = (clean + rng.normal(size=clean.shape)).astype(np.float32)
    prepared = Preparation(band, Treatment(RATE, "model", 20.0))
    vectors = learned(prepared, noisy, parameters)
    average = vectors.z.sum(0) / vectors.q.sum(0)[band.ring]
    assert prepared.whitening is not None
    back = prepared.whitening.noise / prepared.whitening.ctf_square.sqrt()
    found = band.to_images(average * back[band.ring])
    expected = band.to_images(band.to_vectors(torch.from_numpy(truth)))
    inside = soft_mask(48, 14.0) > 0.5
    correlation = np.corrcoef(found[inside], expected[inside])[0, 1]
    slope = float((found * expected)[inside].sum() / expected[inside].square().sum())
    assert correlation > 0.98
    assert slope == pytest.approx(1.0, abs=0.1)
