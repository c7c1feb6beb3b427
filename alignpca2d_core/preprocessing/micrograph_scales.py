"""Contrast of each micrograph's particles against that of the whole set.

Thick ice takes contrast away, and normalising on a noisier background takes more.  A particle of micrograph m is then

    y = s_m·CTF·x(pose) + noise,

and one that is much weaker than its class average fits a weak average better than the right one.  RELION corrects for
the same (``--scale``; Scheres 2012, J. Struct. Biol. 180, 519).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..io.particle_set import ParticleSet

LABELS = ("rlnMicrographName", "micrograph", "micrographId", "rlnMicrographId")
LEAST_PARTICLES = 5
"""Particles per micrograph, on average, below which scales stay 1."""
SPREAD = 0.5
"""Standard deviation of the scales' logarithms that is expected before anything is seen."""
FAR = 3.0
"""Deviations from what is expected beyond which a particle counts no more: it may be none."""
SCALES = np.geomspace(0.1, 4.0, 75)
"""What is tried: steps of 5 %."""
AT_ONCE = 8192


class MicrographScales:
    """The scale of every micrograph, 1 until it is learned.

    Parameters
    ----------
    micrograph : (n,) int32 array
        Number of the micrograph, from 0, of each particle of a set.
    """

    def __init__(self, micrograph: NDArray[np.int32]) -> None:
        self.micrograph = micrograph
        self.scale = np.ones(int(micrograph.max(initial=-1)) + 1, dtype=np.float32)

    @staticmethod
    def of(particles: ParticleSet, fewest: int = 2) -> MicrographScales | None:
        """None where the metadata names fewer micrographs, or too many for so few particles."""
        names = next((particles.table[label] for label in LABELS if label in particles.table), None)
        if names is None:
            return None
        number: dict[object, int] = {}
        micrograph = np.fromiter((number.setdefault(one, len(number)) for one in names), np.int32, len(names))
        if len(number) < fewest or len(particles) < LEAST_PARTICLES * len(number):
            return None
        return MicrographScales(micrograph)

    @property
    def are_learned(self) -> bool:
        """Whether any differs from 1."""
        return bool((self.scale != 1).any())

    def of_rows(self, rows: NDArray[np.int64]) -> Tensor:
        """The scales of particles at some rows (b,) of the set, (b,) float32."""
        return torch.from_numpy(self.scale[self.micrograph[rows]])

    def learn(
        self,
        rows: NDArray[np.int64],
        ratio: Tensor,
        usual: Tensor,
        noise: tuple[float, float],
        common: float | None = None,
    ) -> None:
        """The likeliest scale of each micrograph, given how its particles fit their classes.

        Weak particles find themselves in weak classes, so that these do not tell; what is usual is that of all classes.

        Parameters
        ----------
        rows : (b,) int64 array
            Of particles in the set.
        ratio : (b,) Tensor
            The matched filter's signal-to-noise ratio of each; see :mod:`.noise_scores`.
        usual : (b,) Tensor
            What it would be at the right pose of the usual class and the scale 1.
        noise : tuple of float
            Mean and deviation of the ratios that noise reaches.
        common : float, optional
            The scale about which those of micrographs lie, where it is known; else theirs come to a mean square of 1.
        """
        place = self.micrograph[rows]
        expected, found = usual.cpu().double().numpy(), ratio.cpu().double().numpy()
        loss = np.zeros((len(self.scale), len(SCALES)))
        for start in range(0, len(rows), AT_ONCE):
            some = slice(start, start + AT_ONCE)
            away = found[some, None] - larger_of(SCALES * expected[some, None], *noise)
            np.add.at(loss, place[some], 0.5 * np.minimum(away**2, FAR**2))
        centre = SCALES[loss.sum(0).argmin()] if common is None else common
        loss += 0.5 * (np.log(SCALES / centre) / SPREAD) ** 2
        scale = SCALES[loss.argmin(1)]
        if common is not None:
            self.scale = (scale / common).astype(np.float32)
            return
        count = np.bincount(self.micrograph, minlength=len(scale))
        self.scale = (scale / np.sqrt(np.average(scale**2, weights=count))).astype(np.float32)


def larger_of(ratio: NDArray[np.float64], mean: float, deviation: float) -> NDArray[np.float64]:
    """Expected maximum of N(ratio, 1) and N(mean, deviation²): the right pose, or the best of the wrong ones.

    Clark (1961), Oper. Res. 9, 145.
    """
    spread = math.hypot(1.0, deviation)
    apart = (ratio - mean) / spread
    share = torch.special.ndtr(torch.from_numpy(apart)).numpy()
    return ratio * share + mean * (1 - share) + spread / math.sqrt(2 * math.pi) * np.exp(-0.5 * apart**2)
