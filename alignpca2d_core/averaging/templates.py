"""Class averages as particles are compared with them, and what scores must know of their noise."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..alignment.template_bank import ring_power
from ..fourier.band import Band
from .class_averages import PRIOR, Averages


@dataclass(frozen=True)
class Templates:
    """Class averages as particles are compared with them.

    Attributes
    ----------
    references : Tensor
        Filtered averages (eq. 9), (k, m).
    power : Tensor
        |x|² by ring, (k, rings).
    own : Tensor
        What a member of q = 1 finds of its noise in its own average, by ring, (k, rings); 0 for given references.
    noise : Tensor
        Power of the noise in each by ring, (k, rings); 0 for given references.
    """

    references: Tensor
    power: Tensor
    own: Tensor
    noise: Tensor

    def among(self, classes: Tensor) -> Templates:
        """Some of the classes, by number."""
        return Templates(self.references[classes], self.power[classes], self.own[classes], self.noise[classes])

    @property
    def bare(self) -> Templates:
        """The same for particles that are not in the averages."""
        return replace(self, own=torch.zeros_like(self.own))

    @staticmethod
    def given(references: Tensor, band: Band) -> Templates:
        """References that are no averages of the particles which are compared with them."""
        power = ring_power(references, band, band.radius)
        nothing = torch.zeros_like(power)
        return Templates(references, power, nothing, nothing)

    @staticmethod
    def of(references: Tensor, average: Averages, band: Band, inside: float = 1.0) -> Templates:
        """References made from averages of the very particles.

        ``inside`` is the share of a particle's noise that the mask of the averages lets in.
        """
        power = ring_power(references, band, band.radius)
        gain = (power / ring_power(average.mean, band, band.radius).clamp_min(1e-20)).sqrt()
        own = inside * gain * features(band) / (average.weight + PRIOR)
        return Templates(references, power, own, own * gain)


def features(band: Band) -> Tensor:
    """Real numbers on each ring, (rings,)."""
    return 2.0 * band.ring_sizes
