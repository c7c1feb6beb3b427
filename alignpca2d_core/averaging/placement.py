"""Results for particles: their class, pose, score and misfit, and how certain the class is."""

from __future__ import annotations

from dataclasses import dataclass

import torch
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
        Likelihood of the class against that of the next best distinct one, as a share of both, (n,); 0 for particles
        that were set aside.
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
    def of(found: Matches, score: Tensor, misfit: Tensor) -> Placement:
        """The best of the matches (n, 1 or 2) of distinct classes that were found."""
        best = found.best(2)
        rival = best.score[:, 1] if best.score.shape[1] > 1 else torch.full_like(score, -torch.inf)
        return Placement(best.best(1), score, torch.sigmoid(best.score[:, 0] - rival), misfit)

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
