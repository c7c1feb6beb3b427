"""Specimens of our own: protein-like bodies of beads, each a list of ellipsoidal domains.

They differ where classifications do: in symmetry, in size, and in how much of the signal the domains
that tell one view from another carry.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .specimen import Scatterers

FloatArray = NDArray[np.float64]
BEAD_SPACING_ANGSTROM = 5.0
MOST_BEADS = 20_000
POCKET_ANGSTROM = 14.0
POCKET_SHARE = 0.3


@dataclass(frozen=True)
class Domain:
    """An ellipsoid; lengths in units of the specimen's radius.

    Parameters
    ----------
    centre, axes : (x, y, z), the three half axes
    density : beads weigh this much
    hollow : share of the radii that is empty inside
    """

    centre: tuple[float, float, float]
    axes: tuple[float, float, float]
    density: float = 1.0
    hollow: float = 0.0


def _ring(
    count: int, radius: float, height: float, axes: tuple[float, float, float], twist: float = 0.0
) -> list[Domain]:
    angles = 2.0 * np.pi * np.arange(count) / count + twist
    return [Domain((radius * float(np.cos(a)), radius * float(np.sin(a)), height), axes) for a in angles]


def _chain(rng: np.random.Generator) -> list[Domain]:
    """An asymmetric body: each domain touches one of those before it."""
    domains = [Domain((0.0, 0.0, 0.0), (0.38, 0.3, 0.33), 1.0)]
    while len(domains) < 8:
        half = rng.uniform(0.14, 0.34, 3)
        direction = rng.normal(size=3)
        direction /= np.linalg.norm(direction)
        root = domains[rng.integers(len(domains))]
        centre = np.array(root.centre) + direction * (min(root.axes) + half.min()) * 0.95
        if np.linalg.norm(centre) + half.max() < 1.0:
            x, y, z = (float(v) for v in centre)
            a, b, c = (float(v) for v in half)
            domains.append(Domain((x, y, z), (a, b, c), float(rng.uniform(0.8, 1.2))))
    return domains


def _knob(rng: np.random.Generator) -> list[Domain]:
    """One dense knob that dominates every view, and faint limbs that tell the views apart."""
    domains = [Domain((0.0, 0.0, 0.0), (0.34, 0.3, 0.32), 3.0)]
    for _ in range(5):
        direction = rng.normal(size=3)
        for reach in (0.4, 0.6, 0.8):
            direction = direction / np.linalg.norm(direction) + rng.normal(size=3) * 0.15
            x, y, z = (float(v) for v in direction / np.linalg.norm(direction) * reach)
            domains.append(Domain((x, y, z), (0.16, 0.15, 0.16), 0.5))
    return domains


def _two_subunits(rng: np.random.Generator) -> list[Domain]:
    """A large and a small subunit with stalks, like a ribosome."""
    stalks = [Domain((0.2, 0.85, 0.1), (0.1, 0.16, 0.1)), Domain((-0.55, 0.5, 0.45), (0.16, 0.12, 0.12))]
    body = [Domain((0.15, 0.1, -0.25), (0.62, 0.62, 0.42)), Domain((-0.1, -0.1, 0.45), (0.3, 0.62, 0.26))]
    return body + stalks + [Domain((float(rng.uniform(-0.3, 0.3)), -0.7, 0.45), (0.24, 0.2, 0.2))]


def _barrel(_: np.random.Generator) -> list[Domain]:
    """Four stacked rings of seven, like a proteasome: D7."""
    blob = (0.2, 0.2, 0.2)
    rings = [_ring(7, 0.45, z, blob, t) for z, t in ((-0.66, 0.0), (-0.23, 0.1), (0.23, -0.1), (0.66, 0.0))]
    return [domain for ring in rings for domain in ring]


def _channel(_: np.random.Generator) -> list[Domain]:
    """A fourfold channel in a disc of detergent with a fourfold cap: C4."""
    disc = [Domain((0.0, 0.0, -0.25), (0.85, 0.85, 0.26), 0.45, 0.5)]
    return disc + _ring(4, 0.24, -0.25, (0.17, 0.17, 0.42)) + _ring(4, 0.42, 0.4, (0.24, 0.16, 0.24), 0.6)


def _antibody(rng: np.random.Generator) -> list[Domain]:
    """Three arms in a Y: thin and asymmetric, most of the box empty."""
    lobe = (0.22, 0.28, 0.2)
    arms = [(0.0, -0.45, 0.0), (-0.5, 0.35, 0.1), (0.52, 0.3, -0.15)]
    inner = [Domain((x * 0.5, y * 0.5, z), lobe) for x, y, z in arms]
    outer = [Domain((x * 1.15, y * 1.3, z + float(rng.uniform(-0.2, 0.2))), lobe) for x, y, z in arms]
    return inner + outer


def _lidded_ring(rng: np.random.Generator) -> list[Domain]:
    """A ring of six with a lid on one side: symmetric energy, asymmetric detail."""
    ring = _ring(6, 0.58, -0.2, (0.26, 0.26, 0.3))
    return [
        *ring,
        Domain((0.3, float(rng.uniform(-0.1, 0.1)), 0.3), (0.4, 0.22, 0.2)),
        Domain((-0.1, 0.5, 0.45), (0.15,) * 3),
    ]


SHAPES = {
    "domains": (_chain, 0.36),
    "knob": (_knob, 0.34),
    "subunits": (_two_subunits, 0.36),
    "barrel": (_barrel, 0.36),
    "channel": (_channel, 0.32),
    "antibody": (_antibody, 0.32),
    "ring": (_lidded_ring, 0.34),
}
"""Each phantom's domains, and its radius as a share of the box."""


def make_phantom(name: str, seed: int, field_angstrom: float) -> Scatterers:
    """The beads of a phantom that suits a box of ``field_angstrom`` Å.

    Parameters
    ----------
    name : one of :data:`SHAPES`
    seed : changes the arrangement of the domains (of the asymmetric ones) and of the beads

    Raises
    ------
    InputError
        For a name that is not there.
    """
    if name not in SHAPES:
        raise InputError(f"--phantom {name}: choose from {', '.join(SHAPES)}")
    shape, share = SHAPES[name]
    rng = np.random.default_rng([seed, sorted(SHAPES).index(name)])
    domains = shape(rng)
    reach = max(float(np.linalg.norm(domain.centre)) + min(domain.axes) for domain in domains)
    radius = share * field_angstrom / reach
    spacing = max(BEAD_SPACING_ANGSTROM, radius * (1.7 / MOST_BEADS) ** (1 / 3))
    positions, weights = _fill(domains, radius, spacing, rng)
    b_factor = 8.0 * np.pi**2 * (0.45 * spacing) ** 2
    kinds = np.zeros(len(positions), dtype=np.int64)
    return Scatterers(positions, weights, kinds, np.array([[[1.0, b_factor]]])).centred()


def _fill(
    domains: list[Domain], radius: float, spacing: float, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Beads on a jittered lattice inside the domains, with pockets as a protein has them."""
    axis = np.arange(-1.3 * radius, 1.3 * radius, spacing)
    lattice = np.stack(np.meshgrid(axis, axis, axis), axis=-1).reshape(-1, 3)
    lattice = lattice + rng.uniform(-0.4, 0.4, lattice.shape) * spacing
    density = np.zeros(len(lattice))
    for domain in domains:
        scaled = (lattice / radius - domain.centre) / domain.axes
        reach = np.linalg.norm(scaled, axis=1)
        density = np.maximum(density, domain.density * ((reach < 1.0) & (reach >= domain.hollow)))
    waves = rng.normal(size=(24, 3)) / POCKET_ANGSTROM * 2.0
    texture = np.cos(lattice @ waves.T + rng.uniform(0, 2 * np.pi, 24)).sum(axis=1)
    filled = density > 0
    filled[filled] = texture[filled] > np.quantile(texture[filled], POCKET_SHARE)
    return lattice[filled], density[filled]
