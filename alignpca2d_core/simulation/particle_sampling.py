"""What a simulation's particles are: view, conformation, pose and optics of each, drawn by the seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..fourier.ctf import CtfParameters
from ..fourier.rigid_transforms import Poses, invert
from ..settings import SimulationSettings

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
    noise : (n,) bool, junk that holds nothing at all
    off_centre : (n,) bool, particles further off centre than the others
    """

    view: NDArray[np.int64]
    conformation: NDArray[np.int64]
    poses: Poses
    ctf: CtfParameters
    noise: NDArray[np.bool_]
    off_centre: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.view)


def view_sizes(settings: SimulationSettings) -> NDArray[np.int64]:
    """Particles per view, junk last: (views + 1,), a geometric series from the largest view to the smallest."""
    junk = round((settings.junk_fraction + settings.noise_fraction) * settings.particles)
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
    turn, x, y = rng.uniform(0.0, 360.0, count), rng.uniform(-reach, reach, count), rng.uniform(-reach, reach, count)
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
    # Drawn last and by a generator of their own: sets without them stay as they were.
    rng = np.random.default_rng([settings.seed, 4])
    noise = chosen(np.flatnonzero(view == JUNK), settings.noise_fraction, count, rng)
    off_centre = chosen(np.flatnonzero(view != JUNK), settings.off_centre_fraction, count, rng)
    x[off_centre], y[off_centre] = off_centre_shifts(settings, int(off_centre.sum()), rng)
    poses = invert(Poses(turn, x, y))
    return DrawnParticles(view, np.where(view == JUNK, 0, conformation), poses, ctf, noise, off_centre)


def chosen(among: NDArray[np.int64], share_of_all: float, count: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """A random choice of the rows ``among``, as many as the share of all ``count`` particles says; (count,) bool."""
    some = np.zeros(count, dtype=np.bool_)
    some[rng.permutation(among)[: round(share_of_all * count)]] = True
    return some


def off_centre_shifts(
    settings: SimulationSettings, count: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Shifts in x and y, (count,) pixels: the larger of the two beyond what other particles have."""
    inner, outer = settings.max_shift * settings.box, settings.off_centre_shift * settings.box
    # The area of a square grows with the square of its side: this fills the frame between the two evenly.
    far = np.sqrt(rng.uniform(inner**2, outer**2, count)) * rng.choice((-1.0, 1.0), count)
    near = rng.uniform(-1.0, 1.0, count) * np.abs(far)
    along_x = rng.uniform(size=count) < 0.5
    return np.where(along_x, far, near), np.where(along_x, near, far)
