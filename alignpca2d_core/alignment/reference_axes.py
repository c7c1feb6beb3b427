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

MOST_MORE = 8
"""There are fewer than so many axes beyond what that asks for."""


def reference_axes(features: Tensor, basis: FourierPCA) -> FourierPCA:
    """Axes of turned references as real features (t, 2m), from what a basis of particles leaves out of them.

    The basis itself where it has no more components.
    """
    apart = features - features.mean(0)
    beyond_basis = apart.square().sum(1).mean() - basis.transform(apart).square().sum(1).mean()
    moments = features.T @ features / len(features)
    # Brought over together: each thing that comes from a GPU is waited for, and it is no faster at so small a matrix.
    told = torch.cat((moments.flatten(), beyond_basis[None])).cpu().double()
    values, vectors = torch.linalg.eigh(told[:-1].view_as(moments))
    values, vectors = values.flip(0).clamp_min(0), vectors.flip(1)
    beyond = values.flip(0).cumsum(0).flip(0)
    count = _at_a_gap(values, max(1, int((beyond > LEFT_OUT * told[-1].clamp_min(0)).sum())))
    if count >= basis.components_.shape[1]:
        return basis
    kept = vectors[:, :count].float().contiguous()
    return FourierPCA.restored(1.0, kept.to(features.device), values.float())


def _at_a_gap(values: Tensor, count: int) -> int:
    """So many axes or a few more, up to where eigenvalues (t,) fall most.

    Turning makes pairs of equal eigenvalues: of half a pair, rounding would decide which half.
    """
    near = values[count - 1 : count + MOST_MORE].clamp_min(torch.finfo(torch.float32).tiny)
    return count + int((near[1:] / near[:-1]).argmin()) if len(near) > 1 else count
