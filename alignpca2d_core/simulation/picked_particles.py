"""What a picker delivers from simulated micrographs: kind, direction, pose, optics and surroundings of each box."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..fourier.ctf import CtfParameters
from ..fourier.rigid_transforms import Poses, invert
from ..settings import SimulationSettings
from .junk_kinds import PARTICLE, kind_weights
from .orientations import draw_directions, euler_angles

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
PER_MICROGRAPH = 60
PICK_SPREAD = 0.3
"""Standard deviation of a picker's error, as a share of the largest."""
HEIGHT_ANGSTROM = 100.0
"""Standard deviation of the particles' height in the ice, which no stated defocus knows."""
BORDER_SHARE = (0.05, 0.25)
CELL = 1.5
"""Side of the part of a micrograph that each particle has, in boxes."""


@dataclass(frozen=True)
class PickedParticles:
    """What each of n boxes holds.

    Parameters
    ----------
    kind : (n,) ``particle`` or one of :data:`.junk_kinds.KINDS`
    rot_deg, tilt_deg : (n,) direction that the particle is seen from
    poses : the transforms that align the boxes to the projections at (rot, tilt, 0)
    ctf, stated_ctf : the true optics, and those that the metadata tells
    micrograph : (n,) from 0
    x_px, y_px : (n,) centre of the box in its micrograph
    thickness, gain : (n,) of the micrograph, 1 on average over their logarithms
    neighbour, off_centre : (n,) bool
    border_px : (n, 4) pixels beyond the micrograph on the left, right, upper and lower side of the box
    """

    kind: NDArray[np.str_]
    rot_deg: FloatArray
    tilt_deg: FloatArray
    poses: Poses
    ctf: CtfParameters
    stated_ctf: CtfParameters
    micrograph: NDArray[np.int64]
    x_px: FloatArray
    y_px: FloatArray
    thickness: FloatArray
    gain: FloatArray
    neighbour: BoolArray
    off_centre: BoolArray
    border_px: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.kind)

    @property
    def is_particle(self) -> BoolArray:
        """(n,) bool."""
        return np.asarray(self.kind == PARTICLE)


def pick_particles(settings: SimulationSettings) -> PickedParticles:
    """Draw all boxes by the seed.

    Each property has a generator of its own: an option that is changed leaves all else as it was.
    """

    def generator(number: int) -> np.random.Generator:
        return np.random.default_rng([settings.seed, 10, number])

    count, rng = settings.particles, generator(0)
    directions = draw_directions(count, settings.orientations, settings.preferred_fraction, rng)
    rot, tilt = euler_angles(directions)
    kind = _kinds(settings, generator(1))
    turn, (x, y, off_centre) = generator(2).uniform(0.0, 360.0, count), _offsets(settings, generator(3))
    micrographs = settings.micrographs or -(-count // PER_MICROGRAPH)
    micrograph = np.arange(count) * micrographs // count
    ctf, stated = _optics(settings, micrograph, generator(4))
    column, row, border = _places(settings, micrograph, generator(5))
    neighbour = (generator(6).uniform(size=count) < settings.neighbours) & (kind == PARTICLE)
    thickness, gain = (
        np.exp(generator(number).normal(0.0, spread, micrographs))[micrograph]
        for number, spread in ((7, settings.ice_thickness), (8, settings.gain))
    )
    return PickedParticles(
        kind=kind,
        rot_deg=rot,
        tilt_deg=tilt,
        poses=invert(Poses(turn, x, y)),
        ctf=ctf,
        stated_ctf=stated,
        micrograph=micrograph,
        x_px=column,
        y_px=row,
        thickness=thickness,
        gain=gain,
        neighbour=neighbour,
        off_centre=off_centre & (kind == PARTICLE),
        border_px=border,
    )


def _kinds(settings: SimulationSettings, rng: np.random.Generator) -> NDArray[np.str_]:
    """(n,) kinds, exactly as many as the shares say, in random order."""
    weights, count = kind_weights(settings.junk_kinds), settings.particles
    share = np.cumsum(list(weights.values())) / sum(weights.values())
    edges = np.round(share * settings.junk_fraction * count).astype(int)
    sizes = np.append(np.diff(edges, prepend=0), count - edges[-1])
    return rng.permutation(np.repeat(np.array([*weights, PARTICLE]), sizes))


def _offsets(settings: SimulationSettings, rng: np.random.Generator) -> tuple[FloatArray, FloatArray, BoolArray]:
    """How far particles are off the centre of their boxes in x and y, pixels, and which further than others."""
    count, most = settings.particles, settings.max_shift * settings.box
    x, y = rng.normal(0.0, PICK_SPREAD * most, (2, count))
    shorter = np.minimum(1.0, most / np.maximum(np.hypot(x, y), 1e-9))
    far = rng.uniform(size=count) < settings.off_centre_fraction
    radius = rng.uniform(most, max(most, settings.off_centre_shift * settings.box), count)
    azimuth = rng.uniform(0.0, 2.0 * np.pi, count)
    x = np.where(far, radius * np.cos(azimuth), x * shorter)
    y = np.where(far, radius * np.sin(azimuth), y * shorter)
    return x, y, far


def _optics(
    settings: SimulationSettings, micrograph: NDArray[np.int64], rng: np.random.Generator
) -> tuple[CtfParameters, CtfParameters]:
    """True and stated optics: a defocus per micrograph, particles at their own heights, errors of the fit."""
    count, micrographs = len(micrograph), int(micrograph[-1]) + 1
    mean = rng.uniform(settings.defocus_min, settings.defocus_max, micrographs)[micrograph] * 1e4
    half = rng.uniform(0.0, 0.5 * settings.astigmatism, micrographs)[micrograph] * 1e4
    angle = rng.uniform(0.0, 180.0, micrographs)[micrograph]
    height = rng.normal(0.0, HEIGHT_ANGSTROM, count)
    error, of_half, of_angle = rng.normal(size=(3, micrographs))[:, micrograph]
    wrong = settings.defocus_error * 1e4
    whole = np.ones(count)
    fixed = (settings.voltage * whole, settings.cs * whole, settings.q0 * whole, 0.0 * whole)
    if wrong == 0:
        exact = CtfParameters(mean + half, mean - half, angle, *fixed)
        return exact, exact
    true = CtfParameters(mean + height + half, mean + height - half, angle, *fixed)
    stated_mean = mean + wrong * error
    stated_half = half + 0.25 * wrong * of_half * (settings.astigmatism > 0)
    turned = angle + 5.0 * of_angle * (settings.astigmatism > 0)
    stated = replace(
        true,
        defocus_u=stated_mean + stated_half,
        defocus_v=stated_mean - stated_half,
        defocus_angle=turned % 180.0,
    )
    return true, stated


def _places(
    settings: SimulationSettings, micrograph: NDArray[np.int64], rng: np.random.Generator
) -> tuple[FloatArray, FloatArray, NDArray[np.int64]]:
    """Centres of the boxes, x and y, on a jittered lattice of their micrograph, and how far they reach beyond it."""
    box, count = settings.box, len(micrograph)
    first = np.searchsorted(micrograph, micrograph)
    cells = int(np.ceil(np.sqrt(np.bincount(micrograph).max())))
    side = int(np.ceil((cells * CELL + 1.0) * box))
    lattice = np.stack(np.divmod(np.arange(count) - first, cells))[::-1]
    places = (lattice + 0.5) * CELL * box + 0.5 * box + rng.uniform(-0.2, 0.2, (2, count)) * box
    over = rng.uniform(size=count) < settings.borders
    share, which = rng.uniform(*BORDER_SHARE, count), rng.integers(0, 4, count)
    border = np.zeros((count, 4), dtype=np.int64)
    border[over, which[over]] = np.maximum(1, (share[over] * box).astype(int))
    beyond = border.max(axis=1)
    for axis in (0, 1):
        low, high = over & (which == 2 * axis), over & (which == 2 * axis + 1)
        places[axis, low] = box // 2 - beyond[low]
        places[axis, high] = side - (box - box // 2) + beyond[high]
    return places[0].round(), places[1].round(), border
