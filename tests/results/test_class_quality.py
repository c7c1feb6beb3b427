"""Verdicts on classes: each follows from what the figures of a class say of it."""

import numpy as np
import pytest

from alignpca2d_core.results.class_quality import ClassVerdicts, ScoreMoments, judge, relative_bulk, relative_detail
from alignpca2d_core.settings import Settings

RINGS = 25


def halves(members: np.ndarray, cutoff: float, strength: float = 1.0) -> np.ndarray:
    """FRC of classes of so many particles, whose signal falls off with a B-factor; (k, rings)."""
    particle = strength * 0.2 * np.exp(-((np.arange(RINGS) / cutoff) ** 2))
    expected = np.atleast_1d(members)[:, None] * particle / 2
    return expected / (1 + expected)


def moments(sizes: list[int], means: list[float], deviation: float = 1.0) -> ScoreMoments:
    """Of normally distributed scores."""
    rng = np.random.default_rng(0)
    scores = [rng.normal(mean, deviation, size) for size, mean in zip(sizes, means, strict=True)]
    return ScoreMoments.of(np.concatenate(scores), np.repeat(np.arange(len(sizes)), sizes), len(sizes))


def averages(strength: list[float]) -> np.ndarray:
    """Blobs of so much amplitude, (k, 50, 50)."""
    y, x = np.mgrid[:50, :50] - 25
    return np.array(strength)[:, None, None] * np.exp(-(x**2 + y**2) / 200).astype(np.float32)


def judged(
    sizes: list[int],
    means: list[float],
    frc: np.ndarray,
    deviation: float = 1.0,
    strength: list[float] | None = None,
) -> ClassVerdicts:
    images = averages([1.0] * len(sizes) if strength is None else strength)
    return judge(frc, np.array(sizes), moments(sizes, means, deviation), images)


def test_a_class_far_bulkier_than_the_others_is_junk_whatever_its_detail() -> None:
    sizes = [200, 200, 200, 40, 40]
    found = judged(sizes, [15.0] * 5, halves(np.array(sizes), 10.0), strength=[1.0, 1.2, 0.9, 3.0, 2.0])
    assert found.verdict == ("good", "good", "good", "junk", "doubtful")
    assert found.bulk == pytest.approx([1.0, 1.44, 0.81, 9.0, 4.0], rel=0.2)


def test_the_noise_of_a_small_class_is_no_bulk() -> None:
    sizes = np.array([200, 200, 6])
    images = averages([1.0, 1.0, 1.0]) + np.random.default_rng(1).normal(0, [[[0]], [[0]], [[6]]], (3, 50, 50))
    frc = halves(sizes, 10.0)
    frc[2] = 0.05
    assert relative_bulk(images.astype(np.float32), frc, sizes, np.ones(3, dtype=bool))[2] < 3


def test_classes_alike_are_all_good_whatever_their_size() -> None:
    sizes = [2000, 300, 50, 12]
    found = judged(sizes, [15.0] * 4, halves(np.array(sizes), 10.0))
    assert found.verdict == ("good",) * 4
    assert list(found.quality) == sorted(found.quality, reverse=True)
    assert found.detail == pytest.approx(np.ones(4), abs=0.05)


def test_noise_is_junk_even_where_its_halves_agree() -> None:
    sizes = [200, 200, 200]
    found = judged(sizes, [15.0, 12.0, 0.5], halves(np.array(sizes), 10.0))
    assert found.verdict == ("good", "good", "junk")
    assert found.clear[2] < 0.05
    assert found.quality[2] < 0.05 < found.quality[1]


def test_what_is_strong_but_has_no_detail_is_junk() -> None:
    sizes = [200, 200, 200, 40]
    frc = np.concatenate([halves(np.array(sizes[:3]), 10.0), halves(np.array(sizes[3:]), 3.0, strength=20.0)])
    found = judged(sizes, [15.0, 15.0, 15.0, 40.0], frc)
    assert found.verdict == ("good", "good", "good", "junk")
    assert found.strength[3] > 2


def test_views_of_faint_particles_that_are_mixed_are_no_junk() -> None:
    """They fit as well as others do, and are no bulkier, but their average has no detail."""
    sizes = [100, 100, 100, 100]
    frc = np.concatenate([halves(np.array(sizes[:3]), 10.0), halves(np.array(sizes[3:]), 3.0)])
    found = judged(sizes, [5.0, 5.0, 5.0, 5.4], frc)
    assert found.detail[3] < 0.5
    assert found.verdict[3] == "doubtful"


def test_what_was_set_aside_is_junk_whatever_it_looks_like() -> None:
    sizes = np.array([100, 100, 100])
    given = (halves(sizes, 10.0), sizes, moments(sizes.tolist(), [15.0, 15.0, 12.0], 1.0), averages([1.0] * 3))
    assert judge(*given).verdict == ("good", "good", "good")
    assert judge(*given, aside=np.array([False, False, True])).verdict == ("good", "good", "junk")


def test_few_particles_are_not_blamed_for_what_few_particles_lack() -> None:
    sizes = np.array([400, 400, 8])
    frc = halves(sizes, 6.0)
    assert frc[2, 1:].mean() < 0.5 * frc[0, 1:].mean()
    assert relative_detail(frc, sizes, np.array([True, True, True]))[2] > 0.9


def test_mixed_views_are_doubtful() -> None:
    sizes = [200, 200, 100]
    found = judged(sizes, [15.0, 15.0, 7.0], halves(np.array(sizes), 10.0))
    assert found.verdict == ("good", "good", "doubtful")


def test_weak_particles_are_no_junk() -> None:
    """Scores close to those of noise, as small proteins have: what is not told from noise well is doubtful."""
    found = judged([300, 300, 300], [4.0, 3.6, 0.0], halves(np.array([300] * 3), 8.0))
    assert found.verdict[2] == "junk"
    assert "junk" not in found.verdict[:2]


def test_a_set_of_faint_particles_is_doubtful_and_its_noise_is_junk() -> None:
    """Where a third of the usual members is clear of noise, a class of which a fifth is holds particles as well."""
    found = judged([300, 300, 300], [2.5, 2.2, 0.0], halves(np.array([300] * 3), 8.0))
    assert found.clear[:2].max() < 0.4
    assert found.verdict == ("doubtful", "doubtful", "junk")


def test_a_faint_class_among_strong_ones_is_doubtful_and_noise_is_junk() -> None:
    """Particles in thick ice: hardly one of them is clear of noise alone, all together are."""
    sizes = [200, 200, 90, 90]
    found = judged(sizes, [8.0, 7.0, 1.5, 0.0], halves(np.array(sizes), 10.0))
    assert found.clear[2] < 0.1
    assert found.verdict == ("good", "good", "doubtful", "junk")


def test_faint_particles_are_held_against_what_is_usual_among_them() -> None:
    """Where three quarters of the usual members are clear of noise, so many make a class good; half of that do not."""
    found = judged([300, 300, 300, 300], [3.7, 3.7, 3.6, 2.6], halves(np.array([300] * 4), 8.0))
    assert 0.6 < found.clear[2] < 0.8
    assert found.clear[3] < 0.5
    assert found.verdict == ("good", "good", "good", "doubtful")


def test_nothing_but_noise_and_empty_classes() -> None:
    found = judged([100, 100, 0], [0.0, 0.0, 0.0], np.zeros((3, RINGS)))
    assert found.verdict == ("junk",) * 3
    assert np.isfinite(found.quality).all()
    assert np.isfinite(found.detail).all()


def test_moments_of_batches_add_up() -> None:
    rng = np.random.default_rng(1)
    score, classes = rng.normal(4.0, 2.0, 60), rng.integers(0, 3, 60)
    whole = ScoreMoments.of(score, classes, 4)
    parts = ScoreMoments.of(score[:25], classes[:25], 4) + ScoreMoments.of(score[25:], classes[25:], 4)
    for name in ("mean", "deviation", "clear_share"):
        np.testing.assert_allclose(getattr(parts, name), getattr(whole, name))
    assert whole.mean[1] == pytest.approx(score[classes == 1].mean())
    assert whole.deviation[1] == pytest.approx(score[classes == 1].std())
    assert whole.clear_share[3] == 0


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({}, ("good", "good", "good", "junk")),
        ({"good_score": 13.0}, ("good", "good", "doubtful", "junk")),
        ({"good_resolution": 9.0}, ("good", "doubtful", "doubtful", "junk")),
        ({"good_particles": 150}, ("good", "doubtful", "good", "junk")),
        ({"good_score": 13.0, "good_particles": 150}, ("good", "doubtful", "doubtful", "junk")),
        ({"good_resolution": 500.0}, ("good", "good", "doubtful", "junk")),  # none is known of the third
    ],
)
def test_limits_of_the_user_make_good_classes_doubtful_and_no_class_junk(
    limits: dict[str, float], expected: tuple[str, ...]
) -> None:
    sizes = [400, 100, 200, 200]
    found = judged(sizes, [15.0, 14.0, 12.0, 0.5], halves(np.array(sizes), 10.0))
    resolution = np.array([8.0, 9.1, np.nan, 8.0])
    assert found.within(Settings(**limits), resolution, np.array(sizes)).verdict == expected
