"""``--preset paper``: its grids about accumulated shifts, its rounds, its one unit and its PCA."""

from __future__ import annotations

import pytest
import torch
from blobs import BAR, CORNER, TRIANGLE, as_particles, random_poses, spots, stack
from simulated import SimulatedSet, one_thread

from alignpca2d_core.alignment.fourier_pca import FourierPCA
from alignpca2d_core.classification.paper_preset import MOST_ROUNDS, PaperClassifier, paper_schedule
from alignpca2d_core.classification.stages import Sample
from alignpca2d_core.fourier.band import Band
from alignpca2d_core.io.particle_reading import read_particles
from alignpca2d_core.preprocessing.prepared_run import Run
from alignpca2d_core.runtime.progress import Progress
from alignpca2d_core.settings import Settings

BOX = 32


@pytest.fixture(scope="module")
def small_set(tmp_path_factory: pytest.TempPathFactory) -> SimulatedSet:
    return SimulatedSet.make(tmp_path_factory.mktemp("paper"), particles=120)


def classifier(data: SimulatedSet, **settings: object) -> tuple[PaperClassifier, Sample]:
    """One that has learned its PCA, and the sample that it has read."""
    wanted = {"classes": 3, "resolution": 16.0, "threads": 1, "quiet": True, "preset": "paper", **settings}
    run = Run(read_particles(data.metadata), Settings(**wanted), Progress(quiet=True))  # type: ignore[arg-type]
    made = PaperClassifier(run.settings, run.source(), run.band, run.mask, run.progress)
    return made, made.learn()


def test_grids_end_at_two_degrees_and_a_pixel() -> None:
    schedule = paper_schedule(Band.make(128, 28.3))
    levels = (schedule.exhaustive, *schedule.local)
    assert [level.rotation_step for level in levels] == [8.0, 4.0, 2.0]
    assert [level.shift_step for level in levels] == pytest.approx([5.0, 2.5, 1.0])
    assert len(schedule.exhaustive.shifts(schedule.reach)) == 49


def test_a_finer_grid_brings_class_and_pose_nearer_about_the_accumulated_shift(small_set: SimulatedSet) -> None:
    """A particle in a wrong class, at a shift between the nodes of every grid, is found within half a step."""
    with one_thread():
        made, _ = classifier(small_set)
        # All components: those of 120 particles leave out much of the band.
        basis = FourierPCA.restored(1.0, torch.eye(2 * len(made.band)), torch.ones(2 * len(made.band)))
        band, views = made.band, (BAR, TRIANGLE, CORNER)
        references = torch.cat([band.to_vectors(torch.from_numpy(spots(BOX, v))[None]) for v in views])
        poses = random_poses(12, 2.0)
        particles = as_particles(stack(BOX, TRIANGLE, poses), band)
        matches = made.everywhere(particles, references, made.schedule, basis)
        errors = []
        for level in (made.schedule.exhaustive, *made.schedule.local):
            if errors:
                matches.classes.zero_()
                matches = made.around(particles, references, level, matches, basis)
            assert matches.classes[:, 0].tolist() == [1] * 12
            turn = torch.remainder(matches.angle[:, 0] - poses[:, 0] + torch.pi, 2 * torch.pi) - torch.pi
            assert float(turn.abs().max()) <= torch.deg2rad(torch.tensor(1.5 * level.rotation_step))
            off = torch.stack((matches.shift_x[:, 0] - poses[:, 1], matches.shift_y[:, 0] - poses[:, 2]))
            assert float(off.abs().max()) <= level.shift_step
            errors.append(float(off.abs().mean()))
    assert errors[2] < 0.5 * errors[0]


def test_all_frequencies_have_one_unit(small_set: SimulatedSet) -> None:
    """Eq. 10 weighs them by W alone; the vectors at hand are those that are read again."""
    with one_thread():
        made, sample = classifier(small_set)
        noise = made.source.whitening.noise
        torch.testing.assert_close(noise, noise.mean().expand_as(noise))
        rows, again = next(made.source.batches(made.source.rows, 500))
    assert len(rows) == 120
    torch.testing.assert_close(sample.particles.z, again.z)


def test_the_pca_is_learned_from_more_than_the_first_particles(
    small_set: SimulatedSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fewer particles than features span fewer components than the whole set does."""
    with one_thread():
        _, few = classifier(small_set, initial_particles=20, variance=0.99)
        assert len(few.particles) == 20
        assert few.basis.components_.shape[1] > 100
        monkeypatch.setattr("alignpca2d_core.classification.paper_preset.PCA_PARTICLES", 20)
        _, fewer = classifier(small_set, initial_particles=20, variance=0.99)
        assert fewer.basis.components_.shape[1] <= 20


def test_rounds_are_as_many_as_asked_for(small_set: SimulatedSet) -> None:
    with one_thread():
        made, sample = classifier(small_set, iterations=5)
        assert made.rounds() == (1, 2, 2)
        made.discover(sample)
        assert len(made.progress.history["rounds"]) == 5
        settled, sample = classifier(small_set)
        settled.discover(sample)
    assert 6 <= len(settled.progress.history["rounds"]) < sum(MOST_ROUNDS)
