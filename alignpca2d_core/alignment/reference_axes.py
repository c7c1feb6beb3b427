"""The axes along which the references of one search differ: a PCA of the references in place of the particles.

The components that the PCA of particles (eqs. 2 to 5) keeps are those along which particles vary, which is mostly
noise.  A search compares particles with turned references and nothing else.  With the eigenvectors of

    C = mean over classes and rotations of x xᵀ,

the most of their power lies on few axes; what is left out of a reference adds noise of that variance to its scores, in
either space.  So as many axes are kept as leave out half of the power that the particles' components leave out: scores
are nearer to those of whole vectors, for less than half of the multiplications.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .fourier_pca import FourierPCA

LEFT_OUT = 0.5
"""Power of references that their axes leave out over what the components of particles leave out."""


def reference_axes(features: Tensor, basis: FourierPCA) -> FourierPCA:
    """Axes of turned references as real features (t, 2m), from what a basis of particles leaves out of them.

    The basis itself where it has no more components.
    """
    values, vectors = torch.linalg.eigh((features.T @ features / len(features)).double())
    values, vectors = values.flip(0).clamp_min(0), vectors.flip(1)
    apart = features - features.mean(0)
    beyond_basis = (apart.square().sum(1).mean() - basis.transform(apart).square().sum(1).mean()).clamp_min(0)
    beyond = values.flip(0).cumsum(0).flip(0)
    count = max(1, int((beyond > LEFT_OUT * beyond_basis.double()).sum()))
    if count >= basis.components_.shape[1]:
        return basis
    return FourierPCA.restored(1.0, vectors[:, :count].float().contiguous(), values.float())
