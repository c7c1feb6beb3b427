"""Star files for RELION: read back by ourselves always, and by RELION's own programs where they are installed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from simulated import SimulatedSet, run

from alignpca2d_core.errors import InputError
from alignpca2d_core.evaluation.assignments import read_assignments
from alignpca2d_core.io.particle_reading import read_particles
from alignpca2d_core.io.stacks import StackReader
from alignpca2d_core.io.star.star_reader import read_blocks
from alignpca2d_core.results.relion_export import export_relion
from alignpca2d_core.results.result_files import Classification


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Classification]:
    """A small classification without a CTF, so that anyone's plain average is comparable, and its star files."""
    folder = tmp_path_factory.mktemp("relion")
    changes = {"no_ctf": True, "particles": 240, "box": 48, "sampling_rate": 4.5, "snr": 0.5}
    particles = SimulatedSet.make(folder / "particles", **changes)
    result = run(particles.metadata, folder / "classes", resolution=10.0)
    paths, warnings = export_relion(folder / "classes")
    assert [path.name for path in paths] == ["particles.star", "class_averages.star"]
    assert len(warnings) == 1
    return folder / "classes", result


def test_reading_back_gives_the_same_classes_and_poses(exported: tuple[Path, Classification]) -> None:
    directory, result = exported
    ours, theirs = (read_assignments(directory / f"particles.{kind}") for kind in ("xmd", "star"))
    np.testing.assert_array_equal(theirs.classes, ours.classes)
    assert list(theirs.names) == list(ours.names)
    for name in ("psi_deg", "shift_x_px", "shift_y_px"):
        np.testing.assert_allclose(getattr(theirs.poses, name), getattr(result.poses, name), atol=1e-5)
    particles = read_particles(directory / "particles.star")
    assert (particles.dialect, particles.sampling_rate, particles.warnings) == ("relion", 4.5, [])


def test_average_of_what_the_star_says_is_the_class_average(exported: tuple[Path, Classification]) -> None:
    """RELION's convention spelt out: add the origin, then turn by -psi; here by moving the corners of pixels."""
    directory, result = exported
    table = read_blocks(directory / "particles.star")["particles"]
    images = StackReader(read_particles(directory / "particles.star")).read(np.arange(len(table)))
    for k in range(len(result)):
        members = np.flatnonzero(table["rlnClassNumber"] == k + 1)
        total = np.mean([turned(images[i], *(table[name][i] for name in ORIGINS)) for i in members], axis=0)
        assert masked_correlation(total, result.averages[k]) > 0.97


ORIGINS = ("rlnAnglePsi", "rlnOriginXAngst", "rlnOriginYAngst")


def turned(image: np.ndarray, psi: float, origin_x: float, origin_y: float) -> np.ndarray:
    """An image aligned as RELION would, by the nearest pixel."""
    box, psi = len(image), np.deg2rad(psi)
    y, x = np.mgrid[:box, :box] - box // 2
    # Pixel q of the particle comes to p = R·(q + origin), R = [[cos, -sin], [sin, cos]]; so q = R^T·p - origin.
    from_x = np.cos(psi) * x + np.sin(psi) * y - origin_x / 4.5
    from_y = -np.sin(psi) * x + np.cos(psi) * y - origin_y / 4.5
    column, row = (np.rint(v).astype(int) + box // 2 for v in (from_x, from_y))
    inside = (column >= 0) & (column < box) & (row >= 0) & (row < box)
    return np.where(inside, image[row.clip(0, box - 1), column.clip(0, box - 1)], 0.0)


def masked_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Correlation inside a circle, low-passed to what a plain average and ours have in common."""
    box = len(first)
    y, x = np.mgrid[:box, :box] - box // 2
    inside = np.hypot(x, y) < 0.4 * box
    band = np.hypot(np.fft.fftfreq(box)[:, None], np.fft.rfftfreq(box)) < 0.25
    one, two = (np.fft.irfft2(np.fft.rfft2(image) * band, s=(box, box))[inside] for image in (first, second))
    return float(np.corrcoef(one, two)[0, 1])


def test_optics_groups_and_ctf(tmp_path: Path) -> None:
    particles = SimulatedSet.make(tmp_path / "particles", particles=60, astigmatism=0.2)
    text = particles.metadata.read_text().splitlines()
    head = next(k for k, line in enumerate(text) if "@" in line)
    voltage = [line.strip() for line in text[:head] if line.startswith(" _")].index("_ctfVoltage")
    for row in range(head, head + 20):
        words = text[row].split()
        words[voltage] = "200"
        text[row] = " ".join(words)
    particles.metadata.write_text("\n".join(text) + "\n")
    run(particles.metadata, tmp_path / "classes")
    assert export_relion(tmp_path / "classes")[1] == []
    blocks = read_blocks(tmp_path / "classes" / "particles.star")
    assert list(blocks["optics"]["rlnVoltage"]) == [200, 300]
    np.testing.assert_array_equal(blocks["particles"]["rlnOpticsGroup"], np.repeat([1, 2], [20, 40]))
    ours, theirs = read_particles(particles.metadata).ctf, read_particles(tmp_path / "classes" / "particles.star").ctf
    for name in ("voltage", "defocus_u", "defocus_v", "defocus_angle", "spherical_aberration", "amplitude_contrast"):
        np.testing.assert_allclose(getattr(theirs, name), getattr(ours, name))


def test_only_good_classes(exported: tuple[Path, Classification], tmp_path: Path) -> None:
    directory = tmp_path / "classes"
    shutil.copytree(exported[0], directory)
    summary = directory / "summary.json"
    for verdict, kept in (("good", True), ("doubtful", False)):
        text = summary.read_text()
        summary.write_text(text.replace('"good"', f'"{verdict}"', 1) if not kept else text)
        export_relion(directory, good_only=True)
        classes = read_blocks(directory / "particles.star")["particles"]["rlnClassNumber"]
        assert (1 in classes) == kept
    (directory / "particles.xmd").unlink()
    with pytest.raises(InputError, match=r"particles\.xmd"):
        export_relion(directory)


def test_names_with_spaces_are_refused(tmp_path: Path) -> None:
    particles = SimulatedSet.make(tmp_path / "my particles", particles=40)
    run(particles.metadata, tmp_path / "classes", classes=2)
    with pytest.raises(InputError, match="spaces"):
        export_relion(tmp_path / "classes")


def test_command_line(run_cli, exported: tuple[Path, Classification]) -> None:
    done = run_cli("export", exported[0])
    assert done.code == 0
    assert done.out.split() == [str(exported[0] / name) for name in ("particles.star", "class_averages.star")]
    assert run_cli("export", exported[0] / "nowhere").code == 2


def relion(program: str, *arguments: object, where: Path) -> str:
    """Run one of RELION's programs, or skip."""
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    done = subprocess.run(
        [program, *map(str, arguments)], cwd=where, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_average_by_relion_is_our_class_average(exported: tuple[Path, Classification]) -> None:
    """RELION itself turns and moves the particles by the star."""
    directory, result = exported
    star = directory / "particles.star"
    relion("relion_stack_create", "--i", star, "--o", "aligned", "--apply_transformation", where=directory)
    aligned = mrcfile.read(directory / "aligned.mrcs")
    classes = read_blocks(star)["particles"]["rlnClassNumber"]
    for k in range(len(result)):
        assert masked_correlation(aligned[classes == k + 1].mean(axis=0), result.averages[k]) > 0.99


def test_relion_refine_agrees(tmp_path: Path) -> None:
    """It takes particles and class averages as they are, with CTF, and finds what we found."""
    particles = SimulatedSet.make(tmp_path / "particles", particles=240, box=48, sampling_rate=4.5)
    result = run(particles.metadata, tmp_path / "classes", resolution=10.0)
    particles_star, averages_star = export_relion(tmp_path / "classes")[0]
    files = ("--i", particles_star, "--ref", averages_star, "--o", tmp_path / "run")
    how = ("--iter", 1, "--skip_align", "--firstiter_cc", "--ctf", "--norm", "--flatten_solvent", "--pad", 1)
    relion("relion_refine", *files, *how, "--particle_diameter", 190, where=tmp_path)
    ours, theirs = (
        read_blocks(star)["particles"]["rlnClassNumber"] for star in (particles_star, tmp_path / "run_it001_data.star")
    )
    assert np.mean(ours == theirs) > 0.98
    averages = mrcfile.read(tmp_path / "run_it001_classes.mrcs")
    # It flattens the solvent and weights rings in its own way: compared ring by ring, past those that its mask bends.
    assert min(map(lowest_frc, averages, result.averages)) > 0.95


def lowest_frc(first: np.ndarray, second: np.ndarray) -> float:
    """The least Fourier ring correlation between 27 Å and 12 Å (48 px of 4.5 Å), inside a soft circle.

    Rings up to 5 are taken off before: RELION's may be twice as strong, and the circle would spread that to others.
    """
    box = len(first)
    y, x = np.mgrid[:box, :box] - box // 2
    soft = 1 / (1 + np.exp(np.hypot(x, y) - 0.42 * box))
    rings = np.rint(np.hypot(*np.meshgrid(np.fft.fftfreq(box, 1 / box), np.fft.fftfreq(box, 1 / box)))).astype(int)
    fine = (np.fft.ifft2(np.fft.fft2(image) * (rings > 5)).real for image in (first, second))
    one, two = (np.fft.fft2(image * soft) for image in fine)
    cross, *powers = (
        np.bincount(rings.ravel(), product.real.ravel())
        for product in (one * two.conj(), one * one.conj(), two * two.conj())
    )
    frc = cross / np.sqrt(powers[0] * powers[1])
    return float(frc[8 : int(box * 4.5 / 12.0) + 1].min())


def test_relion_reads_the_class_averages(exported: tuple[Path, Classification]) -> None:
    directory, result = exported
    relion(
        "relion_image_handler", "--i", directory / "classes.mrcs", "--o", "again.mrcs", "--multiply_constant", 2,
        where=directory,
    )  # fmt: skip
    again = mrcfile.read(directory / "again.mrcs")
    np.testing.assert_allclose(again, 2 * result.averages, rtol=1e-4, atol=1e-5)
