"""Small particle sets written to disk for the tests of the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from alignpca2d_core.io.stacks import write_stack

BOX = 32
SAMPLING_RATE = 5.0
CTF = {
    "ctfDefocusU": 12000.0,
    "ctfDefocusV": 11800.0,
    "ctfDefocusAngle": 30.0,
    "ctfVoltage": 300.0,
    "ctfSphericalAberration": 2.7,
    "ctfQ0": 0.1,
}


def two_views(count: int, box: int = BOX, seed: int = 0, noise: float = 0.5) -> NDArray[np.float32]:
    """(count, box, box) noisy particles: a bar and a triangle of discs in turn, moved by up to two pixels."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:box, :box] - box // 2
    discs = (((-0.25, 0.0), (0.0, 0.0), (0.25, 0.0)), ((-0.15, -0.2), (0.2, 0.0), (-0.15, 0.2)))
    images = np.empty((count, box, box), dtype=np.float32)
    for number, image in enumerate(images):
        shift = rng.uniform(-2, 2, 2)
        image[:] = rng.normal(0.0, noise, image.shape)
        for dx, dy in discs[number % 2]:
            distance = (x - dx * box - shift[0]) ** 2 + (y - dy * box - shift[1]) ** 2
            image += np.exp(-distance / (2 * (box / 16) ** 2))
    return images


def write_metadata(
    path: Path, images: Sequence[str], columns: Mapping[str, float | Sequence[float]] | None = None
) -> Path:
    """An Xmipp metadata file: a row per image name, a column per entry; a number stands for every row."""
    columns = {} if columns is None else columns
    lines = ["# XMIPP_STAR_1 *", "#", "data_particles", "loop_", " _image", *(f" _{name}" for name in columns)]
    for row, image in enumerate(images):
        values = [value if isinstance(value, (int, float)) else value[row] for value in columns.values()]
        lines.append(" ".join([f"'{image}'" if " " in image else image, *(f"{value:g}" for value in values)]))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@dataclass(frozen=True)
class ParticleFiles:
    """A stack and its metadata in a folder of their own."""

    folder: Path

    @property
    def stack(self) -> Path:
        return self.folder / "particles.mrcs"

    @property
    def metadata(self) -> Path:
        return self.folder / "particles.xmd"

    def write(
        self,
        images: NDArray[np.float32],
        columns: Mapping[str, float | Sequence[float]] | None = None,
        sampling_rate: float | None = SAMPLING_RATE,
    ) -> Path:
        """Write both, the metadata with a CTF unless `columns` says what else it has; return the metadata."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_stack(self.stack, images, sampling_rate)
        return write_metadata(self.metadata, self.names(len(images)), CTF if columns is None else columns)

    def names(self, count: int) -> list[str]:
        return [f"{number + 1:06d}@{self.stack.name}" for number in range(count)]
