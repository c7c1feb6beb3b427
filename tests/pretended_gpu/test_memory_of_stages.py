"""Every stage that holds much at once does its work in halves where the GPU's memory ends, and comes to the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from pretended_cuda import Gpus
from simulated import QUICK, SimulatedSet, one_thread
from torch import Tensor

from alignpca2d_core.alignment.exhaustive_search import exhaustive, locate
from alignpca2d_core.alignment.fourier_pca import FourierPCA
from alignpca2d_core.alignment.local_search import refine
from alignpca2d_core.alignment.matches import Matches
from alignpca2d_core.alignment.search_grids import Schedule, nested_schedule
from alignpca2d_core.averaging import class_averages
from alignpca2d_core.averaging.band_sample import BandSample
from alignpca2d_core.averaging.class_averages import accumulate
from alignpca2d_core.averaging.noise_scores import matched_filter_ratio
from alignpca2d_core.averaging.templates import Templates
from alignpca2d_core.classification.discovery.split_search import find_splits
from alignpca2d_core.classification.subdivision.divisions import Divisions
from alignpca2d_core.classification.subdivision.similar_views import family_features
from alignpca2d_core.fourier.band import Band, as_real
from alignpca2d_core.fourier.rotation import turned_images
from alignpca2d_core.io.particle_reading import read_particles
from alignpca2d_core.preprocessing.mask_shape import MaskShape
from alignpca2d_core.preprocessing.prepared_run import Run
from alignpca2d_core.preprocessing.preprocess import Vectors
from alignpca2d_core.runtime import memory
from alignpca2d_core.runtime.progress import Progress
from alignpca2d_core.settings import Settings

BOX, RADIUS, COUNT, CLASSES, MASK = 32, 9.0, 1000, 20, 12.0
SHORT = 0.6
"""Share of what a stage takes, when it has all that it wants, that it is left with."""
CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


@dataclass
class Given:
    """What stages work on, on one device."""

    band: Band
    particles: Vectors
    references: Tensor
    schedule: Schedule
    basis: FourierPCA
    matches: Matches
    halves: Tensor

    @staticmethod
    def make(device: torch.device) -> Given:
        drawn = torch.Generator().manual_seed(0)
        band, schedule = Band.make(BOX, RADIUS, device), nested_schedule(BOX, RADIUS, 0.5)
        z, references = (
            torch.view_as_complex(torch.randn(rows, len(band), 2, generator=drawn)).to(device)
            for rows in (COUNT, CLASSES)
        )
        particles = Vectors(z, torch.rand(COUNT, band.rings, generator=drawn).to(device) + 0.5, band)
        narrow = particles.narrowed(schedule.exhaustive.radius)
        basis = FourierPCA().partial_fit(as_real(narrow.z[:100])).finalize()
        label = torch.randint(CLASSES, (COUNT, 1), generator=drawn)
        angle, x, y, score = torch.rand(4, COUNT, 1, generator=drawn).unbind()
        matches = Matches(label, 6 * angle, x, y, score).to(device)
        halves = torch.arange(COUNT).to(device) % 2
        return Given(band, particles, references, schedule, basis, matches, halves)

    @property
    def band_sample(self) -> BandSample:
        return BandSample.make(self.particles, self.halves, MaskShape(MASK))


def sweep(given: Given) -> Tensor:
    return exhaustive(given.particles, given.references, given.schedule, given.basis, 2).score


def search(given: Given) -> Tensor:
    return locate(given.particles, given.references, given.schedule, given.basis, (3, 2)).score


def refinement(given: Given) -> Tensor:
    return refine(given.particles, given.references, given.band, given.schedule.final, given.matches).score


def scores(given: Given) -> Tensor:
    templates = Templates.given(given.references, given.band)
    return matched_filter_ratio(given.particles, templates, given.schedule.final, given.matches)


def sums(given: Given) -> Tensor:
    return accumulate(given.particles, given.matches, CLASSES, given.halves).total.abs()


def turning(given: Given) -> Tensor:
    return turned_images(given.band, given.particles.z, given.matches.angle[:, 0])


def covariance(given: Given) -> Tensor:
    pca = FourierPCA().fit_vectors(given.particles.z).symmetrise(given.band.symmetries())
    assert pca._scatter is not None
    return pca._scatter / COUNT


def splitting(given: Given) -> Tensor:
    found = find_splits(given.band_sample, given.matches, CLASSES, 10, torch.Generator().manual_seed(1))
    return found.second.float()


def families(given: Given) -> Tensor:
    return family_features(given.band_sample, given.matches, torch.arange(0, COUNT, 2, device=given.band.device))


def nearest_divisions(given: Given) -> Tensor:
    view_of = torch.arange(CLASSES, device=given.band.device) // 4
    views = given.matches.clone()
    views.classes = views.classes // 4
    divisions = Divisions(Templates.given(given.references, given.band), given.band, view_of)
    return divisions.nearest(given.particles, views).float()


def certainty_of_divisions(given: Given) -> Tensor:
    view_of = torch.arange(CLASSES, device=given.band.device) // 4
    divisions = Divisions(Templates.given(given.references, given.band), given.band, view_of)
    return divisions.certainty(given.particles, given.matches.column(0), given.band_sample.mask)


STAGES: dict[str, Callable[[Given], Tensor]] = {
    "stage 1's sweep, with its penalties": sweep,
    "search of all particles": search,
    "refinement": refinement,
    "scores": scores,
    "sums of classes": sums,
    "turning": turning,
    "covariance of the PCA": covariance,
    "splitting classes": splitting,
    "families of look-alike classes": families,
    "nearest divisions": nearest_divisions,
    "certainty of divisions": certainty_of_divisions,
}
"""Besides these, images are prepared, below.  Held whole are the sample and products of 3,000 members of a family."""
MOSTLY = {"splitting classes", "nearest divisions"}
"""Of these the result is a choice, which ties decide otherwise: nearly all are the same."""


@pytest.fixture(autouse=True)
def budgets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decided again in each test."""
    monkeypatch.setattr(memory, "_budgets", {})


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_without_memory_for_all_at_once(pretended: Gpus, name: str) -> None:
    stage = STAGES[name]
    with one_thread(), pretended() as gpu:
        given = Given.make(GPU)
        held = gpu.memory.peak = gpu.memory.allocated
        expected = stage(given).cpu()
        needed = gpu.memory.peak - held
        del given
    memory._budgets.clear()
    with one_thread(), pretended() as gpu:
        given = Given.make(GPU)
        memory.fix_budget(GPU)
        gpu.memory.limit = held + int(SHORT * needed)
        found = stage(given).cpu()
        del given
    assert gpu.memory.refusals > 0, "there was enough for all"
    if name in MOSTLY:
        assert (found == expected).double().mean() > 0.98
    else:
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


def test_preparing_images_without_memory_for_all_at_once(pretended: Gpus, small: SimulatedSet, tmp_path: Path) -> None:
    def vectors(share: float) -> tuple[Tensor, int, int]:
        with one_thread(), pretended() as gpu:
            run = Run(read_particles(small.metadata), Settings(**QUICK, device="cuda"), Progress(quiet=True))
            source = run.source()
            gpu.memory.limit = int(share * gpu.memory.limit)
            gpu.memory.peak = gpu.memory.allocated
            return source.learn(np.arange(150))[1].z.cpu(), gpu.memory.peak, gpu.memory.refusals

    expected, peak, refusals = vectors(1.0)
    assert not refusals
    memory._budgets.clear()
    found, _, refusals = vectors(SHORT * peak / 8 / 2**30)
    assert refusals
    torch.testing.assert_close(found, expected)


def test_more_particles_at_once_than_bins_are_added_bin_by_bin(
    pretended: Gpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wide bands have fewer bins than a GPU takes particles at once."""
    monkeypatch.setattr(class_averages, "BIN_BYTES", 1)
    monkeypatch.setattr(class_averages, "LEAST_BINS", 64)
    expected = Given.make(CPU)
    wanted = accumulate(expected.particles, expected.matches, CLASSES, expected.halves).total
    with pretended():
        given = Given.make(GPU)
        found = accumulate(given.particles, given.matches, CLASSES, given.halves).total.cpu()
    torch.testing.assert_close(found, wanted, atol=1e-3, rtol=1e-3)
