"""From images to classes, end to end on small sets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import pytest
import torch
from particle_files import ParticleFiles, two_views
from simulated import SimulatedSet, run, same_partition

from alignpca2d_core.errors import InputError
from alignpca2d_core.fourier.band import Band
from alignpca2d_core.fourier.rigid_transforms import apply
from alignpca2d_core.io.particle_reading import read_particles
from alignpca2d_core.preprocessing.vector_cache import VectorCache
from alignpca2d_core.results.result_files import Classification, read_results
from alignpca2d_core.state.checkpoint import Checkpoint

NAN_ON_PURPOSE = pytest.mark.filterwarnings("ignore:Data array contains NaN values")
FILES = ("particles.xmd", "classes.xmd", "classes.mrcs")


@pytest.fixture(scope="module")
def three_views(tmp_path_factory: pytest.TempPathFactory) -> SimulatedSet:
    return SimulatedSet.make(tmp_path_factory.mktemp("three_views"))


@pytest.fixture(scope="module")
def undisturbed(three_views: SimulatedSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("undisturbed")
    run(three_views.metadata, directory, classes=5)
    return directory


def contents(directory: Path) -> dict[str, bytes]:
    return {name: (directory / name).read_bytes() for name in FILES}


def check(result: Classification, particles: int, classes: int) -> None:
    """What holds for every classification."""
    assert len(result) == classes
    used = result.assignments[result.assignments >= 0]
    assert len(used) == particles
    assert np.array_equal(np.bincount(used, minlength=classes), result.sizes)
    assert result.sizes.min() >= 1
    assert np.all(np.diff(result.sizes) <= 0)
    assert np.isfinite(result.averages).all()
    assert np.all(result.averages.std((1, 2)) > 0)
    assert np.isfinite(result.resolution_angstrom).all()
    assert np.all((result.quality >= 0) & (result.quality <= 1))


# ------------------------------------------------------------------------------------------------ accuracy


def test_views_are_told_apart_and_aligned(three_views: SimulatedSet, undisturbed: Path) -> None:
    _, result = read_results(undisturbed)
    check(result, 300, 5)
    figures = three_views.figures(undisturbed)
    assert figures["purity"] >= 0.99
    assert figures["views_covered"] == 3
    assert figures["pose_within"] >= 0.97
    assert figures["average_correlation"] > 0.95
    assert figures["worst_average_correlation"] > 0.9


@pytest.mark.parametrize("seed", [1, 2])
def test_other_seeds_find_the_same(three_views: SimulatedSet, tmp_path: Path, seed: int) -> None:
    run(three_views.metadata, tmp_path, seed=seed)
    figures = three_views.figures(tmp_path)
    assert figures["purity"] >= 0.99
    assert figures["views_covered"] == 3


@pytest.mark.parametrize(
    ("simulation", "options"),
    [
        ({"no_ctf": True}, {}),
        ({}, {"ctf": "wiener"}),
        ({"phase_flip": True}, {"phase_flipped": True}),
        ({"invert": True}, {"invert": True}),
        ({"box": 33}, {}),
        ({"stacks": 4, "stack_dtype": "int16"}, {"batch_size": 50}),
        ({}, {"preset": "paper", "resolution": 16.0}),
    ],
    ids=["no CTF", "Wiener", "flipped", "dark", "odd box", "stacks", "paper"],
)
def test_kinds_of_data(tmp_path: Path, simulation: dict[str, Any], options: dict[str, Any]) -> None:
    data = SimulatedSet.make(tmp_path / "data", **simulation)
    result = run(data.metadata, tmp_path / "out", **{"classes": 4, **options})
    check(result, 300, 4)
    figures = data.figures(tmp_path / "out")
    assert figures["purity"] >= (0.6 if options.get("preset") == "paper" else 0.98)
    # The particle is bright in the average, whatever it was in the stack.
    middle = result.averages[:, 12:20, 12:20].mean((1, 2))
    assert np.all(middle > result.averages.mean((1, 2)))


def test_alternating_views_have_halves_like_any(tmp_path: Path) -> None:
    """Particles that come view by view in turn must not end up one view in one half."""
    images = two_views(200)
    order = np.random.default_rng(0).permutation(200)
    alternating, shuffled = (
        run(ParticleFiles(tmp_path / name).write(stack, {}), tmp_path / name / "out", classes=2)
        for name, stack in (("alternating", images), ("shuffled", images[order]))
    )
    assert same_partition(np.arange(200) % 2, alternating.assignments) > 0.97
    assert alternating.quality.min() > 0.9 * shuffled.quality.min()
    assert alternating.resolution_angstrom.max() < 1.2 * shuffled.resolution_angstrom.max()


def test_averages_are_in_the_middle(tmp_path: Path) -> None:
    """Every particle off the centre by the same: the classes are recentred, the poses say so."""
    images = np.roll(two_views(120), (4, -3), (1, 2))
    result = run(ParticleFiles(tmp_path).write(images, {}), tmp_path / "out", classes=2)
    bright = np.clip(result.averages - result.averages.max((1, 2), keepdims=True) / 4, 0, None)
    axis = np.arange(32) - 16
    for average in bright:
        # Noise of so small a class moves this centre, which is not low-passed, by more than a pixel.
        assert abs((average.sum(0) * axis).sum() / average.sum()) < 2.0
        assert abs((average.sum(1) * axis).sum() / average.sum()) < 2.0
    aligned = apply(images, result.poses)
    for k in range(2):
        mean = aligned[result.assignments == k].mean(0)
        assert np.corrcoef(mean[6:26, 6:26].ravel(), result.averages[k, 6:26, 6:26].ravel())[0, 1] > 0.98


# ------------------------------------------------------------------------------------------ numbers asked for


@pytest.mark.parametrize("classes", [1, 2, 3, 20])
def test_the_number_of_classes_asked_for_is_delivered(three_views: SimulatedSet, tmp_path: Path, classes: int) -> None:
    result = run(three_views.metadata, tmp_path, classes=classes)
    check(result, 300, classes)
    if classes >= 3:
        assert three_views.figures(tmp_path)["purity"] >= 0.98


@pytest.mark.parametrize("count", [1, 2, 5, 30])
def test_as_many_classes_as_particles(tmp_path: Path, count: int) -> None:
    images = two_views(count)
    result = run(ParticleFiles(tmp_path).write(images, {}), tmp_path / "out", classes=count)
    check(result, count, count)
    assert result.sizes.tolist() == [1] * count


def test_one_particle_more_than_classes(tmp_path: Path) -> None:
    result = run(ParticleFiles(tmp_path).write(two_views(13), {}), tmp_path / "out", classes=12)
    check(result, 13, 12)


def test_more_classes_than_particles_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--classes 6"):
        run(ParticleFiles(tmp_path).write(two_views(5), {}), tmp_path / "out", classes=6)


@pytest.mark.parametrize("preset", ["default", "paper"])
def test_particles_all_alike(tmp_path: Path, preset: str) -> None:
    images = np.repeat(two_views(1), 40, axis=0)
    result = run(ParticleFiles(tmp_path).write(images, {}), tmp_path / "out", classes=4, preset=preset, ctf="none")
    check(result, 40, 4)


@pytest.mark.parametrize("preset", ["default", "paper"])
def test_noise_alone(tmp_path: Path, preset: str) -> None:
    noise = np.random.default_rng(0).normal(size=(150, 32, 32)).astype(np.float32)
    result = run(ParticleFiles(tmp_path).write(noise, {}), tmp_path / "out", classes=6, preset=preset, ctf="none")
    check(result, 150, 6)


def test_a_sample_starts_the_classes_and_all_are_classified(three_views: SimulatedSet, tmp_path: Path) -> None:
    result = run(three_views.metadata, tmp_path, initial_particles=150, batch_size=64)
    check(result, 300, 3)
    assert three_views.figures(tmp_path)["purity"] >= 0.97


@pytest.mark.parametrize("preset", ["default", "paper"])
def test_a_set_that_is_sorted_by_view(tmp_path: Path, preset: str) -> None:
    """A view of which no particle has come yet must not lose its reference: 30,000 in order had a purity of 0.28."""
    views = SimulatedSet.make(tmp_path / "particles", particles=1200, views=4, order="blocks")
    chosen = {"preset": preset, "classes": 4, "initial_particles": 120, "batch_size": 50}
    result = run(views.metadata, tmp_path / "out", **chosen)
    check(result, 1200, 4)
    assert views.figures(tmp_path / "out")["purity"] > 0.97


@NAN_ON_PURPOSE
def test_what_cannot_be_used_is_set_aside(tmp_path: Path) -> None:
    images = two_views(80)
    clean = run(ParticleFiles(tmp_path / "clean").write(images, {}), tmp_path / "clean" / "out", classes=2)
    bad = images.copy()
    bad[3], bad[17, 5, 5], bad[40] = 0.0, np.nan, 1e3
    enabled = np.ones(80)
    enabled[[9, 40]] = -1
    files = ParticleFiles(tmp_path / "bad")
    result = run(files.write(bad, {"enabled": enabled.tolist()}), files.folder / "out", classes=2)
    check(result, 76, 2)
    assert np.flatnonzero(result.assignments < 0).tolist() == [3, 9, 17, 40]
    summary = json.loads((files.folder / "out" / "summary.json").read_text())
    assert summary["counts"]["unusable"] == 2
    assert summary["counts"]["disabled"] == 2
    assert any("2 particles" in warning for warning in summary["warnings"])
    used = result.assignments >= 0
    assert same_partition(clean.assignments[used], result.assignments[used]) > 0.97
    table = read_particles(files.folder / "out" / "particles.xmd").table
    assert np.flatnonzero(table["enabled"] < 0).tolist() == [3, 9, 17, 40]


@NAN_ON_PURPOSE
def test_fewer_usable_particles_than_classes_is_said(tmp_path: Path) -> None:
    images = two_views(6)
    images[2] = np.nan
    result = run(ParticleFiles(tmp_path).write(images, {}), tmp_path / "out", classes=6)
    check(result, 5, 5)
    warnings = json.loads((tmp_path / "out" / "summary.json").read_text())["warnings"]
    assert any("--classes 6" in warning for warning in warnings)


# ------------------------------------------------------------------------------------------ reproducibility


def test_the_same_seed_gives_the_same_bits(three_views: SimulatedSet, undisturbed: Path, tmp_path: Path) -> None:
    torch.manual_seed(123)  # the program's random numbers are its own
    state = torch.random.get_rng_state()
    run(three_views.metadata, tmp_path, classes=5)
    assert contents(tmp_path) == contents(undisturbed)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_threads_change_nothing_that_matters(tmp_path: Path) -> None:
    """Rounding may differ, and divide a view at another particle; views may not."""
    metadata = ParticleFiles(tmp_path).write(two_views(50), {})
    one, two = (run(metadata, tmp_path / str(threads), classes=2, threads=threads) for threads in (1, 2))
    assert same_partition(one.assignments, two.assignments) > 0.98
    psi = np.abs((one.poses.psi_deg - two.poses.psi_deg + 180) % 360 - 180)
    assert np.median(psi) < 1.0
    np.testing.assert_allclose(one.sizes, two.sizes, atol=2)


def test_batches_change_nothing_that_matters(three_views: SimulatedSet, undisturbed: Path, tmp_path: Path) -> None:
    run(three_views.metadata, tmp_path, classes=5, batch_size=37)
    first, second = (three_views.figures(directory) for directory in (undisturbed, tmp_path))
    assert second["purity"] == pytest.approx(first["purity"], abs=0.01)


# ------------------------------------------------------------------------------------------------- resuming


RESUMED = {"classes": 5, "initial_particles": 200, "batch_size": 100, "resolution": 16.0}


@pytest.fixture(scope="module", params=["default", "paper"])
def never_stopped(
    request: pytest.FixtureRequest, three_views: SimulatedSet, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, dict[str, bytes]]:
    """The preset, and what an undisturbed run of it leaves."""
    directory = tmp_path_factory.mktemp("never_stopped")
    run(three_views.metadata, directory, preset=request.param, **RESUMED)
    return request.param, contents(directory)


@pytest.mark.parametrize("checkpoint", ["save_first", "save_second"])
def test_resuming_gives_what_would_have_come(
    three_views: SimulatedSet,
    never_stopped: tuple[str, dict[str, bytes]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    checkpoint: str,
) -> None:
    preset, whole = never_stopped
    save = getattr(Checkpoint, checkpoint)

    def save_and_stop(self: Checkpoint, *arguments: Any) -> None:
        save(self, *arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, checkpoint, save_and_stop)
        with pytest.raises(KeyboardInterrupt):
            run(three_views.metadata, tmp_path, preset=preset, **RESUMED)
    assert not (tmp_path / "summary.json").exists()
    run(three_views.metadata, tmp_path, preset=preset, resume=True, **RESUMED)
    assert contents(tmp_path) == whole


@pytest.mark.parametrize("checkpoint", ["save_first", "save_second"])
def test_so_it_does_where_vectors_are_kept_in_half_precision(
    three_views: SimulatedSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checkpoint: str
) -> None:
    """What is read again is what was kept; and the rounding moves hardly a particle."""
    make = VectorCache.__init__

    def half(self: VectorCache, count: int, band: Band, _: int) -> None:
        make(self, count, band, count * (4 * len(band) + 4 * band.rings))
        assert self.halved or not count

    def save_and_stop(self: Checkpoint, *arguments: Any) -> None:
        save(self, *arguments)
        raise KeyboardInterrupt

    exact = run(three_views.metadata, tmp_path / "exact", **RESUMED)
    monkeypatch.setattr(VectorCache, "__init__", half)
    rounded = run(three_views.metadata, tmp_path / "whole", **RESUMED)
    assert same_partition(exact.assignments, rounded.assignments) > 0.98
    save = getattr(Checkpoint, checkpoint)
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, checkpoint, save_and_stop)
        with pytest.raises(KeyboardInterrupt):
            run(three_views.metadata, tmp_path / "parts", **RESUMED)
    run(three_views.metadata, tmp_path / "parts", resume=True, **RESUMED)
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")


@NAN_ON_PURPOSE
def test_resuming_remembers_what_could_not_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = two_views(60)
    images[[5, 50]] = np.nan
    metadata = ParticleFiles(tmp_path / "data").write(images, {})
    options = {"classes": 3, "initial_particles": 20}
    run(metadata, tmp_path / "whole", **options)
    save = Checkpoint.save_second

    def save_and_stop(self: Checkpoint, *arguments: Any) -> None:
        save(self, *arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "save_second", save_and_stop)
        with pytest.raises(KeyboardInterrupt):
            run(metadata, tmp_path / "parts", **options)
    result = run(metadata, tmp_path / "parts", resume=True, **options)
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")
    assert np.flatnonzero(result.assignments < 0).tolist() == [5, 50]
    summary = json.loads((tmp_path / "parts" / "summary.json").read_text())
    assert summary["counts"]["unusable"] == 2


def test_resuming_without_a_state_starts_again(three_views: SimulatedSet, undisturbed: Path, tmp_path: Path) -> None:
    run(three_views.metadata, tmp_path, classes=5, resume=True)
    assert contents(tmp_path) == contents(undisturbed)


def test_resuming_another_run_is_refused(three_views: SimulatedSet, undisturbed: Path) -> None:
    before = contents(undisturbed)
    with pytest.raises(InputError, match="classes"):
        run(three_views.metadata, undisturbed, classes=4, resume=True)
    assert contents(undisturbed) == before


# ---------------------------------------------------------------------------------------------------- files


def test_averages_and_metadata_belong_together(three_views: SimulatedSet, undisturbed: Path) -> None:
    with mrcfile.open(undisturbed / "classes.mrcs") as stack:
        assert stack.data.shape == (5, 32, 32)
        assert stack.voxel_size.x == pytest.approx(7.0)
        assert not np.allclose(stack.data.mean(), 0, atol=1e-9)
    particles, result = read_results(undisturbed)
    given = read_particles(three_views.metadata)
    assert np.array_equal(particles.index_in_stack, given.index_in_stack)
    assert particles.ctf is not None
    np.testing.assert_allclose(particles.ctf.defocus_u, given.ctf.defocus_u, rtol=1e-5)  # type: ignore[union-attr]
    scores = [float(result.score[result.assignments == k].mean()) for k in range(5)]
    assert min(scores) > 0  # every class explains its members better than nothing would


BOXES = (32, 33, 64, 65, 100, 127, 256, 512)


@pytest.mark.parametrize("box", BOXES)
def test_any_box(tmp_path: Path, box: int) -> None:
    images = two_views(40, box)
    metadata = ParticleFiles(tmp_path).write(images, {}, sampling_rate=160.0 / box)
    result = run(metadata, tmp_path / "out", classes=3, resolution=10.0)
    check(result, 40, 3)
    assert result.averages.shape == (3, box, box)
    views = np.arange(40) % 2
    assert same_partition(result.assignments, views) > 0.9


@pytest.mark.parametrize("box", [32, 33, 65])
@pytest.mark.parametrize("resolution", [11.0, 40.0])
def test_bands_up_to_nyquist_and_very_coarse_ones(tmp_path: Path, box: int, resolution: float) -> None:
    metadata = ParticleFiles(tmp_path).write(two_views(40, box), {}, sampling_rate=5.0)
    check(run(metadata, tmp_path / "out", classes=2, resolution=resolution), 40, 2)
