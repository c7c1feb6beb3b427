"""What a simulation leaves on disk, each file whole or absent."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import mrcfile
import numpy as np
import torch
from numpy.typing import NDArray

from ..fourier.ctf import CtfParameters
from ..io.atomic_files import atomic_path
from ..io.star.star_reader import Table
from ..io.star.star_writer import write_blocks
from ..settings import SimulationSettings
from .particle_sampling import DrawnParticles

GREY_PER_SIGMA = {"int8": (20.0, 0.0), "int16": (1000.0, 0.0), "uint16": (1000.0, 32768.0)}
"""Scale and offset that take images with noise of variance 1 to integers."""
HEADER_BYTES = 1024
UNKNOWN_STATISTICS = {"dmin": 0.0, "dmax": -1.0, "dmean": -2.0, "rms": -1.0}
"""How MRC2014 says that the header's statistics were not determined."""


def quantised(images: torch.Tensor, dtype: str) -> NDArray[Any]:
    """The images in the stack's number format; integers are rounded and clipped."""
    if dtype not in GREY_PER_SIGMA:
        return images.numpy().astype(dtype)
    scale, offset = GREY_PER_SIGMA[dtype]
    limits = np.iinfo(dtype)
    return (images * scale + offset).round_().clamp_(limits.min, limits.max).numpy().astype(dtype)


class StackWriter:
    """Appends batches of images to one stack, or to several in turn, and puts them in place at the end.

    Attributes
    ----------
    names : image names (``000001@particles.mrcs``) of all particles, relative to the directory
    """

    def __init__(self, directory: Path, settings: SimulationSettings) -> None:
        self._settings = settings
        self._edges = np.linspace(0, settings.particles, settings.stacks + 1).round().astype(int)
        width = len(str(settings.stacks))
        self._files = [
            directory / ("particles.mrcs" if settings.stacks == 1 else f"particles_{k + 1:0{width}d}.mrcs")
            for k in range(settings.stacks)
        ]
        self._written = 0
        self._open = ExitStack()
        self._file: BinaryIO

    @property
    def names(self) -> list[str]:
        """One name per particle."""
        return [
            f"{k + 1:06d}@{file.name}"
            for file, count in zip(self._files, np.diff(self._edges), strict=True)
            for k in range(count)
        ]

    def __enter__(self) -> StackWriter:
        return self

    def __exit__(self, *error: Any) -> None:
        self._open.__exit__(*error)

    def append(self, images: torch.Tensor) -> None:
        """Write the next images (b, D, D)."""
        values = quantised(images, self._settings.stack_dtype)
        while len(values):
            stack = int(np.searchsorted(self._edges, self._written, side="right")) - 1
            if self._written == self._edges[stack]:
                self._begin(stack)
            piece = values[: self._edges[stack + 1] - self._written]
            self._file.write(np.ascontiguousarray(piece).tobytes())
            self._written += len(piece)
            values = values[len(piece) :]

    def _begin(self, stack: int) -> None:
        """Finish the stack before and open the next, its header written and its images still to come.

        The images go through a plain file: pages of a memory map would count as this process's memory.
        """
        self._open.close()
        temporary = self._open.enter_context(atomic_path(self._files[stack]))
        shape = (int(self._edges[stack + 1] - self._edges[stack]), self._settings.box, self._settings.box)
        mode = mrcfile.utils.mode_from_dtype(np.dtype(self._settings.stack_dtype))
        with mrcfile.new_mmap(temporary, shape=shape, mrc_mode=mode, overwrite=True) as empty:
            empty.set_image_stack()
            empty.voxel_size = self._settings.sampling_rate
            for name, unknown in UNKNOWN_STATISTICS.items():
                setattr(empty.header, name, unknown)
        self._file = self._open.enter_context(temporary.open("r+b"))
        self._file.seek(HEADER_BYTES)


def write_truth(path: Path, drawn: DrawnParticles) -> None:
    """truth.csv: itemId, view (−1: junk), conformation, the transform that aligns the particle to its view
    (Xmipp's psi in degrees, shiftX and shiftY in pixels), the defocus in Å and degrees, and 1 or 0 for whether
    the image is noise alone and whether the particle is further off centre than the others.
    """
    columns = {
        "itemId": np.arange(1, len(drawn) + 1),
        "view": drawn.view,
        "conformation": drawn.conformation,
        "psi": drawn.poses.psi_deg.round(6),
        "shiftX": drawn.poses.shift_x_px.round(6),
        "shiftY": drawn.poses.shift_y_px.round(6),
        "defocusU": drawn.ctf.defocus_u.round(2),
        "defocusV": drawn.ctf.defocus_v.round(2),
        "defocusAngle": drawn.ctf.defocus_angle.round(4),
        "noise": drawn.noise.astype(np.int64),
        "offCentre": drawn.off_centre.astype(np.int64),
    }
    write_csv(path, columns)


def write_volume(path: Path, volume: NDArray[np.float32], sampling_rate: float) -> None:
    """A map (N, N, N), Å per voxel."""
    with atomic_path(path) as temporary, mrcfile.new(temporary, overwrite=True) as file:
        file.set_data(volume.astype(np.float32))
        file.set_volume()
        file.voxel_size = sampling_rate


def write_csv(path: Path, columns: dict[str, NDArray[Any]]) -> None:
    """Columns of one length under their names."""
    rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    lines = [",".join(columns), *(",".join(map(str, row)) for row in rows)]
    with atomic_path(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_particles(
    path: Path, names: list[str], ctf: CtfParameters | None, further: dict[str, NDArray[Any]] | None = None
) -> None:
    """particles.xmd with Xmipp's labels; image names are relative to the file, so that the folder may move.

    ``further`` are columns of n values under labels of Xmipp.
    """
    columns: dict[str, NDArray[Any]] = {
        "itemId": np.arange(1, len(names) + 1),
        "enabled": np.ones(len(names), dtype=np.int64),
        "image": np.array(names, dtype=object),
    }
    if ctf is not None:
        columns |= {
            "ctfVoltage": ctf.voltage,
            "ctfDefocusU": ctf.defocus_u.round(2),
            "ctfDefocusV": ctf.defocus_v.round(2),
            "ctfDefocusAngle": ctf.defocus_angle.round(4),
            "ctfSphericalAberration": ctf.spherical_aberration,
            "ctfQ0": ctf.amplitude_contrast,
        }
    write_blocks(path, {"particles": Table("particles", columns | (further or {}))})
