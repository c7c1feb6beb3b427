"""The Fourier PCA (eqs. 2 to 5): learned once from a sample, then fixed."""

from __future__ import annotations

import torch
from torch import Tensor

from ..fourier.band import as_real
from ..runtime.memory import BATCH, halving, in_pieces


class FourierPCA:
    """Principal components of real feature vectors, learned from a stream of batches.

    Distances need no mean: in eq. 5 it cancels between a particle and a template, so that ``transform``
    is a plain product and keeps inner products too.

    Parameters
    ----------
    variance : float
        Share of the total variance that the components keep, in (0, 1].

    Attributes
    ----------
    components_ : Tensor
        Orthonormal basis, shape (features, components), largest variance first.
    spectrum_ : Tensor
        All eigenvalues, descending.
    """

    def __init__(self, variance: float = 0.75) -> None:
        self.variance = variance
        self.count = 0
        self._mean: Tensor | None = None
        self._scatter: Tensor | None = None

    def partial_fit(self, features: Tensor) -> FourierPCA:
        """Add a batch (n, features) to the covariance (pairwise update of Chan et al. 1979)."""
        n, mean = len(features), features.mean(0)
        centred = features - mean
        scatter = centred.T @ centred
        if self._mean is None or self._scatter is None:
            self._mean, self._scatter, self.count = mean, scatter, n
            return self
        total = self.count + n
        difference = mean - self._mean
        between = torch.outer(difference, difference) * (self.count * n / total)
        moved = self._mean + difference * (n / total)
        # Last, and in one step each: where memory ends before, nothing has been added, and it can be begun again.
        self._scatter += scatter.add_(between)
        self._mean, self.count = moved, total
        return self

    def fit_vectors(self, vectors: Tensor) -> FourierPCA:
        """Add complex vectors (n, m) to the covariance, in batches, or less at once where the GPU's memory ends."""
        in_pieces(lambda some: self._fit_vectors(vectors[some]), len(vectors), BATCH)
        return self

    def _fit_vectors(self, vectors: Tensor) -> None:
        self.partial_fit(as_real(vectors))

    def symmetrise(self, symmetries: list[tuple[Tensor, Tensor]]) -> FourierPCA:
        """Average the covariance over turned and mirrored particles, as order and sign (features,) of each.

        Particles lie at any angle, so that the covariance of very many would be the same turned (Zhao & Singer
        2014); that of a sample comes nearer to it by as many times as there are symmetries.
        """
        if self._scatter is not None:
            scatter = self._scatter

            def averaged(rows: slice) -> Tensor:
                turned = [scatter[order[rows]][:, order] * (sign[rows, None] * sign) for order, sign in symmetries]
                return torch.stack(turned).mean(0)

            self._scatter = halving(averaged, len(scatter), torch.cat)
        return self

    def finalize(self) -> FourierPCA:
        """Diagonalise, and keep the fewest components that reach the share of variance."""
        if self._scatter is None:
            raise ValueError("no particles were given to learn the PCA from")
        values, vectors = torch.linalg.eigh((self._scatter / max(self.count - 1, 1)).double().cpu())
        values = values.flip(0).clamp_min(0)
        reached = torch.cumsum(values, 0) / values.sum().clamp_min(1e-30)
        rank = int((reached < self.variance - 1e-9).sum()) + 1
        kept = vectors.flip(1)[:, : min(rank, len(values))]
        # The sign of an eigenvector is arbitrary: fix it, or the same data could give another file.
        largest = kept.gather(0, kept.abs().argmax(0, keepdim=True))
        # Laid out as it will be when it is loaded again: a product is rounded otherwise in another layout.
        self.components_ = (kept * torch.sign(largest)).float().contiguous().to(self._scatter.device)
        self.spectrum_ = values.float()
        self._scatter = None
        return self

    @staticmethod
    def restored(variance: float, components: Tensor, spectrum: Tensor) -> FourierPCA:
        """A basis that was learned before."""
        basis = FourierPCA(variance)
        basis.components_, basis.spectrum_ = components, spectrum
        return basis

    def transform(self, features: Tensor) -> Tensor:
        """Coefficients (..., components) of features (..., features)."""
        return features @ self.components_
