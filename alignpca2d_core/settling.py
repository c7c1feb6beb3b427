"""Passes over the sample with its refined averages: whoever is in the wrong class is moved while there are few.

Stage 1 ends with coarse poses, and a sample of faint views with a quarter of its particles in wrong classes.  They stay
there, as the average of some hundred particles holds a share of each one's own noise, which draws it back.  What a
member finds of itself is known (see :mod:`.scoring`): it is taken off the score of the class that it comes from.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from .matches import Matches
from .preprocess import Vectors
from .scoring import Templates

MOST_PASSES = 4
STEADY = 0.03
"""Share of particles that may still move."""
SLOWER = 0.7
"""Of the share that moved before: where more move, they go to and fro between divisions of one view."""
CLEARLY = 3.0
"""Log-likelihood by which a particle must prefer its new class for its move to count."""


def without_own(found: Matches, particles: Vectors, templates: Templates, before: Tensor) -> Matches:
    """The two best matches once members of the classes ``before`` (n,) no longer find their own noise there.

    Parameters
    ----------
    found : Matches
        Of distinct classes, (n, kept), in the order of the particles.
    templates : Templates
        Of the averages that the particles were members of.
    """
    own = (particles.q * templates.own[before]).sum(1, keepdim=True)
    left = found.clone()
    left.score -= own * (found.classes == before[:, None])
    return left.best(2)


def moved_share(found: Matches, before: Tensor) -> float:
    """Share of particles that are clearly better off in another class than ``before`` (n,)."""
    if not len(found):
        return 0.0
    clear = found.score[:, 0] - found.score[:, -1] > CLEARLY
    return float(((found.classes != before[:, None]).all(1) | clear & (found.classes[:, 0] != before)).double().mean())


@dataclass
class Passes:
    """What each pass has moved."""

    moved: list[float] = field(default_factory=list)

    def are_enough(self) -> bool:
        """Whether another pass is not worth its time."""
        if not self.moved:
            return False
        slow = len(self.moved) > 1 and self.moved[-1] > SLOWER * self.moved[-2]
        return slow or self.moved[-1] < STEADY or len(self.moved) == MOST_PASSES
