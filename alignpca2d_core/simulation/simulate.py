"""The paper's simulated experiment (section 3.1.1) at any size: specimen → views → particles on disk."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from .. import __version__
from ..io.atomic_files import write_json
from ..io.stacks import write_stack
from ..maps.density import read_map
from ..maps.views import rotation_matrices
from ..runtime.progress import Progress
from ..settings import SimulationSettings
from .image_formation import Microscope
from .particle_sampling import JUNK, DrawnParticles, draw_particles
from .phantom import make_phantom
from .simulated_micrographs import simulate_micrographs
from .simulation_files import StackWriter, write_particles, write_truth
from .specimen import Specimen, read_structure
from .viewing_directions import choose_directions

LARGEST_BATCH = 128
PIXELS_PER_BATCH = 2**23
MOST_PILOTS, LEAST_PILOTS = 1000, 100
PIXELS_OF_PILOTS = 2**26


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


def pilots(drawn: DrawnParticles, side: int, seed: int) -> NDArray[np.int64]:
    """Rows of the particles whose signal sets the scale: some that are no junk, fewer in a large box."""
    some = np.random.default_rng([seed, 3]).permutation(np.flatnonzero(drawn.view != JUNK))
    return np.sort(some[: int(np.clip(PIXELS_OF_PILOTS // side**2, LEAST_PILOTS, MOST_PILOTS))])


def noisy_batches(microscope: Microscope, drawn: DrawnParticles, seed: int) -> Iterator[torch.Tensor]:
    """Batches (b, D, D) of particles: signal plus white noise of variance 1."""
    noise = torch.Generator().manual_seed(seed)
    size = int(np.clip(PIXELS_PER_BATCH // microscope.side**2, 1, LARGEST_BATCH))
    for start in range(0, len(drawn), size):
        signal = microscope.signal(drawn, np.arange(start, min(start + size, len(drawn))), noise)
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

    Continuous orientations are made by :mod:`.simulated_micrographs`.
    """
    progress = progress or Progress(quiet=True)
    if settings.orientations != "discrete":
        simulate_micrographs(settings, directory, progress)
    else:
        _simulate_views(settings, directory, progress)


def _simulate_views(settings: SimulationSettings, directory: Path, progress: Progress) -> None:
    """Discrete views in white noise, as in the paper."""
    views, directions = project_views(settings)
    directory.mkdir(parents=True, exist_ok=True)
    drawn = draw_particles(settings)
    microscope = Microscope(settings, views)
    microscope.scale_to_snr(drawn, pilots(drawn, microscope.side, settings.seed))
    with progress.stage("Particles", total=settings.particles) as stage, StackWriter(directory, settings) as stacks:
        for batch in noisy_batches(microscope, drawn, settings.seed):
            stacks.append(batch)
            stage.advance(len(batch))
    write_stack(directory / "views.mrcs", microscope.views.numpy(), settings.sampling_rate)
    write_truth(directory / "truth.csv", drawn)
    write_particles(directory / "particles.xmd", stacks.names, None if settings.no_ctf else drawn.ctf)
    record = {
        "version": __version__,
        "settings": dataclasses.asdict(settings),
        "directions_rot_tilt_deg": directions.round(4),
    }
    write_json(directory / "simulation.json", record)
