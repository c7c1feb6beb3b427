"""Classes in two, along the direction in which their members differ most; many classes at once.

Scalar products of all pairs of members say everything that is asked: with features F (n, d), centred, the leading
eigenvector u of the products F·Fᵀ = G (n, n) is how far each member lies along the leading direction of the
covariance, and means of members are sums of rows of G.  Classes of different size are filled up with rows of zeros.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

SUBSPACE = 4
POWER_STEPS, STEPS_TOGETHER = 12, 3
"""Products with G in all, and between two orthogonalisations: so few that the leading vectors do not swamp the rest."""
TINY = 1e-30


@dataclass
class Halves:
    """Classes (k) in two.

    Attributes
    ----------
    ratio : Tensor
        Leading eigenvalue of the residuals over that of the same residuals turned at random, (k,): about 1 for one
        view.
    second : Tensor
        Which members belong to the second child, (k, n) bool.
    """

    ratio: Tensor
    second: Tensor


def random_subspace(size: int, generator: torch.Generator) -> Tensor:
    """Where the subspace iteration begins, (size, SUBSPACE)."""
    return torch.randn(size, SUBSPACE, generator=generator)


def bisected(features: Tensor, chance: Tensor, present: Tensor, starts: Tensor) -> Halves:
    """Divide residuals (k, n, d) along their leading eigenvectors, and say how much these stand out of noise.

    Parameters
    ----------
    features : Tensor
        (k, n, d).
    chance : Tensor
        Residuals like these that have nothing in common, (k, n, d).
    present : Tensor
        Which rows are members, (k, n) bool; the others are 0.
    starts : Tensor
        Two :func:`random_subspace` for each class, (k, 2, d, SUBSPACE).
    """
    own, turned = (centred(one, present) for one in (features, chance))
    products = own @ own.mT
    value, along = leading(products, own @ starts[:, 0])
    noise, _ = leading(turned @ turned.mT, turned @ starts[:, 1])
    return Halves(value / noise.clamp_min(TINY), two_means(products, (along > 0) & present, present))


def centred(features: Tensor, present: Tensor) -> Tensor:
    """Features (k, n, d) less the mean of the members of each class; they are 0 where there is no member (k, n)."""
    inside = present[..., None].to(features.dtype)
    return features - inside * (features.sum(1, keepdim=True) / inside.sum(1, keepdim=True).clamp_min(1))


def leading(products: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
    """Largest eigenvalues (k,) and eigenvectors (k, n) of products (k, n, n), by subspace iteration from (k, n, s).

    The largest element of an eigenvector is positive.
    """
    basis = orthonormal(start)
    for step in range(POWER_STEPS):
        basis = products @ basis
        basis = basis / basis.norm(dim=1, keepdim=True).clamp_min(TINY)
        if step % STEPS_TOGETHER == STEPS_TOGETHER - 1:
            basis = orthonormal(basis)
    values, vectors = torch.linalg.eigh(basis.mT @ (products @ basis))
    found = (basis @ vectors[..., -1:])[..., 0]
    largest = found.gather(1, found.abs().argmax(1, keepdim=True))
    return values[:, -1], torch.where(largest < 0, -found, found)


def orthonormal(basis: Tensor) -> Tensor:
    """Vectors (k, n, s) of length 1 at right angles that span the same, by Gram and Schmidt; 0 where none is left."""
    done: list[Tensor] = []
    for vector in basis.unbind(2):
        left = vector
        for other in done:
            left = left - other * (other * left).sum(1, keepdim=True)
        done.append(left / left.norm(dim=1, keepdim=True).clamp_min(TINY))
    return torch.stack(done, dim=2)


def two_means(products: Tensor, second: Tensor, present: Tensor, rounds: int = 5) -> Tensor:
    """Lloyd's iterations from first divisions (k, n) bool of members (k, n) with products (k, n, n)."""
    for _ in range(rounds):
        shares = [(half & present).to(products.dtype) for half in (second, ~second)]
        sizes = [share.sum(1, keepdim=True) for share in shares]
        one, other = (share / size.clamp_min(1) for share, size in zip(shares, sizes, strict=True))
        along = (products @ (one - other)[..., None])[..., 0]
        middle = ((one + other) / 2 * along).sum(1, keepdim=True)
        # Where nothing is left to part, it stays as it is.
        divided = (sizes[0] > 0) & (sizes[1] > 0)
        second = torch.where(divided, (along > middle) & present, second)
    return second
