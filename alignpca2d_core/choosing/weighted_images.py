"""Images as they are compared: each ring by the share of it that is signal, and without half of its usual strength."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..fourier.band import Band

FLATTENING = 0.5
"""Power of a ring's usual strength that is taken out, of 1: the rest of it leaves near views nearer than far ones."""
LEAST_EXPECTED = 1e-6


def flattening_gain(power: Tensor, band: Band) -> Tensor:
    """What each ring is multiplied by, (rings,), where images usually have so much signal on it; 0 at the origin."""
    gain = (power.clamp_min(1e-30) / band.ring_sizes).pow(-FLATTENING / 2)
    gain[0] = 0.0
    return gain


@dataclass(frozen=True)
class WeightedImages:
    """k images.

    Attributes
    ----------
    vectors : (k, m)
        Of length 1, each ring without its usual strength and by its signal's share.
    signal, noise : (k, rings)
        The power of either, by ring, that adds up to 1.
    """

    vectors: Tensor
    signal: Tensor
    noise: Tensor
    band: Band

    @staticmethod
    def of(vectors: Tensor, share: Tensor, band: Band) -> WeightedImages:
        """From vectors (k, m) of images and the share of signal on their rings, (k, rings) or (rings,)."""
        power = band.ring_sum(vectors.abs().square())
        gain = share * flattening_gain((power * share).mean(0), band)
        power = power * gain.square()
        total = power.sum(1, keepdim=True).clamp_min(1e-30)
        vectors = vectors * gain[..., band.ring] / total.sqrt()
        return WeightedImages(vectors, power * share / total, power * (1 - share) / total, band)

    def expected(self) -> Tensor:
        """The correlations (k, k) of images of one view, with the noise that they have."""
        return (self.signal.sqrt() @ self.signal.sqrt().T).clamp_min(LEAST_EXPECTED)

    def error(self) -> Tensor:
        """The standard errors of correlations that this noise makes, (k, k)."""
        # Real numbers on each ring, two for each coefficient.
        spread = self.signal / (2 * self.band.ring_sizes)
        own = self.noise / (2 * self.band.ring_sizes)
        return (spread @ self.noise.T + own @ self.signal.T + own @ self.noise.T).clamp_min(0).sqrt()
