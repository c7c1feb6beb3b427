"""Views in a family of classes that look alike: a mixture of Gaussians in which no particle is compared with itself.

How many views there are, and which of several starts is right, is for the likelihood to say: as no particle judges its
own, it does not grow with what an average fits of noise.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ..discovery.split_search import LEAST_CHILD

LEAST_SHARE = 0.1
"""Of a family's members in each view that is found."""
STARTS = 10
ROUNDS = 30
SHARPNESS = 3.0
"""Of the shares that a start gives to the views: standard deviation of their logarithms."""


@dataclass
class Mixture:
    """Views in a family of n particles.

    Attributes
    ----------
    share : Tensor
        Probability of each view for each particle, (n, views).
    likelihood : float
        Logarithm, no particle being compared with itself.
    """

    share: Tensor
    likelihood: float

    @property
    def view(self) -> Tensor:
        """The likeliest view of each particle, (n,) int64."""
        return self.share.argmax(1)

    def is_sound(self) -> bool:
        """Whether every view keeps more than a few particles."""
        views = self.share.shape[1]
        least = max(LEAST_CHILD, LEAST_SHARE * len(self.share))
        return int(torch.bincount(self.view, minlength=views).min()) >= least


class Products:
    """Scalar products of the centred features (n, d) of a family, and the noise in them.

    Noise of unequal variances makes products of two particles with nothing in common vary by the sum of the squared
    variances; over the sum of the variances, which is a particle's mean square, this is the noise along a
    difference that is as likely in one place as in another.
    """

    def __init__(self, features: Tensor) -> None:
        centred = features - features.mean(0)
        self.own = (centred * centred).sum(1)
        self.others = centred @ centred.T
        self.others.fill_diagonal_(0.0)
        count = len(features)
        self.noise = float(self.others.square().sum() / (count * (count - 1)) / self.own.mean())

    def mixture(self, share: Tensor) -> Mixture:
        """Expectation maximisation from the shares (n, views); a particle is compared with means of the others."""
        for _ in range(ROUNDS):
            size = share.sum(0).clamp_min(2.0)
            left = (size - share).clamp_min(1.0)
            product = self.others @ share
            # |sum of the others|², from that of all: |S - r f|² = |S|² - 2 r <f, S> + r² |f|².
            whole = (share * product).sum(0) + (share.square() * self.own[:, None]).sum(0)
            square = whole - 2 * share * product - share.square() * self.own[:, None]
            log = (product / left - 0.5 * square / left.square()) / self.noise + torch.log(size / len(share))
            share = torch.softmax(log, 1)
        return Mixture(share, float(torch.logsumexp(log, 1).double().sum()))

    @cached_property
    def _directions(self) -> tuple[Tensor, Tensor]:
        values, vectors = torch.linalg.eigh(self.others)
        return values, vectors

    def starts(self, views: int, generator: torch.Generator) -> Iterator[Tensor]:
        """Shares (n, views) to begin with: by random directions in the space in which particles differ most."""
        values, vectors = self._directions
        leading = 2 * (views - 1)
        places = vectors[:, -leading:] * values[-leading:].clamp_min(0).sqrt()
        for _ in range(STARTS):
            turned = places @ torch.randn(leading, views, generator=generator).to(places.device)
            yield torch.softmax(SHARPNESS * turned / turned.std().clamp_min(1e-20), 1)


def views_of(features: Tensor, label: Tensor, most: int, generator: torch.Generator) -> Tensor:
    """The view of each member (n,), from features (n, d) and the class 0 ... c - 1 that it had; c or up to ``most``."""
    products, classes = Products(features), int(label.max()) + 1
    tried = [products.mixture(torch.nn.functional.one_hot(label, classes).to(features.dtype))]
    for views in range(classes, max(classes, most) + 1):
        tried += [products.mixture(start) for start in products.starts(views, generator)]
    sound = [one for one in tried if one.is_sound()]
    return max(sound, key=lambda one: one.likelihood).view if sound else label
