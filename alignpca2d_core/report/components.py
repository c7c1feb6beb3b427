"""What the state of a run tells of its Fourier PCA: the spectrum, and the first components as images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..fourier.band import Band
from ..state.tensor_store import FOLDER

SHOWN_COMPONENTS = 16
COMPONENTS, SPECTRUM = "components", "spectrum"


@dataclass(frozen=True)
class Components:
    """A learned basis as it is shown.

    Attributes
    ----------
    spectrum : (features,) float64 array
        All eigenvalues, descending.
    kept : int
        How many components the classification used.
    images : (n, box, box) float32 array
        The first components.
    """

    spectrum: NDArray[np.float64]
    kept: int
    images: NDArray[np.float32]


def read_components(directory: Path, box: int) -> Components | None:
    """The basis that a run left in ``directory/state``; ``None`` where there is none that fits the box."""
    found = (_components(path, box) for path in sorted((directory / FOLDER).glob("*.safetensors")))
    return next((one for one in found if one is not None), None)


def _components(path: Path, box: int) -> Components | None:
    try:
        with safe_open(path, framework="pt") as tensors:
            if not {COMPONENTS, SPECTRUM} <= set(tensors.keys()):
                return None
            basis, spectrum = tensors.get_tensor(COMPONENTS), tensors.get_tensor(SPECTRUM)
        return Components(spectrum.double().numpy(), basis.shape[1], eigenimages(basis, box))
    except (OSError, SafetensorError, ValueError, RuntimeError, IndexError):
        return None


def eigenimages(basis: Tensor, box: int) -> NDArray[np.float32]:
    """The first columns of a basis (features, components) as images (n, box, box).

    Coefficients are sorted by radius, so that those of any band are the first of the widest.
    """
    band = Band.make(box, box)
    vectors = torch.view_as_complex(basis[:, :SHOWN_COMPONENTS].T.contiguous().float().unflatten(1, (-1, 2)))
    if vectors.shape[1] > len(band):
        raise ValueError(f"{vectors.shape[1]} coefficients do not fit a box of {box} px")
    whole = vectors.new_zeros(len(vectors), len(band))
    whole[:, : vectors.shape[1]] = vectors
    return band.to_images(whole).numpy()
