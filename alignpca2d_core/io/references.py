"""Reading class averages that a classification starts from, or that particles are assigned to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .output_folder import AVERAGES
from .particle_reading import read_particles
from .stacks import StackReader


def read_references(path: Path, box: int) -> NDArray[np.float32]:
    """Averages (k, box, box) of a folder of ours, an .xmd, a .star or a stack.

    Raises
    ------
    InputError
        When there are none, or their box is not that of the particles.
    """
    where = path / AVERAGES if path.is_dir() else path
    if not where.exists():
        raise InputError(f"--references {path}: {where} does not exist")
    with StackReader(read_particles(where)) as reader:
        if reader.box != box:
            raise InputError(f"--references {path}: averages of {reader.box} px, but particles of {box} px")
        averages = reader.read(np.arange(len(reader)))
    flat = ~np.isfinite(averages).all((1, 2)) | (np.ptp(averages, axis=(1, 2)) == 0)
    if flat.any():
        raise InputError(f"--references {path}: average {int(flat.argmax()) + 1} is constant or has NaN")
    return averages
