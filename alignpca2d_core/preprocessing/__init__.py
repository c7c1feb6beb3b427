"""From the particles of a file to whitened vectors: normalisation, mask, CTF, noise."""

from .ctf_check import CtfFit, sampled_fit
from .input_fingerprint import imprint
from .mask_shape import MaskShape, soft_mask
from .particle_source import Source
from .prepared_run import Run
from .preprocess import Preparation, Treatment, Vectors, Whitening

__all__ = [
    "CtfFit",
    "MaskShape",
    "Preparation",
    "Run",
    "Source",
    "Treatment",
    "Vectors",
    "Whitening",
    "imprint",
    "sampled_fit",
    "soft_mask",
]
