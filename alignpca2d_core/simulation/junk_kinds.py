"""Junk by kind: what a picker takes for particles, drawn on the field that a box lies in."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

FloatArray = NDArray[np.float64]
PARTICLE, EMPTY, CONTAMINANT, EDGE, AGGREGATE, BEAD = (
    *("particle", "empty", "contaminant", "edge"),
    *("aggregate", "bead"),
)
KINDS = (EMPTY, CONTAMINANT, EDGE, AGGREGATE, BEAD)
BEAD_RADIUS_ANGSTROM = (25.0, 60.0)
"""Colloidal gold of 5 to 12 nm."""


def kind_weights(text: str) -> dict[str, float]:
    """Kinds and weights from ``empty:5,edge:2``; a kind without a weight has 1.

    Raises
    ------
    InputError
        For a kind that is not there or a weight that is no positive number.
    """
    weights = {}
    for part in filter(None, text.split(",")):
        kind, _, weight = part.strip().partition(":")
        try:
            weights[kind] = float(weight or 1.0)
        except ValueError:
            weights[kind] = -1.0
        if kind not in KINDS or not 0 < weights[kind] < np.inf:
            raise InputError(f"--junk-kinds {part.strip()}: give KIND or KIND:WEIGHT, KIND one of {', '.join(KINDS)}")
    if not weights:
        raise InputError("--junk-kinds: names no kind; to have no junk give --junk-fraction 0")
    return weights


def junk_density(kind: str, side: int, box: int, sampling_rate: float, rng: np.random.Generator) -> FloatArray:
    """Projected density (side, side) of junk about the centre of a field, in units of a particle's peak.

    Parameters
    ----------
    kind : contaminant, edge or bead
    side, box : of the field and of the box in its middle, pixels
    sampling_rate : Å/px
    """
    axis = np.arange(side) - side // 2
    x, y = np.meshgrid(axis, axis)
    if kind == CONTAMINANT:
        return np.sum([_crystal(x, y, box, rng) for _ in range(rng.integers(1, 4))], axis=0)
    if kind == EDGE:
        return _edge(x, y, box, rng)
    return np.sum([_bead(x, y, box, sampling_rate, rng) for _ in range(rng.integers(1, 3))], axis=0)


def _crystal(x: NDArray[np.int64], y: NDArray[np.int64], box: int, rng: np.random.Generator) -> FloatArray:
    """Crystalline ice: a disc or a hexagon, smooth, as dense as a particle or much denser."""
    centre_x, centre_y = rng.normal(0.0, 0.15 * box, 2)
    radius, strength = rng.uniform(0.08, 0.28) * box, np.exp(rng.uniform(np.log(0.8), np.log(6.0)))
    distance = np.hypot(x - centre_x, y - centre_y)
    if rng.uniform() < 0.5:
        azimuth = np.arctan2(y - centre_y, x - centre_x) + rng.uniform(0.0, np.pi)
        within_face = azimuth % (np.pi / 3.0) - np.pi / 6.0
        distance = distance * np.cos(within_face) / np.cos(np.pi / 6.0)
    return strength * _soft_step(radius - distance, 0.03 * box)


def _edge(x: NDArray[np.int64], y: NDArray[np.int64], box: int, rng: np.random.Generator) -> FloatArray:
    """The rim of a hole in carbon or gold: straight, with a rough film beyond it."""
    azimuth, offset = rng.uniform(0.0, 2.0 * np.pi), rng.uniform(-0.3, 0.3) * box
    strength = np.exp(rng.uniform(np.log(0.5), np.log(4.0)))
    side = len(x)
    frequency = np.hypot(np.fft.rfftfreq(side)[None, :], np.fft.fftfreq(side)[:, None])
    spectrum = np.fft.rfft2(rng.normal(size=x.shape)) * np.exp(-((frequency / 0.3) ** 2))
    rough = np.fft.irfft2(spectrum, s=x.shape)
    beyond = np.cos(azimuth) * x + np.sin(azimuth) * y - offset
    return _soft_step(beyond, 0.015 * box) * (strength + 0.25 * rough / rough.std())


def _bead(
    x: NDArray[np.int64], y: NDArray[np.int64], box: int, sampling_rate: float, rng: np.random.Generator
) -> FloatArray:
    """A gold bead: a small sphere that is much denser than protein."""
    centre_x, centre_y = rng.normal(0.0, 0.12 * box, 2)
    radius = rng.uniform(*BEAD_RADIUS_ANGSTROM) / sampling_rate
    height = np.sqrt(np.clip(1.0 - ((x - centre_x) ** 2 + (y - centre_y) ** 2) / radius**2, 0.0, None))
    return np.asarray(rng.uniform(4.0, 10.0) * height)


def _soft_step(distance: FloatArray, width: float) -> FloatArray:
    """From 0 where the distance is far below 0 to 1 where it is far above."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * distance / width)))
