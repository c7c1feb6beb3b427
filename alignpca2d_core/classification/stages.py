"""What the stages of a classification hand on to one another."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..alignment.fourier_pca import FourierPCA
from ..alignment.matches import Matches
from ..averaging.class_averages import ClassSums
from ..preprocessing.preprocess import Vectors


@dataclass(frozen=True)
class Sample:
    """The particles that the classes are learned from.

    Attributes
    ----------
    rows : (n,) int64 array
        Of the source, ascending.
    particles : Vectors
        On the full band.
    basis : FourierPCA
        Of the band on which all particles are searched.
    """

    rows: NDArray[np.int64]
    particles: Vectors
    basis: FourierPCA

    def rewhitened(self, noise: Tensor) -> Sample:
        """The same in the unit of another noise, (rings,)."""
        return replace(self, particles=self.particles.rewhitened(noise))


@dataclass(frozen=True)
class Views:
    """Distinct views, and the particles that show them.

    Attributes
    ----------
    sums : ClassSums
        Of the members, (2, v, m).
    matches : Matches
        Of the n particles, (n, kept), the best first.
    """

    sums: ClassSums
    matches: Matches
