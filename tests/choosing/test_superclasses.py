"""Classes of one view fall into one superclass however they are turned; those of different views do not."""

from __future__ import annotations

import numpy as np
import pytest
from averages_of_views import BOX, average, noisy, view

from alignpca2d_core.choosing.class_distances import class_distances
from alignpca2d_core.choosing.superclasses import CUT, average_linkage, superclasses

TURNS = (0, 17, 101, 200, 288.3)
SHIFTS = ((0.0, 0.0), (1.5, -1.0), (-2.0, 0.5), (0.7, 2.2), (-1.0, -1.0))


@pytest.fixture(scope="module")
def views() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Four views, five turned and moved copies of each with noise, in no order; and the view of each."""
    images = [average(view(v), t, s) for v in range(4) for t, s in zip(TURNS, SHIFTS, strict=True)]
    order = np.random.default_rng(5).permutation(len(images))
    averages, frc = noisy([images[k] for k in order])
    return averages, frc, order // len(TURNS)


def test_copies_at_any_pose_are_near_and_other_views_far(views: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    averages, frc, of = views
    distance = class_distances(averages, frc)
    same = of[:, None] == of
    assert np.array_equal(distance, distance.T)
    assert np.diag(distance).max() == 0
    assert distance[same].max() < 0.6 * CUT
    assert distance[~same].min() > 1.3 * CUT
    found = superclasses(distance, np.full(len(of), 10))
    assert found.count == 4
    assert all(len(set(found.label[of == one])) == 1 for one in range(4))
    ordered = found.label[found.order]
    assert (np.diff(ordered) >= 0).all()  # side by side, and numbered as they stand


def test_stronger_noise_does_not_part_copies() -> None:
    averages, frc = noisy([average(view(v), t) for v in range(2) for t in TURNS], noise=0.35)
    distance = class_distances(averages, frc)
    assert distance[:5, :5].max() < CUT
    assert distance[:5, 5:].min() > CUT


def test_mirror_images_are_one_view_only_where_that_is_asked() -> None:
    averages, frc = noisy([average(view(3), 40), average(view(3), 130, (1, 1), mirror=True), average(view(4))])
    assert class_distances(averages, frc)[0, 1] > CUT
    both = class_distances(averages, frc, mirror=True)
    assert both[0, 1] < 0.6 * CUT
    assert both[0, 2] > CUT


def test_an_average_of_nothing_is_like_nothing() -> None:
    """Of noise, whose halves do not agree, and of a blob, of which there is no telling what it shows."""
    rows, columns = np.mgrid[:BOX, :BOX] - BOX // 2
    blob = 3 * np.exp(-(rows**2 + columns**2) / (2 * 9.0**2))
    averages, frc = noisy([average(view(0)), average(view(0), 77), blob, 0 * blob])
    distance = class_distances(averages, frc)
    assert distance[0, 1] < CUT
    assert (distance[2:, :2] == 1).all()
    assert superclasses(distance, np.array([5, 4, 12, 1])).label.tolist() == [1, 1, 0, 2]


def test_joins_are_those_of_scipy() -> None:
    hierarchy = pytest.importorskip("scipy.cluster.hierarchy", reason="scipy is not installed")
    points = np.random.default_rng(1).normal(size=(40, 3))
    distance = np.linalg.norm(points[:, None] - points, axis=2)
    theirs = hierarchy.linkage(distance[np.triu_indices(40, 1)], "average")
    ours = average_linkage(distance)
    assert [sorted(one[:2]) for one in ours] == [sorted(map(int, row[:2])) for row in theirs]
    assert [one[2] for one in ours] == pytest.approx(list(theirs[:, 2]))
    label = superclasses(distance, np.ones(40, dtype=np.int64), 1.1).label
    assert len(np.unique(label)) == len(np.unique(hierarchy.fcluster(theirs, 1.1, "distance")))


@pytest.mark.parametrize("count", [1, 2])
def test_few_classes(count: int) -> None:
    averages, frc = noisy([average(view(0), turn) for turn in TURNS[:count]])
    found = superclasses(class_distances(averages, frc), np.ones(count, dtype=np.int64))
    assert found.order.tolist() == list(range(count))
    assert found.count == 1
