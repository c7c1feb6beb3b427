"""Class averages beside projections of a map: which views they show, kept in the folder of results."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import pytest
from report_files import classification, particle_set, run_of

from alignpca2d_core.evaluation.views.view_distances import distances
from alignpca2d_core.io.star.star_reader import Table
from alignpca2d_core.maps.density import Density
from alignpca2d_core.maps.map_views import compare_with_map, read_map_views
from alignpca2d_core.maps.views import rotation_matrices, symmetry_rotations, tilted_a_little
from alignpca2d_core.results.result_files import Classification, write_results
from alignpca2d_core.simulation.phantom import make_phantom
from alignpca2d_core.simulation.simulation_files import write_volume

Run = Callable[..., Any]
BOX, RATE, VOXEL, CLASSES = 40, 6.0, 4.5, 10
TRUE = rotation_matrices(*np.random.default_rng(5).uniform(0, [[360], [180], [360]], (3, CLASSES)))
MOVED = np.random.default_rng(6).integers(-2, 3, (CLASSES, 2))


@pytest.fixture(scope="module")
def map_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A phantom's density in another box and with other voxels than the averages."""
    path = tmp_path_factory.mktemp("map") / "phantom.mrc"
    volume = make_phantom("domains", 3, BOX * RATE).volume(60, VOXEL)
    write_volume(path, volume.numpy(), VOXEL)
    return path


@pytest.fixture(scope="module")
def result() -> Classification:
    """Averages of known views of the phantom, moved and with noise."""
    images = make_phantom("domains", 3, BOX * RATE).project(TRUE, BOX, RATE).numpy()
    images = np.stack([np.roll(image, (y, x), (0, 1)) for image, (x, y) in zip(images, MOVED, strict=True)])
    noise = np.random.default_rng(0).normal(0, 0.3 * images.std(), images.shape)
    return replace(classification(CLASSES, 300, BOX), averages=(images + noise).astype(np.float32))


def errors(found: Any, symmetry: str = "C1", truth: np.ndarray = TRUE) -> tuple[np.ndarray, np.ndarray]:
    rotations = rotation_matrices(*found.angles.T)
    view, plane = distances(truth, rotations, symmetry_rotations(symmetry))
    return np.diag(view), np.abs(np.diag(plane))


def test_views_angles_and_shifts_are_found(map_file: Path, result: Classification) -> None:
    found = compare_with_map(result, RATE, map_file, "C1")
    view, plane = errors(found)
    assert np.median(view) < 3.0
    assert view.max() < 12.0
    assert np.median(plane) < 2.0
    assert found.map["contrast"] == 1.0
    # The map was centred on its mass: what all shifts have in common is the phantom's.
    np.testing.assert_allclose(found.shift_px, MOVED, atol=0.8)
    assert found.correlation.min() > 0.6
    assert np.all(found.resolution < 40)
    assert any(found.directions[:, 2] < 0)


def test_dark_averages_are_noticed(map_file: Path, result: Classification) -> None:
    dark = replace(result, averages=-result.averages)
    found = compare_with_map(dark, RATE, map_file, "C1")
    assert found.map["contrast"] == -1.0
    assert np.median(errors(found)[0]) < 3.0
    assert np.sum(found.projections[0] * dark.averages[0]) > 0


def test_mirror_images_are_views_from_the_opposite_side(map_file: Path, result: Classification) -> None:
    odd = result.averages[:, 1:, 1:][:, :, ::-1]
    mirrored = replace(result, averages=np.ascontiguousarray(np.pad(odd, ((0, 0), (1, 0), (1, 0)))))
    found = compare_with_map(mirrored, RATE, map_file, "C1")
    opposite = TRUE * np.array([-1.0, 1.0, -1.0])[:, None]
    assert np.median(errors(found, truth=opposite)[0]) < 4.0


def test_symmetric_maps_have_one_part_of_the_sphere(tmp_path: Path) -> None:
    specimen = make_phantom("barrel", 1, BOX * RATE)
    write_volume(tmp_path / "barrel.mrc", specimen.volume(BOX, RATE).numpy(), RATE)
    images = specimen.project(TRUE, BOX, RATE).numpy()
    result = replace(classification(CLASSES, 300, BOX), averages=images)
    found = compare_with_map(result, RATE, tmp_path / "barrel.mrc", "D7")
    assert np.median(errors(found, "D7")[0]) < 3.0
    assert not any(found.directions[:, 2] < 0)
    assert found.covered(np.ones(CLASSES, dtype=bool)) > 0.5


def test_steps_around_a_view_are_rotations() -> None:
    steps = tilted_a_little(4.0)
    np.testing.assert_allclose(steps @ np.swapaxes(steps, 1, 2), np.broadcast_to(np.eye(3), (9, 3, 3)), atol=1e-12)
    np.testing.assert_allclose(np.rad2deg(np.arccos(steps[[1, 3, 5, 7], 2, 2])), 4.0, atol=1e-6)


def test_maps_are_cut_and_made_coarser(map_file: Path) -> None:
    with mrcfile.open(map_file) as file:
        density = Density(_tensor(file.data), VOXEL)
    coarse = density.brought_to(BOX * RATE, 9.0)
    assert coarse.sampling_rate == pytest.approx(9.0, rel=0.05)
    first, second = (one.project(TRUE[:2], BOX, 9.0).numpy() for one in (density, coarse))
    assert np.corrcoef(first.ravel(), second.ravel())[0, 1] > 0.999
    assert first.max() == pytest.approx(second.max(), rel=0.02)


def _tensor(data: np.ndarray) -> Any:
    import torch

    return torch.from_numpy(np.array(data, dtype=np.float32))


@pytest.fixture
def folder(tmp_path: Path, result: Classification) -> Path:
    particles = particle_set(tmp_path / "input", 300, BOX)
    assert isinstance(particles.table, Table)
    summary = run_of(CLASSES)
    summary["input"] |= {"sampling_rate": RATE, "box": BOX}
    write_results(tmp_path / "out", particles, result, RATE, summary, lambda *_: [])
    return tmp_path / "out"


def test_report_shows_a_map_and_keeps_it(run_cli: Run, folder: Path, map_file: Path) -> None:
    pytest.importorskip("PIL")
    assert run_cli("report", folder, "--map", map_file).code == 0
    said = json.loads((folder / "map_views.json").read_text(encoding="utf-8"))
    assert len(said["rot"]) == CLASSES
    assert mrcfile.read(folder / "projections.mrcs").shape == (CLASSES, BOX, BOX)
    first = (folder / "report.html").read_bytes()
    assert b'"map":{"file":' in first.replace(b'"map":{"file":"phantom.mrc"', b'"map":{"file":')
    assert run_cli("report", folder).err == ""
    assert (folder / "report.html").read_bytes() == first
    averages = mrcfile.read(folder / "classes.mrcs")
    averages[0] *= 2
    with mrcfile.open(folder / "classes.mrcs", "r+") as file:
        file.set_data(averages)
    other = run_cli("report", folder)
    assert other.code == 0
    assert "of earlier averages" in other.err
    assert read_map_views(folder.parent, averages) is None


@pytest.mark.parametrize("spoil", ["missing", "no voxel size", "text", "stack"])
def test_a_map_that_is_none_is_refused(run_cli: Run, folder: Path, map_file: Path, tmp_path: Path, spoil: str) -> None:
    pytest.importorskip("PIL")
    path = tmp_path / "bad.mrc"
    if spoil == "text":
        path.write_text("no map\n" * 500, encoding="utf-8")
    elif spoil != "missing":
        data = mrcfile.read(map_file)
        with mrcfile.new(path) as file:
            file.set_data(data if spoil != "stack" else data[0])
            file.voxel_size = 0.0 if spoil != "stack" else VOXEL
    done = run_cli("report", folder, "--map", path)
    assert done.code == 2
    assert done.err.count("\n") == 1
    assert "--map" in done.err
    assert ("voxel size" in done.err) == (spoil == "no voxel size")
    assert not (folder / "map_views.json").exists()


def test_symmetry_without_a_map_is_refused(run_cli: Run, folder: Path) -> None:
    done = run_cli("report", folder, "--symmetry", "D2")
    assert (done.code, done.err.count("\n")) == (2, 1)
