"""Views that look alike: found by how members waver, brought into one frame, and separated without their own noise."""

from __future__ import annotations

import math

import pytest
import torch
from blobs import BAR, CORNER, Spot, as_particles, random_poses, stack
from torch import Tensor

from alignpca2d_core.alignment.matches import Matches
from alignpca2d_core.averaging.band_sample import BandSample
from alignpca2d_core.classification.subdivision.median_cuts import Cut, FamilyCuts
from alignpca2d_core.classification.subdivision.similar_views import (
    MOST_PREFERENCE,
    Families,
    FamilyClasses,
    Frame,
    SimilarPair,
    in_common_frame,
    separated_views,
    similar_pairs,
)
from alignpca2d_core.classification.subdivision.view_mixture import Products, views_of
from alignpca2d_core.fourier.band import Band
from alignpca2d_core.preprocessing.mask_shape import MaskShape

BOX, RADIUS = 48, 10.0
TWIN = (*BAR[:2], (0.2, 0.05, 0.06, 0.7))
"""BAR with its third spot a pixel off."""


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def matches_of(classes: Tensor, poses: Tensor, score: Tensor | float = 0.0) -> Matches:
    angle, x, y = (column[:, None].clone() for column in poses.unbind(1))
    return Matches(classes[:, None], angle, x, y, torch.zeros_like(angle) + score)


def right(found: Tensor, truth: Tensor) -> float:
    """Share of the particles in a class whose majority they belong to."""
    table = torch.zeros(int(found.max()) + 1, int(truth.max()) + 1)
    table.index_put_((found, truth), torch.ones(len(found)), accumulate=True)
    return float(table.amax(1).sum() / len(found))


# --------------------------------------------------------------------------------------------------- frames


def test_a_frame_is_found_from_poses_in_both_classes_and_leads_there() -> None:
    own, frame = matches_of(torch.zeros(200, dtype=torch.long), random_poses(200, 4.0)), Frame(2.5, 1.5, -0.7)
    other = frame.moved(own)
    # A tenth fits the other way round: its poses say something else.
    other.angle[:20] += math.pi
    found = Frame.between(own, other)
    assert found is not None
    assert (found.angle, found.x, found.y) == pytest.approx((2.5, 1.5, -0.7), abs=1e-4)
    moved = found.moved(own)
    assert torch.allclose(torch.cos(moved.angle - other.angle)[20:], torch.ones(180, 1), atol=1e-5)
    assert torch.allclose(moved.shift_x, other.shift_x, atol=1e-3)
    assert torch.allclose(moved.shift_y, other.shift_y, atol=1e-3)


def test_no_frame_where_the_members_do_not_agree() -> None:
    own, other = (matches_of(torch.zeros(200, dtype=torch.long), random_poses(200, 4.0, seed)) for seed in (0, 1))
    assert Frame.between(own, other) is None


def two_best(own: Tensor, rival: Tensor, gap: Tensor) -> Matches:
    """Matches (n, 2) at one pose: the second class is worse by ``gap``."""
    poses = random_poses(len(own), 4.0)
    return Matches.join([matches_of(own, poses, 50.0), matches_of(rival, poses, 50.0 - gap[:, None])], 1)


def test_classes_that_members_waver_between_are_named_once() -> None:
    own = torch.repeat_interleave(torch.arange(4), torch.tensor([60, 40, 50, 45]))
    rival = torch.tensor([1, 0, 3, 0])[own]
    gap = torch.tensor([5.0, MOST_PREFERENCE - 2, 100.0, MOST_PREFERENCE + 2])[own]
    named = list(similar_pairs(two_best(own, rival, gap), torch.bincount(own)))
    assert [(one.k, one.other) for one in named] == [(1, 0)]
    assert (named[0].frame.angle, named[0].frame.x) == pytest.approx((0.0, 0.0), abs=1e-5)
    assert list(similar_pairs(two_best(own, rival, gap).best(1), torch.bincount(own))) == []


def test_a_class_that_others_resemble_stays_in_its_own_frame() -> None:
    """Otherwise those would be led to where it no longer is."""
    own = torch.repeat_interleave(torch.arange(3), torch.tensor([60, 50, 40]))
    rival = torch.tensor([1, 0, 1])[own]
    named = list(similar_pairs(two_best(own, rival, torch.full((150,), 3.0)), torch.bincount(own)))
    assert [(one.k, one.other) for one in named] == [(2, 1)]


# -------------------------------------------------------------------------------------------------- mixtures


def cloud(places: Tensor, noise: Tensor, seed: int = 0) -> Tensor:
    """Points (n, d) about their places (n, p) in the first coordinates, noise (d,) on all."""
    points = noise * torch.randn(len(places), len(noise), generator=generator(seed))
    points[:, : places.shape[1]] += places
    return points


def test_noise_along_a_difference_is_the_mean_of_squared_variances_over_that_of_variances() -> None:
    deviation = torch.linspace(0.5, 2.0, 400)
    found = Products(cloud(torch.zeros(500, 1), deviation)).noise
    variance = deviation.square()
    assert found == pytest.approx(float(variance.square().mean() / variance.mean()), rel=0.05)


def test_wrong_labels_do_not_hold_particles_by_their_own_noise() -> None:
    """Means of few in many dimensions: compared with itself each would stay where it is."""
    points, half = cloud(torch.zeros(100, 1), torch.ones(2000)), torch.arange(100) % 2
    means = torch.stack([points[half == k].mean(0) for k in (0, 1)])
    assert torch.equal(torch.cdist(points, means).argmin(1), half)
    found = Products(points).mixture(torch.nn.functional.one_hot(half, 2).float())
    assert 0.3 < float((found.view == half).float().mean()) < 0.7


@pytest.mark.parametrize("sizes", [(150, 150), (220, 80), (100, 100, 100)])
def test_views_are_found_whatever_the_labels_were(sizes: tuple[int, ...]) -> None:
    truth = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    points = cloud(7.0 * torch.nn.functional.one_hot(truth, 3).float(), torch.ones(100))
    label = torch.arange(300) % 2
    found = views_of(points, label, 4, generator())
    assert int(found.max()) + 1 == len(sizes)
    assert right(found, truth) > 0.97


def test_labels_stay_where_nothing_sound_is_found() -> None:
    label = (torch.arange(12) < 4).long()
    assert torch.equal(views_of(torch.randn(12, 30, generator=generator()), label, 3, generator()), label)


# -------------------------------------------------------------------------------------------------- families


def posed(views: tuple[tuple[Spot, ...], ...], which: Tensor, noise: float) -> tuple[BandSample, Tensor]:
    band, poses = Band.make(BOX, RADIUS), random_poses(len(which), 4.0)
    images = torch.cat([stack(BOX, views[k], poses[i : i + 1]) for i, k in enumerate(which.tolist())])
    particles = as_particles(images, band, noise)
    return BandSample.make(particles, torch.arange(len(which)) % 2, MaskShape(BOX / 2 - 4)), poses


def test_a_badly_split_family_is_split_again_and_others_are_left_alone() -> None:
    truth = torch.repeat_interleave(torch.arange(3), torch.tensor([120, 120, 60]))
    band_sample, poses = posed((BAR, TWIN, CORNER), truth, 0.2)
    label = truth.clone()
    label[:120:3], label[120:240:3] = 1, 0
    # Class 1 has a frame of its own, a quarter of a turn off.
    matches, frame = matches_of(label, poses), Frame(math.pi / 2, 1.0, 0.5)
    away = torch.nonzero(label == 1)[:, 0]
    back = Frame(-math.pi / 2, 0.5, -1.0)
    matches.put(away, back.moved(matches.rows(away)))
    joined = in_common_frame(matches, [SimilarPair(1, 0, frame)], 3)
    assert torch.allclose(joined.matches.shift_x[:, 0], poses[:, 1], atol=1e-4)
    assert joined.family.tolist() == [0, 0, 1]
    separated = separated_views(Families(band_sample, joined), 3, generator())
    assert separated.family.tolist() == [0, 0, 1]
    found = separated.matches.classes[:, 0]
    assert right(label, truth) < 0.8
    assert right(found, truth) > 0.95
    assert torch.equal(found == 2, truth == 2)


def test_a_third_view_in_a_family_becomes_a_class_where_there_is_room() -> None:
    truth = torch.arange(240) % 3
    third = (*BAR[:2], (0.2, 0.08, 0.06, 0.7))
    band_sample, poses = posed((BAR, TWIN, third), truth, 0.2)
    joined = FamilyClasses(matches_of((truth > 0).long(), poses), torch.tensor([0, 0]))
    for most, expected in ((3, 3), (2, 2)):
        separated = separated_views(Families(band_sample, joined), most, generator())
        assert separated.family.tolist() == expected * [0]
        assert right(separated.matches.classes[:, 0], truth) > (0.95 if expected == 3 else 0.6)


def test_neighbours_on_a_line_are_cut_along_it() -> None:
    """The inner two differ too little to be told apart on their own; the third shows where to look."""
    truth = torch.repeat_interleave(torch.arange(3), 150)
    points = cloud(torch.tensor([0.0, 2.0, 7.0])[truth][:, None], torch.ones(600))
    inner = torch.arange(300)
    together = FamilyCuts(points).cut(0, 1, inner, torch.inf)
    alone = FamilyCuts(points[:300]).cut(0, 1, inner, torch.inf)

    def halves_right(cut: Cut) -> float:
        return right(torch.zeros(300, dtype=torch.long).index_fill_(0, cut.new, 1), truth[:300])

    assert len(together.new) == len(together.kept) == 150
    assert halves_right(together) > 0.8
    assert halves_right(alone) < halves_right(together)
