"""Particles of the other contrast than those before them: they fit the references better with these turned over."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..averaging.usable_particles import spread
from ..io.particle_set import ParticleSet
from ..preprocessing.preprocess import Vectors
from ..results.contrast_check import LEAST_IN_GROUP, ONE_SIDED, groupings, named_groups
from .running_classes import RunningClasses

LEAST_SAMPLE, MOST_SAMPLE, SAMPLE_SHARE = 20, 64, 8
"""Particles of a batch that are looked at: one in so many, and no fewer or more than these."""
CERTAIN = 3.0
"""Mean gain of a group, in its standard error, from which on its contrast is told."""


class ContrastWatch:
    """What each batch of an update says of its contrast."""

    def __init__(self) -> None:
        self._seen: list[tuple[ParticleSet, NDArray[np.float64]]] = []

    def look(self, particles: ParticleSet, vectors: Vectors, references: Tensor, classes: RunningClasses) -> None:
        """Compare some particles of a batch (n) with the references (v, m) as they are, and turned over."""
        some = spread(len(particles), max(LEAST_SAMPLE, min(MOST_SAMPLE, len(particles) // SAMPLE_SHARE)))
        chosen = vectors.rows(torch.from_numpy(some))
        white, dark = (classes.locate(chosen, way * references).best(1).score[:, 0] for way in (1.0, -1.0))
        self._seen.append((particles.subset(some), (dark - white).double().cpu().numpy()))

    def warnings(self) -> Iterator[str]:
        """A line for each batch that has particles of the other contrast."""
        for particles, gain in self._seen:
            everything = np.full(len(gain), "", dtype=object)
            for kind, groups in (("", everything), *groupings(particles)):
                dark = [name for name in np.unique(groups) if fits_turned_over(gain[groups == name])]
                if dark:
                    which = f"particles of {named_groups(kind, dark)}" if kind else "particles"
                    yield (
                        f"{which} that came last fit the classes better with their contrast inverted: invert these "
                        "images, or classify them by themselves; what they add to the classes now is noise"
                    )
                    break


def fits_turned_over(gain: NDArray[np.float64]) -> bool:
    """Whether particles are of the other contrast, by what each gains (n,) when the references are turned over."""
    if len(gain) < LEAST_IN_GROUP or (gain > 0).mean() < ONE_SIDED:
        return False
    return bool(gain.mean() > CERTAIN * gain.std(ddof=1) / len(gain) ** 0.5)
