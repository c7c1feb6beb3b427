"""Coordinates moved to the particles' centres: against where a simulation has put them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from simulated import SimulatedSet, run

from alignpca2d_core.evaluation.assignments import read_truth
from alignpca2d_core.fourier.rigid_transforms import invert, to_matrix
from alignpca2d_core.io.particle_reading import read_particles
from alignpca2d_core.io.star.star_reader import read_blocks
from alignpca2d_core.results.coordinates_export import moved_coordinates, write_coordinates
from alignpca2d_core.results.exported import Exported, read_exported

RATE, MICROGRAPH_RATE = 4.5, 1.5
"""Å per pixel of the particles, which were scaled down by three, and of the micrographs."""
OPTICS = "rlnOpticsGroup rlnVoltage rlnSphericalAberration rlnAmplitudeContrast rlnImagePixelSize"


def table(name: str, labels: str, rows: list[str]) -> str:
    return f"\ndata_{name}\n\nloop_\n" + "".join(f"_{label}\n" for label in labels.split()) + "\n".join(rows) + "\n"


def picked(folder: Path, micrograph_rate: bool = True) -> tuple[Path, np.ndarray, np.ndarray]:
    """Particles picked off centre, as RELION lists them; where their centres are, and their views."""
    made = SimulatedSet.make(folder, particles=240, views=3, box=48, sampling_rate=RATE, snr=0.3, max_shift=0.1)
    particles, truth, random = read_particles(made.metadata), read_truth(folder / "truth.csv"), np.random.default_rng(0)
    offset = invert(truth.poses)
    centres = random.uniform(200, 3800, (len(particles), 2))
    picks = centres - np.stack([offset.shift_x_px, offset.shift_y_px], axis=1) * RATE / MICROGRAPH_RATE
    ctf = particles.ctf
    assert ctf is not None
    rows = [
        f"{name} 1 {ctf.defocus_u[k]} {ctf.defocus_v[k]} {ctf.defocus_angle[k]} Micrographs/mic_{k % 6}.mrc {x} {y}"
        for k, (name, (x, y)) in enumerate(zip(particles.image_names(), picks.tolist(), strict=True))
    ]
    known = (" rlnMicrographPixelSize", f" {MICROGRAPH_RATE}") if micrograph_rate else ("", "")
    optics = [f"1 {ctf.voltage[0]} {ctf.spherical_aberration[0]} {ctf.amplitude_contrast[0]} {RATE}{known[1]}"]
    labels = "rlnImageName rlnOpticsGroup rlnDefocusU rlnDefocusV rlnDefocusAngle rlnMicrographName rlnCoordinateX "
    path = folder / "particles.star"
    path.write_text(table("optics", OPTICS + known[0], optics) + table("particles", labels + "rlnCoordinateY", rows))
    return path, centres, truth.view


def moved(directory: Path) -> dict[str, Any]:
    """All rows of the files that coordinates.star lists, by micrograph."""
    index = read_blocks(directory / "coordinates.star")["coordinate_files"]
    pairs = zip(index["rlnMicrographName"], index["rlnMicrographCoordinates"], strict=True)
    return {name: read_blocks(file)[""] for name, file in pairs}


@pytest.fixture(scope="module")
def classified(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    folder = tmp_path_factory.mktemp("picks")
    path, centres, _ = picked(folder / "particles")
    run(path, folder / "out", classes=3, resolution=12.0)
    return folder / "out", centres


def test_coordinates_are_where_the_particles_are(classified: tuple[Path, np.ndarray], run_cli: Any) -> None:
    directory, centres = classified
    done = run_cli("export", directory, "--coordinates")
    assert done.code == 0, done.err
    assert "pixel size" not in done.err
    files, exported = moved(directory), read_exported(directory, False)
    for k in range(6):
        rows = files[f"Micrographs/mic_{k}.mrc"]
        found, own = np.stack([rows["rlnCoordinateX"], rows["rlnCoordinateY"]], axis=1), exported.chosen[k::6]
        distance = np.linalg.norm(found[:, None] - centres[None, k::6][:, own], axis=2)
        np.testing.assert_array_equal(distance.argmin(1), np.arange(own.sum()))
    assert exported.chosen.sum() > 230
    # An average says itself where its middle is: what all members of a class have in common is no error of theirs.
    error, common = errors(exported, centres)
    assert np.abs(common).max() < 1.5
    assert np.mean(error < 0.5) > 0.99


def errors(exported: Exported, centres: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (of the particles) between the centres found and true, (n,), without what each class shares, (k, 2)."""
    found, _ = moved_coordinates(exported)
    off = (np.stack([found.x, found.y], axis=1) - centres[found.rows]) * MICROGRAPH_RATE / RATE
    poses, classes = exported.result.poses[found.rows], exported.result.assignments[found.rows]
    turned = np.einsum("nij,nj->ni", to_matrix(poses)[:, :, :2], off)
    common = np.stack([turned[classes == k].mean(0) for k in range(classes.max() + 1)])
    return np.linalg.norm(turned - common[classes], axis=1), common


def test_near_duplicates_are_left_out(classified: tuple[Path, np.ndarray]) -> None:
    directory, _ = classified
    exported = read_exported(directory, False)
    table, distance = exported.particles.table, 40.0
    x, y = np.array(table["xcoor"], dtype=float), np.array(table["ycoor"], dtype=float)
    offset = invert(exported.result.poses)
    # Particle 6 k + 6 is picked again where 6 k is, 10 Å off once both are moved.
    for first in range(0, 60, 12):
        for axis, shift, off in ((x, offset.shift_x_px, 10.0), (y, offset.shift_y_px, 0.0)):
            axis[first + 6] = axis[first] + (shift[first] - shift[first + 6]) * RATE / MICROGRAPH_RATE
            axis[first + 6] += off / MICROGRAPH_RATE
    table.columns["xcoor"], table.columns["ycoor"] = x, y
    _, warnings = write_coordinates(exported)
    assert warnings == []
    before = sum(len(rows) for rows in moved(directory).values())
    _, warnings = write_coordinates(exported, distance)
    after = moved(directory)
    left_out = int(warnings[0].split()[0])
    assert 5 <= left_out <= 20
    assert sum(len(rows) for rows in after.values()) == before - left_out
    for rows in after.values():
        place = np.stack([rows["rlnCoordinateX"], rows["rlnCoordinateY"]], axis=1) * MICROGRAPH_RATE
        apart = np.linalg.norm(place[:, None] - place[None], axis=2)
        assert apart[np.triu_indices(len(place), 1)].min() >= distance


def test_what_is_not_known_is_said(tmp_path: Path, run_cli: Any) -> None:
    path, _, _ = picked(tmp_path / "particles", micrograph_rate=False)
    run(path, tmp_path / "out", classes=3, resolution=16.0, iterations=1)
    assert "pixel size is not known" in run_cli("export", tmp_path / "out", "--coordinates").err
    assert (
        "pixel size" not in run_cli("export", tmp_path / "out", "--coordinates", "--micrograph-sampling-rate", 1.5).err
    )
    assert run_cli("export", tmp_path / "out", "--minimum-distance", 50).code == 2
    bare = SimulatedSet.make(tmp_path / "bare", particles=40)
    run(bare.metadata, tmp_path / "no", classes=2, iterations=1)
    done = run_cli("export", tmp_path / "no", "--coordinates")
    assert done.code == 2
    assert "rlnMicrographName" in done.err
