"""What a simulation's particles are: view, conformation, pose and optics of each, drawn by the seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .ctf import CtfParameters
from .settings import SimulationSettings
from .transforms import Poses, invert

JUNK = -1


@dataclass(frozen=True)
class DrawnParticles:
    """What each of n particles is.

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

    def __len__(self) -> int:
        return len(self.view)


def view_sizes(settings: SimulationSettings) -> NDArray[np.int64]:
    """Particles per view, junk last: (views + 1,), a geometric series from the largest view to the smallest."""
    junk = round(settings.junk_fraction * settings.particles)
    share = settings.view_ratio ** -np.linspace(0.0, 1.0, settings.views)
    edges = np.round(np.cumsum(share) / share.sum() * (settings.particles - junk)).astype(np.int64)
    return np.append(np.diff(edges, prepend=0), junk)


def draw_particles(settings: SimulationSettings) -> DrawnParticles:
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
    return DrawnParticles(view, np.where(view == JUNK, 0, conformation), invert(displaced), ctf)
