"""RELION's 2D classification of a simulated set, from one process and thread, and what it found in our convention."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import mrcfile
import numpy as np
from measured_run import Cost, run_command
from numpy.typing import NDArray

from alignpca2d_core.fourier.rigid_transforms import Poses, from_relion
from alignpca2d_core.io.atomic_files import write_json
from alignpca2d_core.io.output_folder import AVERAGES, PARTICLES, SUMMARY
from alignpca2d_core.io.particle_reading import read_particles
from alignpca2d_core.io.particle_set import write_particles
from alignpca2d_core.io.stacks import write_stack
from alignpca2d_core.io.star.star_reader import read_blocks

PROGRAM = "relion_refine"
DIAMETER = 0.9
"""Of RELION's mask, as a share of the box."""


@dataclass(frozen=True)
class Search:
    """How far and how finely RELION searches; by default as its own form has it, but for the range.

    Parameters
    ----------
    reach_px : largest offset from the centre
    step_px, psi_step_deg : before they are halved by oversampling
    iterations : of EM
    """

    reach_px: int
    step_px: int = 2
    psi_step_deg: int = 12
    iterations: int = 25

    @classmethod
    def covering(cls, share: float, box: int, step_px: int = 2) -> Search:
        """A search that covers shifts of so large a share of the box."""
        return cls(int(np.ceil(share * box)) + step_px, step_px)

    def options(self) -> list[str]:
        """The options of ``relion_refine``."""
        offsets = ("--offset_range", self.reach_px, "--offset_step", self.step_px)
        rest = ("--psi_step", self.psi_step_deg, "--oversampling", 1, "--iter", self.iterations)
        return [*map(str, offsets + rest)]


@dataclass(frozen=True)
class RelionClasses:
    """What RELION made of n particles, in their order.

    Parameters
    ----------
    labels : (n,) class from 0
    poses : of the n particles, in our convention
    averages : (k, D, D), CTF-corrected
    resolution_angstrom : (k,) as it states them; infinite for an empty class
    cost : of the whole run
    """

    labels: NDArray[np.int64]
    poses: Poses
    averages: NDArray[np.float32]
    resolution_angstrom: NDArray[np.float64]
    cost: Cost


def relion_star(folder: Path, pixel: float, box: int) -> Path:
    """The particles as RELION reads them, micrographs too where they are known; the poses are not told."""
    particles = read_particles(folder / "particles.xmd")
    ctf = particles.ctf
    assert ctf is not None
    values = [ctf.voltage[0], ctf.spherical_aberration[0], ctf.amplitude_contrast[0]]
    optics = ["rlnOpticsGroup", "rlnVoltage", "rlnSphericalAberration", "rlnAmplitudeContrast"]
    optics += ["rlnImagePixelSize", "rlnImageSize", "rlnImageDimensionality"]
    labels = ["rlnImageName", "rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle", "rlnOpticsGroup"]
    micrographs = [f" {name}" for name in particles.table["micrograph"]] if "micrograph" in particles.table else None
    labels += ["rlnMicrographName"] if micrographs else []
    lines = ["", "data_optics", "", "loop_", *(f"_{name}" for name in optics)]
    lines += [f"1 {values[0]} {values[1]} {values[2]} {pixel} {box} 2", "", "data_particles", "", "loop_"]
    lines += [f"_{name}" for name in labels]
    stack_name = (folder / "particles.mrcs").resolve()
    named = micrographs or [""] * len(particles)
    table = enumerate(zip(ctf.defocus_u, ctf.defocus_v, ctf.defocus_angle, named, strict=True), start=1)
    lines += [f"{i:06d}@{stack_name} {u:.2f} {v:.2f} {angle:.3f} 1{name}" for i, (u, v, angle, name) in table]
    star = folder / "relion.star"
    star.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return star


def run_relion(folder: Path, output: Path, classes: int, seed: int, search: Search) -> RelionClasses:
    """Classify the simulated set in ``folder``.

    Raises
    ------
    RuntimeError
        When RELION fails.
    """
    output.mkdir(exist_ok=True)
    with mrcfile.open(folder / "particles.mrcs", header_only=True) as stack:
        box, pixel = int(stack.header.nx), float(stack.voxel_size.x)
    model = ("--ctf", "--norm", "--scale", "--flatten_solvent", "--zero_mask", "--tau2_fudge", 2, "--pad", 2)
    size = ("--particle_diameter", int(DIAMETER * box * pixel), "--K", classes)
    where = ("--i", relion_star(folder, pixel, box), "--o", output / "run", "--random_seed", seed)
    running = ("--j", 1, "--pool", 30, "--dont_combine_weights_via_disc")
    command = [PROGRAM, *map(str, (*where, *size, *model, *running)), *search.options()]
    return read_relion(output, search.iterations, run_command(command, 1, output / "log.txt"))


def read_relion(output: Path, iteration: int, cost: Cost) -> RelionClasses:
    """What RELION wrote after an iteration."""
    blocks = read_blocks(output / f"run_it{iteration:03d}_data.star")
    table, pixel = blocks["particles"], float(blocks["optics"]["rlnImagePixelSize"][0])
    number = np.array([int(str(name).partition("@")[0]) for name in table["rlnImageName"]])
    order = np.argsort(number)
    columns = ("rlnAnglePsi", "rlnOriginXAngst", "rlnOriginYAngst")
    psi, x, y = (np.asarray(table[name], dtype=np.float64)[order] for name in columns)
    model = read_blocks(output / f"run_it{iteration:03d}_model.star")["model_classes"]
    return RelionClasses(
        labels=np.asarray(table["rlnClassNumber"], dtype=np.int64)[order] - 1,
        poses=from_relion(psi, x, y, pixel),
        averages=mrcfile.read(output / f"run_it{iteration:03d}_classes.mrcs"),
        resolution_angstrom=np.asarray(model["rlnEstimatedResolution"], dtype=np.float64),
        cost=cost,
    )


def write_as_ours(folder: Path, output: Path, found: RelionClasses) -> None:
    """The classes of the set in ``folder`` as ``evaluate`` reads them: particles, averages, stated resolutions."""
    with mrcfile.open(folder / "particles.mrcs", header_only=True) as stack:
        pixel = float(stack.voxel_size.x)
    poses = {"anglePsi": found.poses.psi_deg, "shiftX": found.poses.shift_x_px, "shiftY": found.poses.shift_y_px}
    write_particles(output / PARTICLES, read_particles(folder / "particles.xmd"), {"ref": found.labels + 1, **poses})
    write_stack(output / AVERAGES, found.averages, pixel)
    stated = [float(value) if np.isfinite(value) else None for value in found.resolution_angstrom]
    write_json(output / SUMMARY, {"classes": {"resolution_angstrom": stated}})
