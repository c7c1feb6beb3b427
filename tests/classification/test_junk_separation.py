"""What is usual in each class: worked out for all classes at once, as it is for one alone."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from alignpca2d_core.alignment.matches import Matches
from alignpca2d_core.averaging.noise_scores import CLEAR, NoiseScores
from alignpca2d_core.averaging.placement import Placement
from alignpca2d_core.classification.class_quantiles import medians
from alignpca2d_core.classification.junk_limits import LEAST_ASIDE, limit_within_noise, noise_limit
from alignpca2d_core.classification.junk_separation import Standing, to_set_aside, with_noise_class

CLASSES = 9


def scores(seed: int) -> tuple[Tensor, Tensor]:
    """Scores and classes (n,) of particles; the last class is empty, and some have few members."""
    drawn = torch.Generator().manual_seed(seed)
    classes = torch.randint((CLASSES - 1) ** 2, (500,), generator=drawn).sqrt().long()
    return 6 + 3 * torch.randn(500, generator=drawn), classes


def test_medians_are_those_of_each_class_alone() -> None:
    values, classes = scores(0)
    values[::7] = torch.nan
    found = medians(values, classes, CLASSES)
    for k in range(CLASSES - 1):
        assert found[k] == values[classes == k].nanmedian()
    assert found[-1].isnan()


def test_strays_are_those_of_each_class_alone() -> None:
    score, classes = scores(1)
    noise_like = torch.zeros(CLASSES, dtype=torch.bool)
    noise_like[2] = True
    score[classes == 2] -= 6
    aside = to_set_aside(score, classes, noise_like)
    for k in range(CLASSES - 1):
        own = score[classes == k]
        clear = own[own >= CLEAR]
        limit = noise_limit(score, classes != 2)
        if len(clear) >= LEAST_ASIDE:
            middle, upper = (float(clear.quantile(share)) for share in (0.5, 0.84))
            limit = min(CLEAR, max(limit, middle - 3 * (upper - middle)))
        expected = own < (limit_within_noise(own) if noise_like[k] else limit)
        assert torch.equal(aside[classes == k], expected)
    assert 0 < int((aside & (classes != 2)).sum()) < len(score)


def test_a_faint_class_is_like_noise_only_if_half_of_it_is() -> None:
    drawn = torch.Generator().manual_seed(6)
    strong = 9 + 3 * torch.randn(800, generator=drawn)
    faint, noise = 1.5 + 1.5 * torch.randn(200, generator=drawn), torch.randn(200, generator=drawn)
    score = torch.cat((strong, faint, faint[:60], noise[:140], noise))
    classes = torch.cat((torch.zeros(800, dtype=torch.int64), torch.arange(1, 4).repeat_interleave(200)))
    standing = Standing.of(score, classes, 4)
    assert standing.good.tolist() == [True, False, False, False]
    assert standing.noise_like.tolist() == [False, False, True, True]
    assert bool(standing.suspect[800:].all())


@pytest.mark.parametrize(("particles", "stay"), [(0, False), (20, False), (100, True)])
def test_of_a_class_like_noise_what_is_more_than_noise_stays(particles: int, stay: bool) -> None:
    drawn = torch.Generator().manual_seed(8)
    score = torch.cat((torch.randn(100, generator=drawn), 3 + torch.randn(particles, generator=drawn)))
    limit = limit_within_noise(score)
    assert (limit < torch.inf) == stay
    if stay:
        kept = score >= limit
        assert float(kept[100:].double().mean()) > 0.85
        assert int(kept[:100].sum()) <= 0.35 * int(kept.sum())
    assert limit_within_noise(score[:0]) == torch.inf


def placed(sizes: list[int]) -> Placement:
    classes = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    return Placement(Matches.at_rest(classes), *torch.ones(3, len(classes)))


def test_noise_gets_a_class_that_it_leaves_empty_or_a_new_one_or_the_emptiest() -> None:
    placement, noise_like = placed([50, 40, 30]), torch.tensor([False, True, True])
    aside = torch.arange(120) >= 50
    aside[50:60] = False  # ten stay in the first of the two
    found = with_noise_class(placement, noise_like, aside, 5)
    assert (found.noise_class, found.set_aside) == (2, 60)
    aside[119] = False
    assert with_noise_class(placement, noise_like, aside, 5).noise_class == 3
    full = with_noise_class(placement, noise_like, aside, 3)
    assert (full.noise_class, full.set_aside) == (2, 60)
    assert torch.bincount(full.placement.matches.classes[:, 0]).tolist() == [50, 10, 60]


def test_noise_among_strong_particles_is_set_aside_and_faint_particles_are_not() -> None:
    """Scores of noise are standard normal; those of particles are as wide as they are high."""
    drawn = torch.Generator().manual_seed(3)
    noise = torch.randn(80, generator=drawn)
    for usual, deviation, least in ((20.0, 6.0, 0.95), (8.0, 3.0, 0.7)):
        particles = usual + deviation * torch.randn(720, generator=drawn)
        limit = noise_limit(torch.cat((noise, particles)), torch.ones(800, dtype=torch.bool))
        assert float((noise < limit).double().mean()) >= least
        assert float((particles < limit).double().mean()) <= 0.05
    assert noise_limit(particles[particles > 0], particles[particles > 0] > 0) == 0.0


@pytest.mark.parametrize("faint", [3.0, 4.0, 6.0])
def test_few_faint_particles_are_lost_to_noise(faint: float) -> None:
    """Where scores of particles and of noise overlap, noise stays rather than that particles go."""
    random = torch.Generator().manual_seed(5)
    noise = torch.randn(400, generator=random)
    particles = faint + 2.2 * torch.randn(4000, generator=random)
    limit = noise_limit(torch.cat((noise, particles)), torch.ones(4400, dtype=torch.bool))
    lost_anyhow = float((particles < 0).double().mean())
    assert float((particles < limit).double().mean()) < 2 * lost_anyhow + 0.015


def test_noise_that_is_weaker_than_thought_scores_less() -> None:
    known = NoiseScores(5.0, 0.6)
    weaker = 5.0 * 0.8**0.5
    assert known.of_weaker(0.8) == pytest.approx((weaker - 5.0) / 0.6)
    assert known.of_weaker(1.3) == 0.0


def test_few_join_the_images_of_the_sieve() -> None:
    """Fewer than make a class of their own; where no image was sieved, they stay where they are."""
    matches = Matches.at_rest(torch.arange(90) % 2)
    placement = Placement(matches, torch.full((90,), 9.0), torch.ones(90), torch.ones(90))
    aside, noise_like = torch.arange(90) < LEAST_ASIDE - 10, torch.zeros(2, dtype=torch.bool)
    assert with_noise_class(placement, noise_like, aside, 3).noise_class is None
    together = with_noise_class(placement, noise_like, aside, 3, sieved=10)
    assert together.noise_class == 2
    assert together.set_aside == LEAST_ASIDE - 10
    assert with_noise_class(placement, noise_like, aside, 2, sieved=10).noise_class is None
