"""Particles of continuous views, cut out of simulated micrographs: specimen → picks → boxes on disk."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import __version__
from ..io.atomic_files import write_json
from ..maps.density import Density, read_map
from ..maps.views import group_of
from ..runtime.progress import Progress
from ..settings import SimulationSettings
from .junk_kinds import EMPTY
from .micrograph_imaging import MicrographImaging
from .particle_sampling import JUNK
from .phantom import make_phantom
from .picked_particles import PickedParticles, pick_particles
from .simulation_files import StackWriter, write_csv, write_particles, write_volume
from .specimen import Scatterers, read_structure
from .symmetry import check_symmetry, symmetrised

DENSITY = "density.mrc"


def load_density(settings: SimulationSettings) -> Density:
    """The specimen as a map that has the symmetry of the settings.

    Raises
    ------
    InputError
        When the map or structure cannot be used or lacks the symmetry.
    """
    field = settings.box * settings.sampling_rate
    group_of(settings.symmetry)
    if settings.map is not None:
        density = read_map(Path(settings.map))
        check_symmetry(density, settings.symmetry, field)
        return density
    if settings.structure is not None:
        points: Scatterers = read_structure(Path(settings.structure))
        check_symmetry(points, settings.symmetry, field)
    else:
        points = symmetrised(make_phantom(settings.phantom, settings.specimen_seed, field), settings.symmetry)
    return Density(points.volume(settings.box, settings.sampling_rate), settings.sampling_rate)


def simulate_micrographs(settings: SimulationSettings, directory: Path, progress: Progress) -> None:
    """Write particles.mrcs, particles.xmd, truth.csv, density.mrc and simulation.json into ``directory``.

    Raises
    ------
    InputError
        When the map or structure cannot be used.
    """
    density, picked = load_density(settings), pick_particles(settings)
    directory.mkdir(parents=True, exist_ok=True)
    imaging = MicrographImaging(settings, density, picked)
    with progress.stage("Particles", total=settings.particles) as stage, StackWriter(directory, settings) as stacks:
        for batch in imaging.boxes():
            stacks.append(batch)
            stage.advance(len(batch))
    write_volume(directory / DENSITY, density.volume.numpy(), density.sampling_rate)
    write_csv(directory / "truth.csv", truth_columns(picked))
    ctf = None if settings.no_ctf else picked.stated_ctf
    write_particles(directory / "particles.xmd", stacks.names, ctf, micrograph_columns(picked))
    write_json(directory / "simulation.json", {"version": __version__, "settings": dataclasses.asdict(settings)})


def truth_columns(picked: PickedParticles) -> dict[str, NDArray[Any]]:
    """The columns of truth.csv.

    Those of :func:`.simulation_files.write_truth` come first, where view is 0 for particles and psi, shiftX and
    shiftY align the box to the projection at (rot, tilt, 0), so that the third Euler angle is −psi; defocus is
    the true one.  ``border`` is by how many pixels the box reaches beyond the micrograph.
    """
    empty = picked.kind == EMPTY
    return {
        "itemId": np.arange(1, len(picked) + 1),
        "view": np.where(picked.is_particle, 0, JUNK),
        "conformation": np.zeros(len(picked), dtype=np.int64),
        "psi": picked.poses.psi_deg.round(6),
        "shiftX": picked.poses.shift_x_px.round(6),
        "shiftY": picked.poses.shift_y_px.round(6),
        "defocusU": picked.ctf.defocus_u.round(2),
        "defocusV": picked.ctf.defocus_v.round(2),
        "defocusAngle": picked.ctf.defocus_angle.round(4),
        "noise": empty.astype(np.int64),
        "offCentre": picked.off_centre.astype(np.int64),
        "rot": picked.rot_deg.round(6),
        "tilt": picked.tilt_deg.round(6),
        "kind": picked.kind,
        "neighbour": picked.neighbour.astype(np.int64),
        "border": picked.border_px.max(axis=1),
        "thickness": picked.thickness.round(5),
        "gain": picked.gain.round(5),
    }


def micrograph_columns(picked: PickedParticles) -> dict[str, NDArray[Any]]:
    """Xmipp's labels of where each box was cut out."""
    width = len(str(int(picked.micrograph.max()) + 1))
    names = [f"micrograph_{number + 1:0{width}d}.mrc" for number in picked.micrograph]
    return {
        "micrograph": np.array(names, dtype=object),
        "micrographId": picked.micrograph + 1,
        "xcoor": picked.x_px.astype(np.int64),
        "ycoor": picked.y_px.astype(np.int64),
    }
