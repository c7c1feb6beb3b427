"""Homogeneity: a class of one view is told from a class of two, and the two are separated."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from blobs import BAR, CORNER, TRIANGLE, Spot, as_particles, random_poses, spots, stack
from torch import Tensor

from alignpca2d_core.alignment.matches import Matches
from alignpca2d_core.averaging.class_averages import accumulate, averages
from alignpca2d_core.classification.discovery.bisection import (
    Halves,
    bisected,
    centred,
    leading,
    random_subspace,
    two_means,
)
from alignpca2d_core.classification.discovery.residual_pca import (
    aligned_residuals,
    detail_mask,
    leading_direction,
    turned_residuals,
)
from alignpca2d_core.fourier.band import Band
from alignpca2d_core.preprocessing.preprocess import Vectors, soft_mask

BOX, RADIUS = 48, 10.0
TWIN = (*BAR[:2], (0.2, 0.16, 0.06, 0.7))
"""BAR with its third spot elsewhere."""


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def starts(features: Tensor, seed: int = 0) -> Tensor:
    drawn = generator(seed)
    return torch.stack([random_subspace(features.shape[1], drawn) for _ in range(2)])


def split(features: Tensor, chance: Tensor) -> Halves:
    """One class, by itself."""
    present = torch.ones(1, len(features), dtype=torch.bool)
    halves = bisected(features[None], chance[None], present, starts(features)[None])
    return Halves(halves.ratio[0], halves.second[0])


def products_of(features: Tensor) -> Tensor:
    own = centred(features[None], torch.ones(1, len(features), dtype=torch.bool))
    return own @ own.mT


def posed(views: tuple[tuple[Spot, ...], ...], which: Tensor, noise: float) -> tuple[Vectors, Matches]:
    """Particles of some views in one class, their poses known."""
    band = Band.make(BOX, RADIUS)
    poses = random_poses(len(which), 4.0)
    images = torch.cat([stack(BOX, views[k], poses[i : i + 1]) for i, k in enumerate(which.tolist())])
    angle, x, y = (column[:, None] for column in poses.unbind(1))
    matches = Matches(torch.zeros(len(which), 1, dtype=torch.long), angle, x, y, torch.zeros_like(angle))
    return as_particles(images, band, noise), matches


def judged(views: tuple[tuple[Spot, ...], ...], which: Tensor, noise: float = 1.0, margin: float = 3.0) -> Halves:
    """How a class of such particles would divide; the mask ends ``margin`` pixels within the work box."""
    particles, matches = posed(views, which, noise)
    band = particles.band
    mask = soft_mask(band.work_box, band.work_box / 2 - margin)
    mean = averages(accumulate(particles, matches, 1, torch.arange(len(which)) % 2), band, mask).mean
    turns = torch.rand(len(which), generator=generator(1)) * 2 * torch.pi
    found, chance = turned_residuals(particles, matches, mean, mask, turns)
    return split(found, chance)


@pytest.mark.parametrize(("count", "margin"), [(60, 3.0), (1000, 3.0), (300, 6.0), (300, 8.0)])
def test_one_view_is_not_mixed(count: int, margin: float) -> None:
    """However many members, and however much a narrow mask makes neighbouring coefficients alike."""
    assert 0.8 < judged((BAR,), torch.zeros(count, dtype=torch.long), margin=margin).ratio < 1.3


@pytest.mark.parametrize("twin", [TRIANGLE, CORNER, TWIN])
@pytest.mark.parametrize("share", [2, 5])
def test_two_views_are_mixed_and_parted(twin: tuple[Spot, ...], share: int) -> None:
    which = (torch.arange(400) % share == 0).long()
    found = judged((BAR, twin), which, noise=0.7)
    assert found.ratio > 1.5
    agreement = float((found.second == which.bool()).float().mean())
    assert max(agreement, 1 - agreement) > 0.95


def test_turned_residuals_have_the_same_power_and_nothing_in_common() -> None:
    which = torch.arange(300) % 2
    particles, matches = posed((BAR, CORNER), which, 0.7)
    band = particles.band
    mask = soft_mask(band.work_box, band.work_box / 2 - 3)
    mean = averages(accumulate(particles, matches, 1, which), band, mask).mean
    turns = torch.rand(300, generator=generator(1)) * 2 * torch.pi
    plain, turned = turned_residuals(particles, matches, mean, mask, turns)
    assert torch.equal(plain, aligned_residuals(particles, matches, mean, mask))
    assert float(turned.square().mean() / plain.square().mean()) == pytest.approx(1.0, abs=0.1)
    values = [leading(products_of(one), (one @ starts(one)[0])[None])[0] for one in (plain, turned)]
    assert values[0] > 2 * values[1]


def test_noise_alone_has_no_leading_direction() -> None:
    draws = [torch.randn(2, 200, 120, generator=generator(seed)) for seed in range(5)]
    ratios = [float(split(first, second).ratio) for first, second in draws]
    assert max(ratios) < 1.2
    assert min(ratios) > 0.8


def test_residuals_of_the_view_itself_vanish() -> None:
    particles, matches = posed((BAR,), torch.zeros(10, dtype=torch.long), 0.0)
    band = particles.band
    mask = soft_mask(band.work_box, band.work_box / 2 - 3)
    view = band.to_vectors(torch.from_numpy(spots(BOX, BAR)))[None]
    left = aligned_residuals(particles, matches, view, mask)
    assert left.shape == (10, 2 * len(band))
    assert float(left.norm(dim=1).max()) < 0.03 * float(view.norm())
    # With CTF² in the model the view is seen q times.
    q = torch.linspace(0.5, 1.5, 10)[:, None] + 0.3 * torch.cos(torch.arange(band.rings) / 3)
    seen = Vectors(particles.z * q[:, band.ring], q, band)
    assert float(aligned_residuals(seen, matches, view, mask).norm(dim=1).max()) < 0.05 * float(view.norm())
    twice = aligned_residuals(Vectors(2 * particles.z, particles.q, band), matches, view, mask)
    assert float(twice.norm(dim=1).min()) > 0.9 * float(view.norm())


@pytest.mark.parametrize("shape", [(300, 40), (30, 90)])
def test_leading_direction_is_numpys(shape: tuple[int, int]) -> None:
    features = torch.randn(*shape, generator=generator()) * torch.linspace(2, 1, shape[1])
    features[:, 3] *= 3
    start = (features @ starts(features, 1)[0])[None]
    value, along = leading((features @ features.T)[None], start)
    values, vectors = np.linalg.eigh((features.T @ features).double().numpy())
    assert float(value[0]) == pytest.approx(values[-1], rel=1e-3)
    wanted = features.double().numpy() @ vectors[:, -1]
    assert abs(along[0].double().numpy() @ wanted) / np.linalg.norm(wanted) == pytest.approx(1.0, abs=1e-2)
    assert float(along[0, along[0].abs().argmax()]) > 0


def test_two_means_moves_what_was_put_wrong() -> None:
    truth = torch.arange(100) < 30
    features = torch.randn(100, 5, generator=generator()) + truth[:, None] * 6.0
    start = truth.clone()
    start[20:45] = True
    products, present = products_of(features), torch.ones(1, 100, dtype=torch.bool)
    assert torch.equal(two_means(products, start[None], present)[0], truth)
    # Nothing to part: it gives up instead of dividing by zero.
    assert not two_means(products, torch.zeros_like(present), present).any()


def test_classes_of_different_size_divide_as_each_by_itself() -> None:
    sizes, most = (80, 33, 60), 80
    found = torch.randn(2, 3, most, 50, generator=generator())
    found[0, :, :, 0] += 3.0 * (torch.arange(most) % 3 == 0)
    present = torch.arange(most) < torch.tensor(sizes)[:, None]
    found *= present[:, :, None]
    begin = torch.stack([starts(found[0, 0], seed) for seed in range(3)])
    together = bisected(found[0], found[1], present, begin)
    for k, size in enumerate(sizes):
        alone = bisected(
            found[0, k : k + 1, :size], found[1, k : k + 1, :size], present[k : k + 1, :size], begin[k : k + 1]
        )
        assert float(together.ratio[k]) == pytest.approx(float(alone.ratio), rel=1e-4)
        assert torch.equal(together.second[k, :size], alone.second[0])
        assert not together.second[k, size:].any()


def test_the_same_generator_gives_the_same_split() -> None:
    first, second = (judged((BAR, TWIN), torch.arange(80) % 2) for _ in range(2))
    assert first.ratio == second.ratio
    assert torch.equal(first.second, second.second)


def halved_rightly(along: Tensor, truth: Tensor) -> float:
    right = float(((along > along.median()) == truth.bool()).float().mean())
    return max(right, 1 - right)


def test_opposed_finds_the_direction_of_two_groups_and_no_power_of_single_ones() -> None:
    """A few particles of much power lead an eigenvector, but have nothing in common with others."""
    truth = torch.arange(200) // 2 % 2
    features = torch.randn(200, 300, generator=generator())
    features[:, 0] += 7.0 * truth
    for most in (1000, 100):
        found = leading_direction(features, most)
        assert halved_rightly(found.along, truth) > 0.95
        assert found.clearness > 1.15
        # 200 particles, half of them 7 apart from the others: n times a variance of 7²/4.
        assert found.power == pytest.approx(200 * 49 / 4, rel=0.15)
    features[:5] *= 4
    centred = features - features.mean(0)
    assert halved_rightly(centred @ torch.linalg.eigh(centred.T @ centred)[1][:, -1], truth) < 0.9
    assert halved_rightly(leading_direction(features, 1000).along, truth) > 0.95


def test_noise_has_no_clear_direction_and_one_particle_no_direction() -> None:
    assert 1.0 <= leading_direction(torch.randn(200, 300, generator=generator()), 1000).clearness < 1.15
    assert leading_direction(torch.randn(1, 300, generator=generator()), 1000).along.shape == (1,)


def test_relief_is_where_the_detail_is() -> None:
    band = Band.make(BOX, RADIUS)
    box = band.work_box
    lonely = band.to_vectors(torch.from_numpy(spots(BOX, [(0.2, 0.0, 0.05, 1.0)])))[None]
    found = detail_mask(torch.cat((lonely, 3 * lonely)), band)
    assert found.shape == (2, box, box)
    assert torch.allclose(found[0], found[1], atol=1e-4)
    assert float(found.max()) == pytest.approx(1.0)
    y, x = divmod(int(found[0].argmax()), box)
    assert abs(y - box // 2) <= 2
    assert abs(x - (box // 2 + 0.2 * box)) <= 3
    assert float(found[0, :, : box // 4].max()) < 0.6
