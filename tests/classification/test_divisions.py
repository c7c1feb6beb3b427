"""Which division of its view a particle is nearest to, and how certain that is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from alignpca2d_core.alignment.matches import Matches
from alignpca2d_core.averaging.class_averages import average_mask
from alignpca2d_core.averaging.noise_scores import noise_particles
from alignpca2d_core.averaging.templates import Templates
from alignpca2d_core.classification.subdivision.divisions import Divisions
from alignpca2d_core.evaluation.calibration import expected_calibration_error
from alignpca2d_core.fourier.band import Band
from alignpca2d_core.preprocessing.mask_shape import MaskShape
from alignpca2d_core.preprocessing.preprocess import Vectors

BAND, COUNT = Band.make(32, 12.0), 4000
MASK = average_mask(BAND, MaskShape(10.0))
VIEW_OF = torch.tensor([0, 1, 0])
"""Classes 0 and 2 are divisions of one view, class 1 is whole."""


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def references() -> torch.Tensor:
    """Of three classes; 0 and 2 are at a squared distance of 50."""
    white = noise_particles(torch.ones(3, BAND.rings), BAND, MASK, generator(4)).z
    white = BAND.compared(white * torch.exp(-((BAND.ring / 5.0) ** 2)))
    return white * (50.0 / ((white[0] - white[2]).abs() ** 2).sum()).sqrt()


def divisions(references: torch.Tensor, own: float = 0.0) -> Divisions:
    bare = Templates.given(references, BAND)
    return Divisions(replace(bare, own=torch.full_like(bare.own, own)), BAND, VIEW_OF)


def seen(clean: torch.Tensor, noise: float = 1.0) -> Vectors:
    """Particles (n, m) at rest, in noise."""
    white = torch.view_as_complex(torch.randn(*clean.shape, 2, generator=generator(8)))
    return Vectors(clean + noise * white, torch.ones(len(clean), BAND.rings), BAND)


def between(references: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Particles on the line through both divisions and beyond, and whether the second is the nearer one."""
    place = 1.6 * torch.rand(COUNT, generator=generator(7)) - 0.3
    return references[0] + place[:, None] * (references[2] - references[0]), place > 0.5


def test_the_nearest_division_is_one_of_the_own_view(references: torch.Tensor) -> None:
    clean = references[[0, 2, 1, 0]]
    views = Matches.at_rest(torch.tensor([0, 0, 1, 1]))
    nearest = divisions(references).nearest(seen(clean, noise=0.0), views)
    assert nearest[:, 0].tolist() == [0, 2, 1, 1]


def test_divisions_are_as_often_right_as_is_said(references: torch.Tensor) -> None:
    clean, second = between(references)
    particles = seen(clean)
    placed = Matches.at_rest(torch.zeros(COUNT, dtype=torch.int64))
    placed.classes = divisions(references).nearest(particles, placed)
    said = divisions(references).certainty(particles, placed, MASK).numpy()
    right = ((placed.classes[:, 0] == 2) == second).numpy()
    assert expected_calibration_error(said, right) < 0.03
    assert said[~right].mean() < 0.8 < said[right].mean()


def test_all_divisions_together_are_certain(references: torch.Tensor) -> None:
    particles = seen(between(references)[0])
    said = [divisions(references).certainty(particles, Matches.at_rest(torch.full((COUNT,), k)), MASK) for k in (0, 2)]
    np.testing.assert_allclose(said[0] + said[1], 1.0, atol=1e-5)
    whole = divisions(references).certainty(particles, Matches.at_rest(torch.ones(COUNT, dtype=torch.int64)), MASK)
    assert bool((whole == 1).all())


def test_what_a_member_finds_of_itself_makes_its_division_no_more_certain(references: torch.Tensor) -> None:
    clean, _ = between(references)
    placed = Matches.at_rest(torch.zeros(COUNT, dtype=torch.int64))
    bare = divisions(references).certainty(seen(clean), placed, MASK)
    own = divisions(references, own=6.0 / BAND.rings).certainty(seen(clean), placed, MASK)
    assert bool((own <= bare).all())
    # exp((s - 6) / T) over exp(s / T), with the T of their distance, where averages have no noise.
    odds = torch.log(own / (1 - own)) - torch.log(bare / (1 - bare))
    some = (bare > 0.01) & (bare < 0.99)
    np.testing.assert_allclose(odds[some], -6.0 / ((50.0 + 3.0) ** 0.5 / 1.702), rtol=1e-2)
