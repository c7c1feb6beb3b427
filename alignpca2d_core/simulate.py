"""The paper's simulated experiment (section 3.1.1) at any size: specimen → views → particles on disk."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from . import __version__
from .atomic import write_json
from .ctf import CtfParameters
from .density import read_map
from .imaging import Microscope
from .phantom import make_phantom
from .progress import Progress
from .settings import SimulationSettings
from .simulation_files import StackWriter, write_particles, write_truth
from .specimen import Specimen, read_structure, rotation_matrices
from .stacks import write_stack
from .transforms import Poses, invert
from .views import choose_directions

JUNK = -1
BATCH = 128
PILOT_PARTICLES = 1000


@dataclass(frozen=True)
class Truth:
    """What each particle is.

    Parameters
    ----------
    view : (n,) integers, from 0; -1 for junk
    conformation : (n,) integers, 0 or 1
    poses : the transforms that align the particles to their views
    ctf : the particles' optics
    """

    view: NDArray[np.int64]
    conformation: NDArray[np.int64]
    poses: Poses
    ctf: CtfParameters


def load_specimen(settings: SimulationSettings) -> Specimen:
    """The map, the structure or the phantom that the settings name."""
    if settings.map is not None:
        return read_map(Path(settings.map))
    if settings.structure is not None:
        return read_structure(Path(settings.structure))
    return make_phantom(settings.phantom, settings.specimen_seed, settings.box * settings.sampling_rate)


def project_views(settings: SimulationSettings) -> tuple[torch.Tensor, NDArray[np.float64]]:
    """Centred views (conformations·views, D, D), those of the second conformation last, and directions (views, 2)."""
    specimen = load_specimen(settings)
    rng = np.random.default_rng([settings.specimen_seed, 1])
    field = settings.box * settings.sampling_rate
    directions = choose_directions(specimen, settings.views, field, settings.view_selection, rng)
    rotations = rotation_matrices(directions[:, 0], directions[:, 1], np.zeros(len(directions)))
    shapes = [specimen, specimen.bent()] if settings.second_conformation > 0 else [specimen]
    views = torch.cat([shape.project(rotations, settings.box, settings.sampling_rate) for shape in shapes])
    return views / views.std(), directions


def view_sizes(settings: SimulationSettings) -> NDArray[np.int64]:
    """Particles per view, junk last: (views + 1,), a geometric series from the largest view to the smallest."""
    junk = round(settings.junk_fraction * settings.particles)
    share = settings.view_ratio ** -np.linspace(0.0, 1.0, settings.views)
    edges = np.round(np.cumsum(share) / share.sum() * (settings.particles - junk)).astype(np.int64)
    return np.append(np.diff(edges, prepend=0), junk)


def draw_truth(settings: SimulationSettings) -> Truth:
    """Views, conformations, poses and optics of all particles, drawn by the seed."""
    rng = np.random.default_rng([settings.seed, 2])
    count = settings.particles
    view = np.repeat(np.append(np.arange(settings.views), JUNK), view_sizes(settings))
    if settings.order == "shuffled":
        rng.shuffle(view)
    reach = settings.max_shift * settings.box
    displaced = Poses(
        rng.uniform(0.0, 360.0, count), rng.uniform(-reach, reach, count), rng.uniform(-reach, reach, count)
    )
    conformation = (rng.uniform(size=count) < settings.second_conformation).astype(np.int64)
    mean = rng.uniform(settings.defocus_min, settings.defocus_max, count) * 1e4
    half = rng.uniform(0.0, 0.5, count) * settings.astigmatism * 1e4
    whole = np.ones(count)
    ctf = CtfParameters(
        mean + half,
        mean - half,
        rng.uniform(0.0, 180.0, count),
        settings.voltage * whole,
        settings.cs * whole,
        settings.q0 * whole,
        0.0 * whole,
    )
    return Truth(view, np.where(view == JUNK, 0, conformation), invert(displaced), ctf)


def noisy_batches(microscope: Microscope, truth: Truth, seed: int) -> Iterator[torch.Tensor]:
    """Batches (b, D, D) of particles: signal plus white noise of variance 1."""
    noise = torch.Generator().manual_seed(seed)
    for start in range(0, len(truth.view), BATCH):
        signal = microscope.signal(truth, np.arange(start, min(start + BATCH, len(truth.view))), noise)
        yield signal.add_(torch.randn(signal.shape, generator=noise))


def simulate(settings: SimulationSettings, directory: Path, progress: Progress | None = None) -> None:
    """Write particles.mrcs, particles.xmd, truth.csv, views.mrcs and simulation.json into ``directory``.

    The noise has variance 1 and the signal's variance over the whole box is ``snr`` on average over the
    particles; ``views.mrcs`` is in the same unit, so that particle = CTF·(moved view) + noise.

    Parameters
    ----------
    settings : what to simulate
    directory : made where it does not exist
    progress : where to report; silent by default

    Raises
    ------
    InputError
        When the map or structure cannot be used.
    """
    progress = progress or Progress(quiet=True)
    with progress.stage("Views"):
        views, directions = project_views(settings)
    directory.mkdir(parents=True, exist_ok=True)
    truth = draw_truth(settings)
    microscope = Microscope(settings, views)
    pilot = np.random.default_rng([settings.seed, 3]).permutation(np.flatnonzero(truth.view != JUNK))
    microscope.scale_to_snr(truth, np.sort(pilot[:PILOT_PARTICLES]))
    with progress.stage("Particles", total=settings.particles) as stage, StackWriter(directory, settings) as stacks:
        for batch in noisy_batches(microscope, truth, settings.seed):
            stacks.append(batch)
            stage.advance(len(batch))
    write_stack(directory / "views.mrcs", microscope.views.numpy(), settings.sampling_rate)
    write_truth(directory / "truth.csv", truth)
    write_particles(directory / "particles.xmd", stacks.names, None if settings.no_ctf else truth.ctf)
    record = {
        "version": __version__,
        "settings": dataclasses.asdict(settings),
        "directions_rot_tilt_deg": directions.round(4),
    }
    write_json(directory / "simulation.json", record)
