"""Where particles belong, and what that says of their classes."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..alignment.matches import Matches
from ..results.class_quality import ScoreMoments


@dataclass
class Placed:
    """Where particles (n) belong.

    Attributes
    ----------
    matches : Matches
        Class and pose, (n, 1).
    score, certainty : Tensor
        As :mod:`.noise_scores` and :class:`.junk_separation.Sifted` have them, (n,).
    """

    matches: Matches
    score: Tensor
    certainty: Tensor

    def rows(self, index: Tensor) -> Placed:
        """Some of the particles."""
        return Placed(self.matches.rows(index), self.score[index], self.certainty[index])


def moments_of(score: Tensor, classes: Tensor, count: int) -> ScoreMoments:
    """Moments of scores (n,) by class (n,) from 0."""
    return ScoreMoments.of(score.double().cpu().numpy(), classes.cpu().numpy(), count)
