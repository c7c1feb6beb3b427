"""Views are counted from averages, and one that holds far more particles than the others is noticed."""

from __future__ import annotations

import numpy as np
from averages_of_views import average, noisy, view

from alignpca2d_core.choosing.class_distances import distances_and_errors
from alignpca2d_core.choosing.view_coverage import ViewCoverage, view_coverage


def seen(of: list[int], sizes: list[int], counted: list[bool] | None = None, noise: float = 0.1) -> ViewCoverage | None:
    """The coverage of classes of these views, each turned otherwise."""
    averages, frc = noisy([average(view(v), 37.0 * k) for k, v in enumerate(of)], noise)
    every = np.ones(len(of), dtype=bool) if counted is None else np.array(counted)
    return view_coverage(*distances_and_errors(averages, frc), np.array(sizes), every)


def test_views_are_counted_however_many_classes_they_have() -> None:
    found = seen([0, 1, 2, 3, 4, 5, 0, 0], [50, 90, 90, 90, 90, 90, 20, 20])
    assert found is not None
    assert found.fewest <= found.views == 6 <= found.most
    assert np.allclose(found.share, [90 / 540] * 6)
    assert sorted(map(sorted, found.classes)) == [[0, 6, 7], [1], [2], [3], [4], [5]]
    assert not found.is_preferred


def test_a_preferred_view_is_noticed_and_named() -> None:
    found = seen([0, 1, 2, 3, 4, 5, 0, 0, 0], [90, 40, 40, 40, 40, 40, 90, 100, 90])
    assert found is not None
    assert found.is_preferred
    assert found.classes[0] == (7, 0, 6, 8)
    assert np.isclose(found.share[0], 370 / 570)
    assert np.isclose(found.times_usual, 370 / 40)


def test_junk_and_too_few_views_give_no_alarm() -> None:
    sizes = [900, 40, 40, 40, 40, 40]
    found = seen([0, 1, 2, 3, 4, 5], sizes)
    assert found is not None
    assert found.is_preferred
    found = seen([0, 1, 2, 3, 4, 5], sizes, [False, *[True] * 5])
    assert found is not None
    assert (found.views, found.is_preferred) == (5, False)
    found = seen([0, 1, 2], [900, 40, 40])
    assert found is not None
    assert not found.is_preferred
    assert seen([0, 1, 2], [9, 9, 9], [False] * 3) is None


def test_noise_widens_the_interval() -> None:
    """Views between which a particle bends: whether they are one view only clear averages tell."""
    bent = [view(0) + 0.6 * step * np.array([0.0, 1.0]) * (view(0)[:, :1] > 0) for step in range(8)]
    widths = []
    for noise in (0.02, 0.3):
        averages, frc = noisy([average(one, 50.0 * k) for k, one in enumerate(bent)], noise)
        found = view_coverage(*distances_and_errors(averages, frc), np.full(8, 50), np.ones(8, dtype=bool))
        assert found is not None
        assert found.fewest <= found.views <= found.most
        widths.append(found.most - found.fewest)
    assert widths[1] > widths[0]


def test_errors_are_those_that_repeated_noise_shows() -> None:
    clean = [average(view(0)), average(view(1), 20)]
    found = [distances_and_errors(*noisy(clean, 0.15, seed)) for seed in range(15)]
    spread = np.std([distance[0, 1] for distance, _ in found])
    stated = np.mean([error[0, 1] for _, error in found])
    assert 0.4 * stated < spread < 1.5 * stated
