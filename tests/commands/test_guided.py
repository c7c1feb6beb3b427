"""--no-align, --psi-range, --tube-diameter and --low-resolution, from files to files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from simulated import SMALL, SimulatedSet, one_thread, run
from streams import step

from alignpca2d_core.commands.export import export
from alignpca2d_core.evaluation.assignments import read_truth
from alignpca2d_core.fourier.band import Band
from alignpca2d_core.fourier.rigid_transforms import Poses, apply, to_relion, wrap_degrees
from alignpca2d_core.io.particle_reading import read_particles
from alignpca2d_core.io.stacks import StackReader, write_stack
from alignpca2d_core.io.star.star_reader import Table, read_blocks
from alignpca2d_core.io.star.star_writer import write_blocks
from alignpca2d_core.results.result_files import read_results
from alignpca2d_core.settings import ExportSettings

RATE = float(SMALL["sampling_rate"])  # type: ignore[arg-type]
POSE = ("anglePsi", "shiftX", "shiftY")


class Posed:
    """A small simulated set, every third particle stored mirrored, with its true poses as two programs write them."""

    def __init__(self, folder: Path) -> None:
        self.made = SimulatedSet.make(folder, particles=150)
        truth = read_truth(folder / "truth.csv").poses
        table = read_blocks(self.made.metadata)["particles"]
        stack = folder / "particles.mrcs"
        names = np.array([f"{row + 1:06d}@{stack}" for row in range(len(table))], dtype=object)
        columns = {**table.columns, "image": names, "anglePsi": truth.psi_deg.round(4)}
        columns |= {"shiftX": truth.shift_x_px.round(4), "shiftY": truth.shift_y_px.round(4)}
        self.plain = self._written(folder / "plain.xmd", columns)
        psi, x, y = to_relion(truth, RATE)
        star = {"rlnImageName": names, "rlnAnglePsi": psi.round(4)}
        star |= {"rlnOriginXAngst": x.round(4), "rlnOriginYAngst": y.round(4)}
        relion = ("rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle", "rlnVoltage", "rlnSphericalAberration")
        xmipp = ("ctfDefocusU", "ctfDefocusV", "ctfDefocusAngle", "ctfVoltage", "ctfSphericalAberration")
        star |= {one: table[other] for one, other in zip(relion, xmipp, strict=True)}
        star |= {"rlnAmplitudeContrast": table["ctfQ0"], "rlnImagePixelSize": np.full(len(table), RATE)}
        self.relion = self._written(folder / "particles.star", star)
        self.mirrored = self._with_mirrored(folder, columns)

    @staticmethod
    def _written(path: Path, columns: dict[str, NDArray[Any]]) -> Path:
        write_blocks(path, {"particles": Table("particles", columns)})
        return path

    def _with_mirrored(self, folder: Path, columns: dict[str, NDArray[Any]]) -> Path:
        """Mirrored along x, a particle needs the opposite rotation, and its mirror: F·A(-ψ)·F = A(ψ)."""
        with StackReader(read_particles(self.plain)) as reader:
            images = reader.read(np.arange(len(reader)))
        flip = np.arange(len(images)) % 3 == 0
        images[flip] = np.roll(images[flip, :, ::-1], 1, axis=-1)
        write_stack(folder / "mirrored.mrcs", images, RATE)
        names = np.array([f"{row + 1:06d}@{folder / 'mirrored.mrcs'}" for row in range(len(images))], dtype=object)
        turned = {"image": names, "anglePsi": np.where(flip, -1, 1) * columns["anglePsi"], "flip": flip.astype(int)}
        return self._written(folder / "mirrored.xmd", {**columns, **turned, "ctfDefocusAngle": 0 * flip})


@pytest.fixture(scope="module")
def posed(tmp_path_factory: pytest.TempPathFactory) -> Posed:
    return Posed(tmp_path_factory.mktemp("posed"))


def assert_poses_are_the_inputs(directory: Path, metadata: Path) -> None:
    given, found = read_blocks(metadata)["particles"], read_blocks(directory / "particles.xmd")["particles"]
    for label in (*POSE, "flip"):
        expected = given[label] if label in given else np.zeros(len(given))
        np.testing.assert_array_equal(found[label].astype(np.float32), expected.astype(np.float32), err_msg=label)


@pytest.mark.parametrize("kind", ["plain", "mirrored"])
def test_poses_are_kept_and_particles_only_classified(posed: Posed, tmp_path: Path, kind: str) -> None:
    metadata = getattr(posed, kind)
    run(metadata, tmp_path, no_align=True, ctf="none")
    assert_poses_are_the_inputs(tmp_path, metadata)
    truth = read_truth(posed.made.folder / "truth.csv")
    particles, result = read_results(tmp_path)
    for number in range(3):
        assert len(np.unique(truth.view[result.assignments == number])) == 1
    # The mean of the particles that the labels have moved is the average of the class.
    with StackReader(particles) as reader:
        images = reader.read(np.arange(len(particles)))
    assert result.flip is not None
    sign = np.where(result.flip, -1.0, 1.0)
    moved = apply(images, Poses(result.poses.psi_deg, sign * result.poses.shift_x_px, result.poses.shift_y_px))
    moved[result.flip] = np.roll(moved[result.flip, :, ::-1], 1, axis=-1)
    band, inside = Band.make(32, 8), np.hypot(*(np.mgrid[:32, :32] - 16)) < 11
    for number in range(3):
        both = np.stack([moved[result.assignments == number].mean(0), result.averages[number]])
        mean, average = band.to_images(band.to_vectors(torch.from_numpy(both))).numpy()
        assert np.corrcoef(mean[inside], average[inside])[0, 1] > 0.99


def test_poses_of_relion_come_back_as_they_were(posed: Posed, tmp_path: Path) -> None:
    run(posed.relion, tmp_path, no_align=True)
    export(tmp_path, ExportSettings())
    given, found = (read_blocks(path)["particles"] for path in (posed.relion, tmp_path / "particles.star"))
    for label in ("rlnAnglePsi", "rlnOriginXAngst", "rlnOriginYAngst"):
        np.testing.assert_allclose(found[label], given[label], atol=2e-5, err_msg=label)


def test_mirrored_particles_are_not_exported(posed: Posed, tmp_path: Path, run_cli: Any) -> None:
    with one_thread():
        run(posed.mirrored, tmp_path, no_align=True)
        outcome = run_cli("export", tmp_path)
    assert outcome.code == 2
    assert "50 particles are mirrored" in outcome.err


@pytest.mark.parametrize("kind", ["plain", "relion"])
def test_a_stream_keeps_poses_too(posed: Posed, tmp_path: Path, kind: str) -> None:
    step(getattr(posed, kind), tmp_path, last=True, initial_particles=100, no_align=True)
    given, found = read_blocks(posed.plain)["particles"], read_blocks(tmp_path / "particles.xmd")["particles"]
    for label in POSE:
        np.testing.assert_allclose(found[label], given[label], atol=2e-4, err_msg=label)


def filaments(folder: Path, count: int = 120) -> tuple[Path, NDArray[np.float64]]:
    """Rods and rows of beads at any angle, half of them crossed by a brighter rod; and their angles."""
    rng, box = np.random.default_rng(0), 32
    y, x = np.mgrid[:box, :box] - box // 2
    psi, images = rng.uniform(-180, 180, count), np.empty((count, box, box), np.float32)
    for row, image in enumerate(images):
        angle = np.deg2rad(psi[row])
        along, across = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
        image[:] = np.exp(-((across / 2.5) ** 2)) * (1 + (row % 2) * np.cos(along * 1.2)) + rng.normal(
            0, 0.5, image.shape
        )
        if row % 4 < 2:
            turn = angle + rng.uniform(0.6, 2.5)
            image += 1.5 * np.exp(-(((np.cos(turn) * y - np.sin(turn) * x + rng.uniform(-5, 5)) / 2.5) ** 2))
    write_stack(folder / "particles.mrcs", images, RATE)
    names = np.array([f"{row + 1:06d}@{folder / 'particles.mrcs'}" for row in range(count)], dtype=object)
    prior = wrap_degrees(-(psi + rng.uniform(-3, 3, count) + 180 * rng.integers(2, size=count)))
    columns = {"rlnImageName": names, "rlnAnglePsiPrior": prior, "rlnImagePixelSize": np.full(count, RATE)}
    write_blocks(folder / "particles.star", {"particles": Table("particles", columns)})
    return folder / "particles.star", psi


@pytest.mark.parametrize("streamed", [False, True])
def test_filaments_stay_near_their_priors(tmp_path: Path, streamed: bool) -> None:
    metadata, psi = filaments(tmp_path)
    changes: dict[str, Any] = {"psi_range": 6.0, "tube_diameter": 70.0, "classes": 2}
    if streamed:
        step(metadata, tmp_path / "out", last=True, **{**changes, "initial_particles": 60})
    else:
        run(metadata, tmp_path / "out", **changes)
    result = read_results(tmp_path / "out")[1]
    off = np.abs((result.poses.psi_deg - psi + 90) % 180 - 90)
    assert (off[result.assignments >= 0] < 13).all()
    sizes = [np.bincount(np.arange(120)[result.assignments == k] % 2, minlength=2) for k in range(2)]
    assert sum(size.max() for size in sizes) >= 0.9 * sum(size.sum() for size in sizes)


def test_what_is_coarser_does_not_count_but_is_in_the_averages(posed: Posed, tmp_path: Path) -> None:
    metadata = posed.plain
    with StackReader(read_particles(metadata)) as reader:
        images = reader.read(np.arange(len(reader)))
    y, x = np.mgrid[:32, :32] - 16
    rng = np.random.default_rng(0)
    for image in images:  # a blob as large as the field, anywhere
        dx, dy = rng.uniform(-6, 6, 2)
        image += 6 * images.std() * np.exp(-((x - dx) ** 2 + (y - dy) ** 2) / (2 * 7.0**2)).astype(np.float32)
    write_stack(tmp_path / "spoiled.mrcs", images, RATE)
    table = read_blocks(metadata)["particles"]
    names = np.array([f"{row + 1:06d}@{tmp_path / 'spoiled.mrcs'}" for row in range(len(table))], dtype=object)
    write_blocks(tmp_path / "spoiled.xmd", {"particles": Table("particles", {**table.columns, "image": names})})
    averages = run(tmp_path / "spoiled.xmd", tmp_path / "out", low_resolution=70.0, no_sieve=True).averages
    assert posed.made.figures(tmp_path / "out")["purity"] > 0.95
    power = np.abs(np.fft.fft2(averages)) ** 2
    assert power[:, 0, 1].mean() > 20 * power[:, 0, 6].mean()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--no-align"], "--no-align: "),
        (["--psi-range", "6"], "--psi-range: "),
        (["--no-align", "--psi-range", "6"], "--no-align and --psi-range: give one of them"),
        (["--tube-diameter", "100"], "--tube-diameter: goes with --psi-range"),
        (["--low-resolution", "8"], "--low-resolution 8: not coarser than --resolution 8"),
        (["--low-resolution", "20"], "--low-resolution 20: leaves too little"),
        (["--preset", "paper", "--low-resolution", "60"], "--low-resolution: not with --preset paper"),
    ],
)
@pytest.mark.parametrize("command", ["classify", "update", "assign"])
def test_what_cannot_be_is_refused_in_one_line(
    posed: Posed, tmp_path: Path, run_cli: Any, command: str, options: list[str], said: str
) -> None:
    more = ["--references", posed.made.folder / "particles.mrcs"] if command == "assign" else ["--classes", "3"]
    outcome = run_cli(command, posed.made.metadata, "-o", tmp_path / "out", *more, *options)
    assert outcome.code == 2
    assert len(outcome.err.strip().splitlines()) == 1 or "Warning" in outcome.err
    assert said in outcome.err
    assert not (tmp_path / "out" / "particles.xmd").exists()


def test_settings_are_told_in_the_summary(posed: Posed, tmp_path: Path) -> None:
    run(posed.plain, tmp_path, no_align=True)
    settings = json.loads((tmp_path / "summary.json").read_text())["settings"]
    assert settings["no_align"] is True
    assert settings["psi_range"] is settings["tube_diameter"] is settings["low_resolution"] is None
