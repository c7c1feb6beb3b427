"""Own noise: what is taken off is what the particle finds of itself, wherever it is looked for."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from alignpca2d_core.alignment.matches import Matches
from alignpca2d_core.averaging.band_sample import BandSample
from alignpca2d_core.averaging.class_averages import PRIOR, masked
from alignpca2d_core.averaging.self_noise import without_self_noise
from alignpca2d_core.averaging.templates import Templates
from alignpca2d_core.fourier.band import Band
from alignpca2d_core.preprocessing.mask_shape import MaskShape
from alignpca2d_core.preprocessing.preprocess import Vectors

BOX, RADIUS, MASK_RADIUS = 48, 10.0, 18.0
MEMBERS = 40


def noise_in_two_classes(seed: int, mask_radius: float) -> tuple[BandSample, Tensor]:
    """Particles of nothing but noise, dealt out to two classes."""
    generator = torch.Generator().manual_seed(seed)
    band = Band.make(BOX, RADIUS)
    z = torch.view_as_complex(torch.randn(2 * MEMBERS, len(band), 2, generator=generator))
    particles = Vectors(z, torch.ones(len(z), band.rings), band)
    halves = torch.arange(len(z)) % 2
    return BandSample.make(particles, halves, MaskShape(mask_radius)), torch.arange(len(z)) // MEMBERS


def scores_at_rest(particles: Vectors, references: Tensor) -> Tensor:
    """Re<z, x> - |x|²/2 of each particle with each reference, as it lies; (n, k)."""
    band = particles.band
    overlap = torch.stack([band.ring_sum((particles.z * x.conj()).real).sum(1) for x in references], 1)
    return overlap - 0.5 * torch.stack([band.ring_sum(x.abs() ** 2).sum() for x in references])


def in_classes(classes: Tensor, scores: Tensor) -> Matches:
    """Matches (n, kept) at rest."""
    still = torch.zeros_like(scores)
    return Matches(classes, still, still.clone(), still.clone(), scores)


def test_noise_prefers_its_own_average_until_what_it_finds_of_itself_is_taken_off() -> None:
    """Against the scores with averages that really lack the particle."""
    band_sample, before = noise_in_two_classes(0, 1e6)
    particles, band = band_sample.particles, band_sample.particles.band
    average = band_sample.average(Matches.at_rest(before), 2)
    templates = Templates.of(average.mean, average, band)
    scores = scores_at_rest(particles, average.mean)
    own = scores.gather(1, before[:, None])[:, 0]
    other = scores.gather(1, 1 - before[:, None])[:, 0]
    assert float((own - other).mean()) > 0.5 * len(band) / MEMBERS
    found = in_classes(torch.arange(2).expand(len(scores), -1), scores)
    cleared = without_self_noise(
        found, particles, templates, Matches.at_rest(before), torch.ones_like(band_sample.mask)
    )
    assert torch.equal(cleared.score.gather(1, 1 - before[:, None])[:, 0], other)
    mine = cleared.score.gather(1, before[:, None])[:, 0]
    truly = torch.empty(len(before))
    for i, k in enumerate(before.tolist()):
        others = torch.arange(len(before)) != i
        average = band_sample.rows(others).average(Matches.at_rest(before[others]), 2)
        truly[i] = scores_at_rest(particles.rows(slice(i, i + 1)), average.mean[k : k + 1])
    bias = float((own - truly).mean())
    assert bias > 10 * abs(float((mine - truly).mean()))


@pytest.mark.parametrize(
    ("angle", "x", "y"),
    [(0.0, 0.0, 0.0), (0.03, 0.0, 0.0), (0.08, 0.0, 0.0), (0.0, 0.7, 0.0), (0.0, 1.5, -1.0), (-0.05, -0.5, 0.6)],
)
def test_of_noise_turned_and_shifted_only_what_agrees_is_taken_off(angle: float, x: float, y: float) -> None:
    """Against the product of each image of noise with itself, masked, turned and shifted."""
    band_sample, before = noise_in_two_classes(1, MASK_RADIUS)
    particles, band = band_sample.particles, band_sample.particles.band
    inside = float(band_sample.mask.mean())
    average = band_sample.average(Matches.at_rest(before), 2)
    templates = Templates.of(average.mean, average, band, inside)
    turned = band.rotate_all(masked(particles.z, band, band_sample.mask), torch.tensor([angle]))[:, 0]
    again = turned * band.shift_ramps(torch.tensor([x]), torch.tensor([y]))
    itself = band.ring_sum((particles.z * again.conj()).real).sum(1) / (MEMBERS + PRIOR)
    poses = [torch.full((len(before), 1), value) for value in (angle, x, y, 0.0)]
    cleared = without_self_noise(
        Matches(before[:, None], *poses), particles, templates, Matches.at_rest(before), band_sample.mask
    )
    taken_off, whole = -float(cleared.score.mean()), inside * 2 * len(band) / MEMBERS
    assert taken_off == pytest.approx(float(itself.mean()), abs=0.05 * whole)


def test_in_other_classes_nothing_is_taken_off() -> None:
    band = Band.make(BOX, RADIUS)
    particles = Vectors(torch.zeros(2, len(band), dtype=torch.complex64), torch.ones(2, band.rings), band)
    own = torch.zeros(2, band.rings)
    own[0, 0] = 3.0
    templates = Templates(torch.zeros(2, len(band), dtype=torch.complex64), torch.zeros(2, band.rings), own, own)
    found = in_classes(torch.tensor([[0, 1], [1, 0]]), torch.tensor([[5.0, 4.0], [5.0, 4.0]]))
    members = Matches.at_rest(torch.tensor([0, 0]))
    left = without_self_noise(found, particles, templates, members, torch.ones(band.work_box, band.work_box))
    assert left.score.flatten().tolist() == pytest.approx([2.0, 4.0, 5.0, 1.0], abs=1e-5)
    assert left.best(1).classes.tolist() == [[1], [1]]
