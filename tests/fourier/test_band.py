"""Fourier vectors: distances, shifts and turns are those of the images, for every box."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from blobs import THREE, spots
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from alignpca2d_core.alignment.search_grids import nested_schedule
from alignpca2d_core.fourier.band import Band, as_real
from alignpca2d_core.fourier.rotation import turned_images

BOXES = (32, 33, 45, 64, 65, 100)


def band_limited(images: Tensor, radius: float) -> Tensor:
    """The literal thing: all of the plane's coefficients beyond the radius set to zero."""
    box = images.shape[-1]
    frequency = np.fft.fftfreq(box) * box
    inside = np.add.outer(frequency**2, frequency**2) <= radius**2
    return torch.from_numpy(np.fft.ifft2(np.fft.fft2(images.numpy().astype(np.float64)) * inside).real)


def noise(box: int, count: int = 2) -> Tensor:
    return torch.randn(count, box, box, generator=torch.Generator().manual_seed(box))


def relative_error(found: Tensor, wanted: Tensor) -> float:
    return float((found - wanted).norm() / wanted.norm())


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize("share", [0.35, 1.0])
def test_distances_are_those_of_the_band_limited_images(box: int, share: float) -> None:
    radius = min(share * box / 2, (box - 1) // 2)
    band = Band.make(box, radius)
    first, second = noise(box)
    a, b = band.to_vectors(first), band.to_vectors(second)
    smooth = band_limited(torch.stack((first, second)), radius)
    assert float((a - b).abs().square().sum()) == pytest.approx(float((smooth[0] - smooth[1]).square().sum()), rel=1e-5)
    product = float((smooth[0] * smooth[1]).sum())
    assert float((a * b.conj()).real.sum()) == pytest.approx(product, abs=1e-4 * float(smooth.square().sum()))
    assert float((as_real(a) - as_real(b)).square().sum()) == pytest.approx(float((a - b).abs().square().sum()))


@pytest.mark.parametrize("box", BOXES)
def test_images_come_back_band_limited(box: int) -> None:
    band = Band.make(box, 0.3 * box)
    images = noise(box, 3)
    back = band.to_images(band.to_vectors(images))
    torch.testing.assert_close(back, band_limited(images, 0.3 * box).float(), atol=2e-5, rtol=0)


def test_radius_is_cut_below_nyquist() -> None:
    for box, edge in ((32, 15), (33, 16)):
        band = Band.make(box, 1000.0)
        assert int(band.kx.max()) == edge
        assert band.rings == edge + 1
        # Every coefficient but the origin stands for two of the full plane.
        frequency = np.arange(-edge, edge + 1)
        disc = np.add.outer(frequency**2, frequency**2) <= edge**2
        assert 2 * len(band) - 1 == disc.sum()


@pytest.mark.parametrize("box", [32, 65])
def test_a_narrower_band_is_a_prefix(box: int) -> None:
    wide, radius = Band.make(box, 14.0), 9.3
    narrow = wide.narrowed(radius)
    alone = Band.make(box, radius)
    assert len(narrow) == wide.prefix(radius) == len(alone)
    for name in ("kx", "ky", "ring", "weight"):
        assert torch.equal(getattr(narrow, name), getattr(alone, name))
    images = noise(box)
    torch.testing.assert_close(wide.to_vectors(images)[:, : len(narrow)], alone.to_vectors(images))
    rings = wide.ring
    assert torch.all(rings[1:] >= rings[:-1])
    assert torch.equal(rings, (wide.kx**2 + wide.ky**2).double().sqrt().round().long())


def test_ring_sums_and_means() -> None:
    band = Band.make(32, 6.0)
    values = torch.rand(3, len(band), generator=torch.Generator().manual_seed(1))
    for ring in range(band.rings):
        here = values[:, band.ring == ring]
        torch.testing.assert_close(band.ring_sum(values)[:, ring], here.sum(1))
        torch.testing.assert_close(band.ring_mean(values)[:, ring], here.mean(1))


@pytest.mark.parametrize("box", BOXES)
def test_whole_pixel_shifts_roll_the_image(box: int) -> None:
    band = Band.make(box, 0.4 * box)
    image = noise(box, 1)[0]
    ramps = band.shift_ramps(torch.tensor([3.0, 0.0, -5.0]), torch.tensor([0.0, 2.0, 4.0]))
    moved = band.to_images(band.to_vectors(image) * ramps)
    smooth = band_limited(image, 0.4 * box).float()
    for found, (x, y) in zip(moved, ((3, 0), (0, 2), (-5, 4)), strict=True):
        torch.testing.assert_close(found, torch.roll(smooth, (y, x), (0, 1)), atol=5e-5, rtol=0)


@pytest.mark.parametrize("box", BOXES)
def test_fractions_of_a_pixel_move_as_the_formula_says(box: int) -> None:
    band = Band.make(box, box / 2)
    shift = (0.61, -1.37)
    ramp = band.shift_ramps(torch.tensor(shift[0]), torch.tensor(shift[1]))
    still, moved = (band.to_vectors(torch.from_numpy(spots(box, shift=s))) for s in ((0.0, 0.0), shift))
    assert relative_error(still * ramp, moved) < 1e-4
    assert relative_error(still * ramp.conj(), moved) > 0.05


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize("share", [0.25, 0.5])
def test_rotate_all_turns_as_the_formula_says(box: int, share: float) -> None:
    band = Band.make(box, share * box)
    angles = torch.deg2rad(torch.tensor([0.0, 8.0, 33.0, 90.0, 181.5, -120.0]))
    vectors = torch.stack([band.to_vectors(torch.from_numpy(spots(box, p))) for p in (THREE, THREE[:2])])
    turned = band.rotate_all(vectors, angles)
    assert turned.shape == (2, len(angles), len(band))
    for k, places in enumerate((THREE, THREE[:2])):
        for a, angle in enumerate(angles.tolist()):
            wanted = band.to_vectors(torch.from_numpy(spots(box, places, angle)))
            assert relative_error(turned[k, a], wanted) < (0.001 if share == 0.5 else 0.01), (k, a)
    assert relative_error(turned[0, 2], band.to_vectors(torch.from_numpy(spots(box, THREE, -angles[2].item())))) > 0.2


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize("rotations", [44, 45])
def test_rotate_round_is_rotate_all_over_a_full_turn(box: int, rotations: int) -> None:
    band = Band.make(box, 0.25 * box)
    vectors = torch.stack([band.to_vectors(torch.from_numpy(spots(box, p))) for p in (THREE, THREE[:2])])
    turned = band.rotate_round(vectors, rotations)
    assert turned.shape == (2, rotations, len(band))
    wanted = band.rotate_all(vectors, torch.arange(rotations) * (2 * math.pi / rotations))
    for k in range(2):
        assert relative_error(turned[k], wanted[k]) < 1e-4


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize("share", [0.25, 0.5])
def test_turned_images_turn_as_the_formula_says(box: int, share: float) -> None:
    band = Band.make(box, share * box)
    angles = torch.deg2rad(torch.tensor([0.0, -8.0, 47.0, 90.0, 200.0]))
    vectors = band.to_vectors(torch.from_numpy(spots(box))).expand(len(angles), -1)
    turned = turned_images(band, vectors, angles)
    assert turned.shape == (len(angles), band.work_box, band.work_box)
    for found, angle in zip(turned, angles.tolist(), strict=True):
        analytic = band.to_vectors(torch.from_numpy(spots(box, THREE, angle)))
        assert (
            relative_error(found, band.to_images(analytic, band.work_box)) < 0.02
        )  # which costs 0.0002 of a correlation


@pytest.mark.parametrize("box", BOXES)
def test_images_turned_together_are_those_turned_one_by_one(box: int) -> None:
    band = Band.make(box, 0.4 * box)
    vectors = band.to_vectors(noise(box, 40))
    angles = torch.deg2rad(torch.tensor(10 * [0.0] + 14 * [31.5] + 10 * [121.5] + 6 * [-7.25]))
    together = turned_images(band, vectors, angles)
    alone = torch.cat([turned_images(band, vectors[i : i + 1], angles[i : i + 1]) for i in range(len(angles))])
    assert relative_error(together, alone) < 1e-4


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize("other", [48, 63, 128])
def test_another_box_resamples_and_keeps_grey_values(box: int, other: int) -> None:
    band = Band.make(box, min(box, other) / 2 - 1)
    resampled = band.to_images(band.to_vectors(torch.from_numpy(spots(box))), other)
    torch.testing.assert_close(resampled, torch.from_numpy(spots(other)), atol=2e-3, rtol=0)


def test_work_box_holds_the_band_and_is_no_larger_than_it_must() -> None:
    for box in (32, 33, 128, 129):
        for radius in (4.0, 11.35, box / 2):
            band = Band.make(box, radius)
            assert 2 * int(band.radius) < band.work_box <= box + box % 2
    assert Band.make(256, 11.0).work_box < 32


def test_images_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match=r"32 px.*\(2, 33, 33\)"):
        Band.make(32, 8.0).to_vectors(noise(33))


def test_turning_keeps_the_power() -> None:
    """The search takes the power of a template to be that of its class, whatever the pose."""
    band = Band.make(64, 16.0)
    vectors = band.to_vectors(torch.from_numpy(spots(64)))[None]
    turned = band.rotate_all(vectors, torch.linspace(0, 2 * math.pi, 23))[0]
    power = turned.abs().square().sum(1) / vectors.abs().square().sum()
    assert float((power - 1).abs().max()) < 0.001


@settings(deadline=None)
@given(
    box=st.integers(16, 300),
    rate_hundredths=st.integers(20, 1000),
    limit_tenths=st.integers(10, 2000),
)
@example(box=64, rate_hundredths=400, limit_tenths=80)  # exactly beyond Nyquist: 32 frequencies, of which 31 are kept
@example(box=62, rate_hundredths=400, limit_tenths=80)
@example(box=74, rate_hundredths=400, limit_tenths=80)
@example(box=75, rate_hundredths=400, limit_tenths=80)
@example(box=63, rate_hundredths=400, limit_tenths=80)
def test_a_band_holds_what_the_limit_admits_in_exact_arithmetic(
    box: int, rate_hundredths: int, limit_tenths: int
) -> None:
    """Which frequencies are in is decided by fractions here; no level of the schedule reaches outside its band."""
    exact = min(Fraction(box * rate_hundredths, 100) / Fraction(limit_tenths, 10), Fraction((box - 1) // 2))
    radius = box * (rate_hundredths / 100) / (limit_tenths / 10)
    band = Band.make(box, radius)
    edge = math.floor(exact)
    inside = [
        (x, y)
        for x in range(edge + 1)
        for y in range(-edge, edge + 1)
        if Fraction(x * x + y * y) <= exact**2 and (x > 0 or y >= 0)
    ]
    assert set(zip(band.kx.tolist(), band.ky.tolist(), strict=True)) == set(inside)
    assert band.edge == edge
    if exact < 3:
        return
    schedule = nested_schedule(box, min(radius, (box - 1) // 2))
    assert len(band.narrowed(schedule.final.radius)) == len(band)
    for level in (schedule.exhaustive, *schedule.local):
        narrow = band.narrowed(level.radius)
        assert int(narrow.ky.abs().max()) <= narrow.edge
        ramps = narrow.shift_ramps(torch.tensor([1.5]), torch.tensor([-2.0]))
        assert ramps.shape == (1, len(narrow))
