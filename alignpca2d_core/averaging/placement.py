"""Results for particles: their class, pose, score and misfit, and how certain the class is."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..alignment.matches import Matches


@dataclass
class Placement:
    """Where particles (n) belong.

    Attributes
    ----------
    matches : Matches
        Class and pose, (n, 1).
    score : Tensor
        Standard deviations beyond noise, (n,); see :mod:`.noise_scores`.
    certainty : Tensor
        Posterior of the view among those that the particle fits best, (n,); 0 for particles that were set aside; see
        :mod:`.certainty`.
    misfit : Tensor
        Variance of what the fit leaves, in units of the noise, (n,); see :mod:`.noise_scores`.
    """

    matches: Matches
    score: Tensor
    certainty: Tensor
    misfit: Tensor

    def __len__(self) -> int:
        return len(self.score)

    @staticmethod
    def of(found: Matches, score: Tensor, misfit: Tensor, certainty: Tensor) -> Placement:
        """The best of the matches (n, kept) of distinct classes that were found."""
        return Placement(found.best(1), score, certainty, misfit)

    def rows(self, index: Tensor) -> Placement:
        """Some of the particles."""
        return Placement(self.matches.rows(index), self.score[index], self.certainty[index], self.misfit[index])

    def clone(self) -> Placement:
        return Placement(self.matches.clone(), self.score.clone(), self.certainty.clone(), self.misfit.clone())

    def put(self, index: Tensor, other: Placement) -> None:
        """Give some particles (p,) other places."""
        self.matches.put(index, other.matches)
        self.score[index], self.certainty[index] = other.score, other.certainty
        self.misfit[index] = other.misfit
