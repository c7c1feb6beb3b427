"""Images whose phases were flipped, or that were multiplied by their CTF: by optics group, as RELION's files say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from simulated import SimulatedSet, run

from alignpca2d_core.fourier.ctf import contrast_transfer, half_plane_frequencies
from alignpca2d_core.io.particle_reading import read_particles
from alignpca2d_core.io.particle_set import ParticleSet, write_particles
from alignpca2d_core.io.stacks import StackReader, write_stack
from alignpca2d_core.results.relion_export import export_relion

PIXEL = 4.72
BOX = 48
FLAGS = {"plain": (0, 0), "flipped": (1, 0), "multiplied": (0, 1), "both": (1, 1)}


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> SimulatedSet:
    return SimulatedSet.make(
        tmp_path_factory.mktemp("simulated"), particles=240, box=BOX, sampling_rate=PIXEL, snr=0.3, seed=3
    )


def treated(images: NDArray[np.float32], particles: ParticleSet, kind: str) -> NDArray[np.float32]:
    """Images as the kind says, each normalised again as programs do after that."""
    assert particles.ctf is not None
    ctf = contrast_transfer(particles.ctf, *half_plane_frequencies(BOX, PIXEL)).unflatten(1, (BOX, -1))
    factor = {"plain": torch.ones_like(ctf), "flipped": ctf.sign()}.get(kind, ctf)
    # The phase origin of rfft2 is the first pixel; an even, real factor does not mind.
    changed = torch.fft.irfft2(torch.fft.rfft2(torch.from_numpy(images)) * factor, s=(BOX, BOX))
    return (changed / changed.std((1, 2), keepdim=True)).numpy()


def star(path: Path, particles: ParticleSet, groups: list[str], rows_of: list[NDArray[np.int64]]) -> Path:
    """RELION's metadata with an optics group for each kind; the label of a flag is there only where it is needed."""
    names = ("rlnCtfDataArePhaseFlipped", "rlnCtfDataAreCtfPremultiplied")
    lines = ["data_optics", "loop_", "_rlnOpticsGroup", "_rlnVoltage", "_rlnSphericalAberration"]
    lines += ["_rlnAmplitudeContrast", "_rlnImagePixelSize", *(f"_{name}" for name in names)]
    lines += [f"{g} 300 2.7 0.07 {PIXEL} {FLAGS[kind][0]} {FLAGS[kind][1]}" for g, kind in enumerate(groups, start=1)]
    lines += ["", "data_particles", "loop_", "_rlnImageName", "_rlnOpticsGroup"]
    lines += ["_rlnDefocusU", "_rlnDefocusV", "_rlnDefocusAngle"]
    group = np.zeros(len(particles), dtype=int)
    for g, rows in enumerate(rows_of, start=1):
        group[rows] = g
    ctf = particles.ctf
    assert ctf is not None
    lines += [
        f"{row + 1:06d}@treated.mrcs {group[row]} {ctf.defocus_u[row]} {ctf.defocus_v[row]} {ctf.defocus_angle[row]}"
        for row in range(len(particles))
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


def make(simulated: SimulatedSet, folder: Path, kinds: list[str]) -> Path:
    """The set with its particles dealt out to the kinds."""
    particles = read_particles(simulated.metadata)
    with StackReader(particles) as reader:
        images = reader.read(np.arange(len(particles)))
    rows_of = [np.arange(g, len(particles), len(kinds)) for g in range(len(kinds))]
    for kind, rows in zip(kinds, rows_of, strict=True):
        images[rows] = treated(images[rows], particles.subset(rows), kind)
    write_stack(folder / "treated.mrcs", images, PIXEL)
    return star(folder / "particles.star", particles, kinds, rows_of)


@pytest.fixture(scope="module")
def wanted(simulated: SimulatedSet, tmp_path_factory: pytest.TempPathFactory) -> float:
    folder = tmp_path_factory.mktemp("plain")
    run(make(simulated, folder, ["plain"]), folder / "out", classes=6, resolution=10.0)
    return simulated.figures(folder / "out")["average_correlation"]


@pytest.mark.parametrize(
    "kinds", [["flipped"], ["multiplied"], ["both"], ["plain", "flipped", "multiplied"]], ids=",".join
)
def test_averages_are_those_of_images_as_they_come(
    simulated: SimulatedSet, wanted: float, tmp_path: Path, kinds: list[str]
) -> None:
    run(make(simulated, tmp_path, kinds), tmp_path / "out", classes=6, resolution=10.0)
    figures = simulated.figures(tmp_path / "out")
    assert wanted > 0.97
    assert figures["average_correlation"] > wanted - 0.01
    assert figures["purity"] > 0.99


@pytest.mark.parametrize("kinds", [["multiplied"], ["plain", "flipped", "multiplied"]], ids=",".join)
def test_the_wiener_filter_knows_them_too(simulated: SimulatedSet, tmp_path: Path, kinds: list[str]) -> None:
    figures = {}
    for name, some in (("plain", ["plain"]), ("treated", kinds)):
        folder = tmp_path / name
        folder.mkdir()
        run(make(simulated, folder, some), folder / "out", classes=6, resolution=10.0, ctf="wiener")
        figures[name] = simulated.figures(folder / "out")["average_correlation"]
    assert figures["treated"] > figures["plain"] - 0.015


def test_flags_come_through_metadata_and_export(simulated: SimulatedSet, tmp_path: Path) -> None:
    metadata = make(simulated, tmp_path, ["plain", "flipped", "multiplied"])
    given = read_particles(metadata).ctf
    write_particles(tmp_path / "again.xmd", read_particles(metadata))
    again = read_particles(tmp_path / "again.xmd").ctf
    run(metadata, tmp_path / "out", classes=3, resolution=16.0)
    delivered = read_particles(tmp_path / "out" / "particles.xmd").ctf
    _, warnings = export_relion(tmp_path / "out")
    exported = read_particles(tmp_path / "out" / "particles.star").ctf
    assert given is not None and again is not None and delivered is not None and exported is not None
    assert given.premultiplied is not None and given.premultiplied.sum() == 80
    assert given.phase_flipped is not None and given.phase_flipped.sum() == 80
    for other in (again, delivered, exported):
        np.testing.assert_array_equal(other.premultiplied, given.premultiplied)
    for other in (again, delivered):
        np.testing.assert_array_equal(other.phase_flipped, given.phase_flipped)
    assert any("phase-flipped" in line for line in warnings)
