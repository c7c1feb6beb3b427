"""Scores against noise: what they are for noise, for particles, for what is neither; and what is made of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from simulated import SimulatedSet, run

from alignpca2d_core.alignment.matches import Matches
from alignpca2d_core.alignment.search_grids import Level
from alignpca2d_core.averaging.class_averages import ClassSums, accumulate, average_mask, averages, filtered
from alignpca2d_core.averaging.noise_scores import (
    CLEAR,
    equal_odds,
    matched_filter,
    matched_filter_ratio,
    noise_particles,
)
from alignpca2d_core.averaging.templates import Templates
from alignpca2d_core.classification.junk_limits import misfit_limit
from alignpca2d_core.classification.junk_separation import Standing, to_set_aside
from alignpca2d_core.evaluation.evaluate import read_truth
from alignpca2d_core.fourier.band import Band
from alignpca2d_core.io.particle_reading import read_particles
from alignpca2d_core.preprocessing.mask_shape import MaskShape
from alignpca2d_core.preprocessing.preprocess import Vectors
from alignpca2d_core.results.result_files import Classification

BAND = Band.make(32, 12.0)
LEVEL = Level(2.0, 1.0, 12.0)
NOISE, POWER = 400, 100.0


def generator(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def reference() -> torch.Tensor:
    """One template (1, m) of a known power, most of it on the low rings."""
    white = noise_particles(torch.ones(1, BAND.rings), BAND, average_mask(BAND, MaskShape(10.0)), generator(4)).z
    white = white * torch.exp(-((BAND.ring / 5.0) ** 2))
    white[:, 0] = 0
    return white * (POWER / (white.abs() ** 2).sum()).sqrt()


def still(count: int) -> Matches:
    """Particles of the first class, where they are."""
    zero = torch.zeros(count, 1)
    return Matches(zero.long(), zero, zero.clone(), zero.clone(), zero.clone())


def noise(q: torch.Tensor) -> Vectors:
    return noise_particles(q, BAND, torch.ones(BAND.work_box, BAND.work_box), generator())


def ctf_square() -> torch.Tensor:
    return 0.2 + 1.6 * torch.rand(NOISE, BAND.rings, generator=generator())


def test_ratio_of_noise_at_one_pose_is_about_standard_normal_whatever_the_ctf() -> None:
    """Narrower, because what few rings hold by chance counts against a particle, never for it."""
    ratio = matched_filter_ratio(noise(ctf_square()), Templates.given(reference(), BAND), LEVEL, still(NOISE))
    assert float(ratio.mean()) == pytest.approx(0.0, abs=0.15)
    assert 0.6 < float(ratio.std()) < 1.05


def test_ratio_of_particles_is_the_root_of_their_power() -> None:
    particles, x = noise(torch.ones(NOISE, BAND.rings)), reference()
    particles.z += x
    ratio = matched_filter_ratio(particles, Templates.given(x, BAND), LEVEL, still(NOISE))
    assert 0.85 * POWER**0.5 < float(ratio.mean()) < 1.02 * POWER**0.5


def test_what_fits_by_sheer_strength_scores_less_than_what_fits() -> None:
    """Contamination: strong, and like the reference in passing."""
    x = reference()
    blob = 30.0 * torch.exp(-((BAND.ring / 3.0) ** 2)) * BAND.weight
    template = Templates.given(x, BAND)
    particles, other = noise(torch.ones(NOISE, BAND.rings)), noise(torch.ones(NOISE, BAND.rings))
    plain = (x.conj() * blob).real.sum() / POWER**0.5
    particles.z += x
    other.z += blob * torch.sign(plain) * (POWER**0.5 * 1.5 / plain.abs())
    right, wrong = (matched_filter_ratio(one, template, LEVEL, still(NOISE)).mean() for one in (particles, other))
    overlap = ((other.z * x.conj()).real.sum(1) / POWER**0.5).mean()
    assert overlap > 1.3 * POWER**0.5  # by its overlap alone it would beat the particles
    assert wrong < right


def test_misfit_is_one_for_a_particle_and_grows_with_what_else_the_image_holds() -> None:
    x, q = reference(), ctf_square()
    template, particles = Templates.given(x, BAND), noise(q)
    particles.z += q[:, BAND.ring] * x
    neighbour = BAND.shift_ramps(torch.tensor([5.0]), torch.tensor([-4.0])) * x
    both = Vectors(particles.z + q[:, BAND.ring] * neighbour, q, BAND)
    alone, beside = (matched_filter(one, template, LEVEL, still(NOISE))[:, 1] for one in (particles, both))
    assert float(alone.mean()) == pytest.approx(1.0, abs=0.1)
    assert float(beside.median()) > float(alone.quantile(0.99))


@pytest.mark.parametrize("spread", [0.02, 0.17, 0.4])
def test_misfits_are_far_from_the_set_however_wide_it_is(spread: float) -> None:
    """Particles whose views, defoci and ice differ leave more and less; few of them are misfits, whatever the width."""
    usual = torch.exp(spread * torch.randn(5000, generator=generator()) - 0.1)
    others = torch.exp(torch.full((200,), max(5 * spread, 0.6)))
    limit = misfit_limit(torch.cat((usual, others)))
    assert float((usual > limit).double().mean()) < 0.005
    assert bool((others > limit).all())


@pytest.mark.parametrize(("usual", "deviation", "share"), [(8.0, 4.5, 0.1), (5.0, 2.5, 0.3), (4.0, 2.0, 0.15)])
def test_noise_is_as_likely_as_a_particle_at_equal_odds(usual: float, deviation: float, share: float) -> None:
    """Counted: of images just below that score most are noise, just above most are particles."""
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 1, int(2e6 * share))
    particles = rng.normal(usual, deviation, int(2e6 * (1 - share)))
    score = equal_odds(usual, deviation, share)
    assert 0 < score < CLEAR
    below, above = (
        [np.sum((part >= low) & (part < low + 0.1)) for part in (noise, particles)]
        for low in (score - 0.2, score + 0.1)
    )
    assert below[0] > below[1]
    assert above[0] < above[1]


def test_particles_far_from_noise_are_told_at_the_usual_score_and_faint_ones_stay() -> None:
    assert equal_odds(15.0, 2.0, 0.2) == CLEAR
    assert equal_odds(1.0, 1.5, 0.01) == 0.0


def test_members_do_not_profit_from_their_own_noise_in_the_average() -> None:
    particles = noise(ctf_square())
    members = Vectors(particles.z[:12], particles.q[:12], BAND)
    mask = average_mask(BAND, MaskShape(16.0))
    inside = float(mask.mean())
    sums: ClassSums = accumulate(members, still(12), 1, torch.arange(12) % 2)
    average = averages(sums, BAND, mask)
    average.frc.fill_(1.0)  # as where halves agree: nothing is filtered away
    references = filtered(average, BAND)
    naive = matched_filter_ratio(members, Templates.given(references, BAND), LEVEL, still(12)).mean()
    own = matched_filter_ratio(members, Templates.of(references, average, BAND, inside), LEVEL, still(12)).mean()
    assert naive > 5
    assert abs(float(own)) < 0.2 * float(naive)


def test_noise_has_the_units_of_particles() -> None:
    q = ctf_square()
    particles = noise_particles(q, BAND, average_mask(BAND, MaskShape(13.0)), generator())
    power = BAND.ring_mean(particles.z.abs() ** 2) / 2 / q
    assert power.mean(0)[1:] == pytest.approx(np.ones(BAND.rings - 1), abs=0.15)


def test_no_particle_is_suspect_where_no_class_stands_out_of_noise() -> None:
    score = torch.randn(300, generator=generator())
    standing = Standing.of(score, torch.arange(300) % 3, 3)
    assert not bool(standing.suspect.any() | standing.good.any() | standing.noise_like.any())


def test_strays_are_set_aside_and_faint_classes_stay_whole() -> None:
    strong, faint, nothing = (torch.randn(200, generator=generator()) + mean for mean in (15.0, 4.0, 0.0))
    score = torch.cat([strong, nothing[:50], faint[:100], nothing[50:]])
    classes = torch.cat([torch.zeros(250), torch.ones(100), torch.full((150,), 2.0)]).long()
    standing = Standing.of(score, classes, 3)
    assert standing.noise_like.tolist() == [False, False, True]
    assert standing.good.tolist() == [True, False, False]
    aside = to_set_aside(score, classes, standing.noise_like)
    assert aside[:200].sum() == 0
    assert aside[200:250].sum() >= 45
    assert aside[250:350].sum() <= 5
    assert bool(aside[350:].all())


@dataclass(frozen=True)
class Spoiled:
    """A set with noise and particles off centre, and its classification."""

    folder: Path
    result: Classification
    noise: NDArray[np.bool_]
    off_centre: NDArray[np.bool_]

    @property
    def summary(self) -> dict:
        return json.loads((self.folder / "classes" / "summary.json").read_text())


@pytest.fixture(scope="module")
def spoiled(tmp_path_factory: pytest.TempPathFactory) -> Spoiled:
    folder = tmp_path_factory.mktemp("spoiled")
    share = {"noise_fraction": 0.3, "off_centre_fraction": 0.1}
    particles = SimulatedSet.make(folder / "set", particles=600, phantom="domains", **share)
    result = run(particles.metadata, folder / "classes", classes=6)
    truth = np.genfromtxt(folder / "set" / "truth.csv", delimiter=",", names=True)
    return Spoiled(folder, result, truth["noise"] > 0, truth["offCentre"] > 0)


def test_noise_is_in_junk_classes_and_particles_are_not(spoiled: Spoiled) -> None:
    verdict = np.array(spoiled.summary["classes"]["verdict"])
    called = verdict[spoiled.result.assignments] == "junk"
    assert (called & spoiled.noise).sum() >= 0.95 * spoiled.noise.sum()
    assert (called & spoiled.noise).sum() >= 0.95 * called.sum()
    view = read_truth(spoiled.folder / "set" / "truth.csv").view
    kept = [(~called & (view == one)).sum() / (view == one).sum() for one in range(3)]
    assert min(kept) > 0.9


def test_particles_off_centre_are_recovered(spoiled: Spoiled) -> None:
    verdict = np.array(spoiled.summary["classes"]["verdict"])
    there = verdict[spoiled.result.assignments] != "junk"
    assert (there & spoiled.off_centre).sum() >= 0.8 * spoiled.off_centre.sum()
    counts = spoiled.summary["counts"]
    assert counts["recovered"] > 10
    assert counts["set_aside"] == pytest.approx(spoiled.noise.sum(), rel=0.05)


def test_scores_tell_particles_from_noise(spoiled: Spoiled) -> None:
    score, certainty = spoiled.result.score, spoiled.result.certainty
    assert np.median(score[spoiled.noise]) < 1.0
    assert np.mean(score[~spoiled.noise][:, None] > score[spoiled.noise]) > 0.99
    assert certainty is not None
    assert np.all((certainty >= 0) & (certainty <= 1))
    # Three views make five classes, and particles are in doubt between the divisions of one view.
    assert certainty[~spoiled.noise].mean() > 0.7
    assert certainty[spoiled.noise].mean() < 0.1


def test_noise_is_left_as_it_was_picked(spoiled: Spoiled) -> None:
    """Aligned to anything, noise would come to look like it."""
    table = read_particles(spoiled.folder / "classes" / "particles.xmd").table
    for label in ("anglePsi", "shiftX", "shiftY"):
        assert np.mean(table[label][spoiled.noise] == 0) > 0.95
