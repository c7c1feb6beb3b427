"""Images as band-limited Fourier vectors, and what is done to them there: shifts, rotations, CTF, FRC."""

from .band import Band, as_real
from .cross_correlation import CroppedBand
from .ctf import CtfParameters, contrast_transfer, wiener_filter
from .interpolation import cubic_weights, spectrum_coefficients
from .rigid_transforms import Poses, compose, from_relion, invert, to_relion
from .ring_correlation import fourier_ring_correlation, resolution_angstrom, wiener_shrinkage
from .rotation import turned_images

__all__ = [
    "Band",
    "CroppedBand",
    "CtfParameters",
    "Poses",
    "as_real",
    "compose",
    "contrast_transfer",
    "cubic_weights",
    "fourier_ring_correlation",
    "from_relion",
    "invert",
    "resolution_angstrom",
    "spectrum_coefficients",
    "to_relion",
    "turned_images",
    "wiener_filter",
    "wiener_shrinkage",
]
