"""Class sums: rotated sums are sums of rotated particles; halves, masks and centres."""

from __future__ import annotations

import gc

import numpy as np
import pytest
import torch
from blobs import BAR, THREE, as_particles, random_poses, spots, stack
from numpy.typing import NDArray
from torch import Tensor

from alignpca2d_core.alignment.matches import Matches
from alignpca2d_core.averaging.class_averages import (
    BinnedSums,
    ClassSums,
    accumulate,
    averages,
    centre_offsets,
    filtered,
    from_work_images,
    masked,
    recentre,
)
from alignpca2d_core.fourier.band import Band
from alignpca2d_core.preprocessing.preprocess import Vectors, soft_mask

BOXES = (32, 33, 64, 65)


def matches_of(poses: Tensor, classes: Tensor) -> Matches:
    """One match for each particle."""
    angle, x, y = (column[:, None].clone() for column in poses.unbind(1))
    return Matches(classes[:, None], angle, x, y, torch.zeros_like(angle))


def whole_mask(band: Band) -> Tensor:
    return torch.ones(band.work_box, band.work_box)


def random_set(box: int, count: int = 40) -> tuple[Vectors, Matches, Tensor]:
    """Noise in random poses of three classes, in two halves."""
    band = Band.make(box, 0.35 * box)
    generator = torch.Generator().manual_seed(box)
    images = torch.randn(count, box, box, generator=generator) * soft_mask(box, box * 0.25)
    classes = torch.randint(3, (count,), generator=generator)
    halves = torch.randint(2, (count,), generator=generator)
    return as_particles(images, band), matches_of(random_poses(count, 0.1 * box), classes), halves


def relative_error(found: Tensor, wanted: Tensor) -> float:
    return float((found - wanted).norm() / wanted.norm())


def turned_back(image: NDArray[np.float64], angle: float, x: float, y: float) -> NDArray[np.float64]:
    """scipy brings one particle into the class frame: what a turn and then a shift did is undone."""
    ndimage = pytest.importorskip("scipy.ndimage")
    cosine, sine = np.cos(angle), np.sin(angle)
    matrix = np.array([[cosine, sine], [-sine, cosine]])  # (row, column) of a turn from x towards y
    centre = len(image) // 2
    offset = np.array([y, x]) + centre - matrix @ [centre, centre]
    return ndimage.affine_transform(image, matrix, offset, order=5, mode="grid-wrap")


@pytest.mark.parametrize("box", BOXES)
def test_sums_are_those_of_particles_turned_one_by_one(box: int) -> None:
    particles, matches, halves = random_set(box)
    sums = accumulate(particles, matches, 3, halves)
    images = particles.band.to_images(particles.z).double().numpy()
    work = particles.band.work_box
    mask = soft_mask(work, work / 2 - 5)
    for half in (0, 1):
        for k in range(3):
            members = torch.nonzero((matches.classes[:, 0] == k) & (halves == half))[:, 0].tolist()
            turned = [
                turned_back(images[i], *(float(v[i, 0]) for v in (matches.angle, matches.shift_x, matches.shift_y)))
                for i in members
            ]
            wanted = particles.band.to_vectors(torch.from_numpy(np.sum(turned, axis=0)).float())
            # Corners turn out of the box on one side and wrap on the other.
            assert relative_error(*(masked(v, particles.band, mask) for v in (sums.total[half, k], wanted))) < 0.04
            assert int(sums.count[half, k]) == len(members)
            torch.testing.assert_close(sums.weight[half, k], particles.q[members].sum(0))


@pytest.mark.parametrize("box", BOXES)
def test_aligned_particles_add_up_to_their_view(box: int) -> None:
    band = Band.make(box, 0.35 * box)
    poses = random_poses(25, 0.1 * box)
    particles = as_particles(stack(box, THREE, poses), band)
    sums = accumulate(particles, matches_of(poses, torch.zeros(25, dtype=torch.long)), 1, torch.arange(25) % 2)
    view = band.to_vectors(torch.from_numpy(spots(box, THREE)))
    assert relative_error(sums.total.sum((0, 1)) / 25, view) < 0.01
    average = averages(sums, band, whole_mask(band))
    assert relative_error(average.mean[0], view) < 0.015
    assert float(average.frc[0, 1:6].min()) > 0.99
    assert average.sizes.tolist() == [25.0]


def test_halves_and_batches_add_up() -> None:
    particles, matches, halves = random_set(33)
    whole = accumulate(particles, matches, 3, halves)
    parts = [
        accumulate(particles.rows(rows), matches.rows(rows), 3, halves[rows])
        for rows in (torch.arange(11), torch.arange(11, 40))
    ]
    added = parts[0] + parts[1]
    alone = [torch.nonzero(halves == half)[:, 0] for half in (0, 1)]
    for name in ("total", "weight", "count"):
        torch.testing.assert_close(getattr(added, name), getattr(whole, name), atol=1e-3, rtol=1e-4)
    for half, rows in enumerate(alone):
        single = accumulate(particles.rows(rows), matches.rows(rows), 3, torch.zeros_like(rows))
        torch.testing.assert_close(single.total[0], whole.total[half], atol=1e-3, rtol=1e-4)
    assert whole.sizes.tolist() == torch.bincount(matches.classes[:, 0], minlength=3).tolist()


def test_averages_undo_the_ctf() -> None:
    """Least squares: particles q·x + sqrt(q)·noise of any q average to x."""
    box, count = 32, 400
    band = Band.make(box, 11.0)
    generator = torch.Generator().manual_seed(0)
    q = torch.rand(count, band.rings, generator=generator) * 2
    view = band.to_vectors(torch.from_numpy(spots(box, THREE)))
    noise = torch.randn(count, len(band), dtype=torch.complex64, generator=generator) * 2**0.5
    z = q[:, band.ring] * view + q.sqrt()[:, band.ring] * noise
    still = matches_of(torch.zeros(count, 3), torch.zeros(count, dtype=torch.long))
    average = averages(accumulate(Vectors(z, q, band), still, 1, torch.arange(count) % 2), band, whole_mask(band))
    expected_error = (2 * len(band) / count) ** 0.5 / float(view.norm())
    assert relative_error(average.mean[0], view) == pytest.approx(expected_error, rel=0.2)
    torch.testing.assert_close(average.weight[0], q.sum(0))


@pytest.mark.parametrize("box", [32, 65])
def test_an_empty_class_is_finite_and_one_half_alone_too(box: int) -> None:
    particles, matches, _ = random_set(box)
    average = averages(
        accumulate(particles, matches, 5, torch.zeros(40, dtype=torch.long)), particles.band, whole_mask(particles.band)
    )
    assert average.mean.shape[0] == 5
    assert torch.isfinite(torch.view_as_real(average.mean)).all()
    assert float(average.mean[3:].abs().max()) == 0
    assert torch.isfinite(average.frc).all()
    assert torch.isfinite(torch.view_as_real(filtered(average, particles.band))).all()
    nothing = ClassSums.zeros(2, particles.band)
    assert nothing.sizes.tolist() == [0, 0]


@pytest.mark.parametrize("box", BOXES)
def test_work_images_hold_the_whole_vector(box: int) -> None:
    band = Band.make(box, 0.2 * box)
    vectors = band.to_vectors(torch.randn(3, box, box, generator=torch.Generator().manual_seed(0)))
    assert band.work_box < box
    torch.testing.assert_close(
        from_work_images(band, band.to_images(vectors, band.work_box)), vectors, atol=1e-4, rtol=1e-4
    )


def test_mask_takes_away_what_lies_outside() -> None:
    band = Band.make(64, 12.0)
    mask = soft_mask(band.work_box, band.work_box * 0.2, 3.0)
    corner = band.to_vectors(torch.from_numpy(spots(64, ((0.33, 0.33, 0.05, 1.0),))))
    middle = band.to_vectors(torch.from_numpy(spots(64, ((0.0, 0.02, 0.05, 1.0),))))
    assert float(masked(corner, band, mask).norm()) < 0.05 * float(corner.norm())
    assert relative_error(masked(middle, band, mask), middle) < 0.05


# ------------------------------------------------------------------------------------------------- centres


@pytest.mark.parametrize("box", BOXES)
def test_centre_of_the_density_is_found(box: int) -> None:
    band = Band.make(box, 0.3 * box)
    shifts = ((0.0, 0.0), (3.0, -2.0), (-0.08 * box, 0.06 * box))
    vectors = torch.stack(
        [band.to_vectors(torch.from_numpy(spots(box, ((0.0, 0.0, 0.07, 1.0),), shift=s))) for s in shifts]
    )
    mask = soft_mask(band.work_box, band.work_box / 2 - 3)
    torch.testing.assert_close(centre_offsets(vectors, band, mask), torch.tensor(shifts), atol=0.15, rtol=0.02)
    # Grey values have no unit.
    torch.testing.assert_close(centre_offsets(17 * vectors, band, mask), centre_offsets(vectors, band, mask))


def agreement(particles: Vectors, matches: Matches, references: Tensor) -> Tensor:
    """Re<particle, reference in its pose> of each particle."""
    band = particles.band
    templates = torch.stack(
        [
            band.rotate_all(references[k : k + 1], a[None])[0, 0]
            for k, a in zip(matches.classes[:, 0].tolist(), matches.angle[:, 0], strict=True)
        ]
    )
    ramps = band.shift_ramps(matches.shift_x[:, 0], matches.shift_y[:, 0])
    return (particles.z * (templates * ramps).conj()).real.sum(1)


@pytest.mark.parametrize("box", [32, 65])
def test_recentring_moves_averages_and_poses_together(box: int) -> None:
    band = Band.make(box, 0.35 * box)
    poses = random_poses(30, 0.1 * box)
    classes = torch.arange(30) % 2
    views = (((0.1, -0.08, 0.07, 1.0), (0.2, 0.0, 0.05, 0.6)), BAR)
    images = torch.cat([stack(box, views[k], poses[i : i + 1]) for i, k in enumerate(classes.tolist())])
    particles, matches = as_particles(images, band), matches_of(poses, classes)
    halves = torch.arange(30) // 2 % 2
    sums, mask = accumulate(particles, matches, 2, halves), whole_mask(band)
    before = averages(sums, band, mask)
    offsets = torch.tensor([[0.13 * box, -0.06 * box], [-2.5, 1.25]])
    moved_sums, moved = recentre(sums, matches, offsets, band)
    after = averages(moved_sums, band, mask)
    wanted = before.mean * band.shift_ramps(-offsets[:, 0], -offsets[:, 1])
    assert relative_error(after.mean, wanted) < 1e-4
    torch.testing.assert_close(
        agreement(particles, moved, after.mean), agreement(particles, matches, before.mean), rtol=0.02, atol=0.02
    )
    # Averaging again with the moved poses gives the moved averages.
    again = accumulate(particles, moved, 2, halves)
    assert relative_error(again.total, moved_sums.total) < 0.02
    torch.testing.assert_close(matches.shift_x[:, 0], poses[:, 1])
    assert torch.equal(moved.angle, matches.angle)


def test_centring_by_the_density_centres() -> None:
    band = Band.make(64, 20.0)
    poses = random_poses(20, 6.0)
    particles = as_particles(stack(64, ((0.12, -0.1, 0.07, 1.0),), poses), band)
    matches = matches_of(poses, torch.zeros(20, dtype=torch.long))
    sums = accumulate(particles, matches, 1, torch.arange(20) % 2)
    mask = soft_mask(band.work_box, band.work_box / 2 - 3)
    offsets = centre_offsets(averages(sums, band, mask).mean, band, mask)
    torch.testing.assert_close(offsets[0], torch.tensor([0.12, -0.1]) * 64, atol=0.3, rtol=0)
    centred, _ = recentre(sums, matches, offsets, band)
    image = band.to_images(averages(centred, band, mask).mean)[0]
    assert divmod(int(image.argmax()), 64) == (32, 32)


# --------------------------------------------------------------------------------------------------- bins


@pytest.mark.parametrize("most", [1, 7, 100_000])
def test_sums_are_the_same_in_whatever_portions_particles_come(most: int) -> None:
    particles, matches, halves = scattered(90)
    at_once = accumulate(particles, matches, 3, halves)
    sums = BinnedSums(3, particles.band)
    sums.most, sums.keys = most, sums.keys[:most]
    for part in torch.arange(90).split(40):
        sums.add(particles.rows(part), matches.rows(part), halves[part])
    for name in ("total", "weight", "count"):
        assert torch.allclose(getattr(sums.total(), name), getattr(at_once, name), atol=1e-4), name
    assert float(at_once.total.abs().max()) > 1
    again = sums.total().total.clone()
    sums.add(particles, matches, halves)
    assert torch.allclose(sums.total().total, 2 * again, atol=1e-3)


def test_sums_keep_no_small_tensors() -> None:
    """Among large ones that go they break up the heap: a million particles that are read again took 5 GB."""
    particles, matches, halves = random_set(32)
    sums = BinnedSums(3, particles.band)
    kept = []
    for turn in range(10):
        matches.angle += 0.01 * turn
        sums.add(particles, matches, halves)
        kept.append(sum(type(one) is Tensor for one in gc.get_objects()))
    assert sums.used > 9 * len(matches)  # each turn brought new bins
    assert len(set(kept)) == 1


def scattered(count: int) -> tuple[Vectors, Matches, torch.Tensor]:
    """Particles of noise at poses all over, some of them alike, and their halves."""
    generator = torch.Generator().manual_seed(count)
    band = Band.make(32, 9.0)
    z = torch.view_as_complex(torch.randn(count, len(band), 2, generator=generator))
    angle = torch.randint(24, (count, 1), generator=generator) * (2 * torch.pi / 24)
    shift = torch.randint(-3, 4, (2, count, 1), generator=generator).float()
    classes = torch.randint(3, (count, 1), generator=generator)
    matches = Matches(classes, angle, shift[0], shift[1], torch.zeros(count, 1))
    return Vectors(z, torch.rand(count, band.rings, generator=generator), band), matches, torch.arange(count) % 2
