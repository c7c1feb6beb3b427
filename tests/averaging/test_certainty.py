"""How certain the view of a particle is: as often as it is said, for views on a line between two references."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from alignpca2d_core.alignment.matches import Matches
from alignpca2d_core.alignment.search_grids import Level
from alignpca2d_core.averaging.certainty import figures_of_best
from alignpca2d_core.averaging.class_averages import average_mask
from alignpca2d_core.averaging.noise_scores import noise_particles
from alignpca2d_core.averaging.templates import Templates
from alignpca2d_core.evaluation.calibration import expected_calibration_error
from alignpca2d_core.fourier.band import Band
from alignpca2d_core.preprocessing.mask_shape import MaskShape
from alignpca2d_core.preprocessing.preprocess import Vectors

BAND, LEVEL, COUNT = Band.make(32, 12.0), Level(2.0, 1.0, 12.0), 6000
MASK = average_mask(BAND, MaskShape(10.0))


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def views(square: float) -> torch.Tensor:
    """Two references (2, m) at a squared distance."""
    white = noise_particles(torch.ones(2, BAND.rings), BAND, MASK, generator(4)).z
    white = BAND.compared(white * torch.exp(-((BAND.ring / 5.0) ** 2)))
    return white * (square / ((white[0] - white[1]).abs() ** 2).sum()).sqrt()


def certainty(particles: Vectors, templates: Templates, matches: Matches, before: Matches) -> torch.Tensor:
    """That of the best match of each particle, (n,)."""
    return figures_of_best(particles, templates, LEVEL, matches, before, MASK)[:, 2]


def matched(scores: torch.Tensor) -> Matches:
    """All references at rest, with these scores (n, k)."""
    zero = torch.zeros_like(scores)
    return Matches(torch.arange(scores.shape[1]).expand(scores.shape).clone(), zero, zero.clone(), zero.clone(), scores)


@pytest.fixture(scope="module")
def line():
    """Particles (n) on the line through two views and beyond, in noise, their matches, and whether the view
    that is the better match is the nearer one in truth."""
    references = views(60.0)
    place = 1.6 * torch.rand(COUNT, generator=generator(7)) - 0.3
    q = torch.ones(COUNT, BAND.rings)
    clean = references[0] + place[:, None] * (references[1] - references[0])
    seen = Vectors(clean + torch.view_as_complex(torch.randn(COUNT, len(BAND), 2, generator=generator(8))), q, BAND)
    power = (references.abs() ** 2).sum(1)
    scores = torch.stack([(seen.z * one.conj()).real.sum(1) for one in references], 1) - 0.5 * power
    return references, seen, matched(scores), (scores.argmax(1) == (place > 0.5).long()).numpy()


def test_views_between_two_references_are_as_often_right_as_is_said(line):
    references, seen, matches, right = line
    said = certainty(seen, Templates.given(references, BAND), matches, matches.column(0)).numpy()
    assert expected_calibration_error(said, right) < 0.02
    raw = torch.softmax(matches.score, 1).amax(1).numpy()
    assert expected_calibration_error(raw, right) > 0.04
    assert said[~right].mean() < 0.8 < said[right].mean()


@pytest.mark.parametrize("square", [4.0, 0.0])
def test_the_noise_of_averages_makes_no_view_certain(square: float) -> None:
    """Of averages that differ more in their noise than in what they show, and of copies that differ in noise alone."""
    shown, place = views(square), 1.6 * torch.rand(COUNT, generator=generator(7)) - 0.3
    noise = noise_particles(torch.ones(2, BAND.rings), BAND, MASK, generator(5)).z
    noise = noise * (20.0 / ((noise[0] - noise[1]).abs() ** 2).sum()).sqrt()
    averages = shown + noise
    clean = shown[0] + place[:, None] * (shown[1] - shown[0])
    white = torch.view_as_complex(torch.randn(COUNT, len(BAND), 2, generator=generator(9)))
    seen = Vectors(clean + white, torch.ones(COUNT, BAND.rings), BAND)
    scores = torch.stack([(seen.z * one.conj()).real.sum(1) for one in averages], 1)
    scores -= 0.5 * ((shown.abs() ** 2).sum(1) + (noise.abs() ** 2).sum(1))
    matches = matched(scores)
    right = (scores.argmax(1) == (place > 0.5).long()).numpy()
    bare = Templates.given(averages, BAND)
    known = replace(bare, noise=BAND.ring_sum(noise.abs() ** 2))
    error, before = (
        expected_calibration_error(certainty(seen, some, matches, matches.column(0)).numpy(), right)
        for some in (known, bare)
    )
    assert error < 0.06 < before


def test_what_a_member_finds_of_itself_makes_it_no_more_certain(line):
    references, seen, matches, _ = line
    bare = Templates.given(references, BAND)
    own = torch.full_like(bare.own, 6.0 / BAND.rings)
    raised = matches.clone()
    raised.score[:, 0] += own[0].sum()
    won = matches.score.argmax(1) == 0  # where the noise decides nothing
    said = certainty(seen, bare, matches, matches.column(0))
    again = certainty(seen, replace(bare, own=own), raised, matches.column(0))
    np.testing.assert_allclose(again[won], said[won], atol=1e-5)
    assert float(again[raised.score.argmax(1) != matches.score.argmax(1)].max()) < 0.5


def test_a_third_view_makes_it_less_certain_and_no_other_makes_it_sure(line):
    references, seen, matches, _ = line
    two, three = (Templates.given(references[list(some)], BAND) for some in ((0, 1), (0, 1, 1)))
    before, first = matches.column(0), matches.score.argmax(1) == 0
    more = matched(torch.cat((matches.score, matches.score[:, 1:]), 1))
    said = certainty(seen, two, matches, before)[first]
    less = certainty(seen, three, more, before)[first]
    np.testing.assert_allclose(1 / less - 1, 2 * (1 / said - 1), rtol=1e-3, atol=1e-5)
    assert bool((certainty(seen, two, before, before) == 1).all())
    unmatched = matched(matches.score.clone())
    unmatched.score[:, 1] = -torch.inf
    assert bool((certainty(seen, two, unmatched, before) == 1).all())
