"""Whether the side of the images is what the metadata says: where it is not, the pixel size is in doubt."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ...fourier.common_grid import PIXEL_SIZE_TOLERANCE
from ..particle_set import ParticleSet


def check_image_size(particles: ParticleSet, boxes: NDArray[np.int64], pixel_size: float | None) -> None:
    """Hold the stated side of the images against that of the stacks.

    Parameters
    ----------
    particles : ParticleSet
    boxes : (n,) array
        Of the images in the stacks, pixels.
    pixel_size : float or None
        Å, of the first stack's header.

    Raises
    ------
    InputError
        When another side is stated, and the header does not confirm the pixel size; the line says what it would be
        for images that were scaled.
    """
    size, rates = particles.image_size, particles.pixel_sizes
    if size is None or (rates is None and particles.sampling_rate is None):
        return
    rate = np.full(len(particles), particles.sampling_rate) if rates is None else rates
    wrong = particles.enabled & (size > 0) & (size != boxes)
    if pixel_size is not None:
        wrong &= np.abs(pixel_size - rate) > PIXEL_SIZE_TOLERANCE * rate
    if not wrong.any():
        return
    row = int(np.argmax(wrong))
    raise InputError(
        f"{particles.source}, row {row + 1}: _rlnImageSize is {size[row]:g}, but the images of "
        f"{particles.stacks[particles.stack_of[row]]} have {boxes[row]} pixels: if they were scaled, a pixel has "
        f"{rate[row] * size[row] / boxes[row]:.4g} Å and not {rate[row]:g}; put _rlnImageSize and _rlnImagePixelSize "
        "right, or give the pixel size as --sampling-rate"
    )
