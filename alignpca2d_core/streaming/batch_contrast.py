"""The contrast of a batch's micrographs, told from how its particles fit the classes of the stream."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..io.particle_set import ParticleSet
from ..preprocessing.micrograph_scales import MicrographScales, larger_of
from ..preprocessing.preprocess import Vectors
from .running_classes import RunningClasses

UNLIKE = 0.2
"""Logarithm of a scale from which on particles are compared again, as strong or as weak as they are."""
RATIOS = np.linspace(0.0, 100.0, 2001)
"""What a usual particle may reach."""


def contrast_of(
    particles: ParticleSet, rows: NDArray[np.int64], score: Tensor, classes: RunningClasses
) -> Tensor | None:
    """The scales of the particles at some rows (n,) of a batch, whose contrast is not known yet, (n,).

    Parameters
    ----------
    particles : ParticleSet
        Of the batch.
    score : (n,) Tensor
        Against noise, with their classes.
    classes : RunningClasses
        The scores of their members say what is usual.

    Returns
    -------
    None where the batch names no micrographs, or no class is unlike noise.
    """
    scales = MicrographScales.of(particles.subset(rows), fewest=1) if classes.method.SCALES else None
    real = classes.moments.is_real()
    if scales is None or not real.any():
        return None
    noise = classes.noise_scores.mean, classes.noise_scores.deviation
    reached = classes.moments.summed(real)[0] * noise[1] + noise[0]
    usual = float(RATIOS[np.abs(larger_of(RATIOS, *noise) - reached).argmin()])
    all_rows = np.arange(len(rows))
    scales.learn(all_rows, score * noise[1] + noise[0], torch.full_like(score, usual), noise, common=1.0)
    return scales.of_rows(all_rows)


def in_contrast(
    batches: Iterable[tuple[NDArray[np.int64], Vectors]], scale: Tensor
) -> Iterator[tuple[NDArray[np.int64], Vectors]]:
    """Rows and vectors, these in the contrast of each of the n particles, (n,)."""
    known = bool((scale != 1).any())
    for rows, vectors in batches:
        yield rows, vectors.scaled(scale[torch.from_numpy(rows)].to(vectors.z.device)) if known else vectors
