"""Particles as their metadata describes them: which image of which stack, its CTF and the pixel size.

:func:`~alignpca2d_core.io.particle_reading.read_particles` reads them; :func:`write_particles` writes Xmipp's metadata.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..fourier.ctf import CtfParameters
from .diagnosis.ctf_faults import CtfFaults
from .image_names import FORMAT_MARKS
from .star import column_labels
from .star.star_reader import Table
from .star.star_writer import write_blocks
from .verbatim.origin import Origin
from .verbatim.row_text import as_xmipp, put_together, with_columns


@dataclass
class ParticleSet:
    """n particles in the order of their metadata.

    Parameters
    ----------
    table : Table
        The columns of the metadata as they were read, n rows; of the images' names the stack alone.
    stacks : tuple of Path
        The stacks that the particles lie in.
    stack_of : (n,) int32 array
        Index into ``stacks``.
    index_in_stack : (n,) int64 array
        Number of the image in its stack, from 0.
    enabled : (n,) bool array
        Whether the metadata lets the particle take part.
    ids : (n,) int64 array
        Unique identifiers: ``itemId``, ``rlnImageId``, else 1 to n.
    source : Path
        The file that was read.
    dialect : str
        ``xmipp``, ``relion``, ``cryosparc`` or ``stack``.
    ctf : CtfParameters or None
        ``None`` when the metadata has no complete CTF.
    sampling_rate : float or None
        Å per pixel, ``None`` when the metadata does not say; of several the coarsest.
    pixel_sizes : (n,) float64 array or None
        Å per pixel of each particle, where they are not all the same.
    lone : frozenset of int
        The stacks named without an image number: they must hold one image.
    warnings : list of str
    origin : Origin or None
        The rows of a metadata file that the particles are, where they are.
    """

    table: Table
    stacks: tuple[Path, ...]
    stack_of: NDArray[Any]
    index_in_stack: NDArray[Any]
    enabled: NDArray[Any]
    ids: NDArray[Any]
    source: Path
    dialect: str = "xmipp"
    ctf: CtfParameters | None = None
    sampling_rate: float | None = None
    lone: frozenset[int] = frozenset()
    ctf_faults: CtfFaults | None = None
    image_size: NDArray[Any] | None = None
    warnings: list[str] = field(default_factory=list)
    origin: Origin | None = None
    pixel_sizes: NDArray[Any] | None = None

    def __len__(self) -> int:
        return len(self.stack_of)

    def subset(self, index: slice | NDArray[Any]) -> ParticleSet:
        """The particles of ``index`` (numbers, mask or slice), with all stacks kept."""
        return replace(
            self,
            table=self.table.subset(index),
            stack_of=self.stack_of[index],
            index_in_stack=self.index_in_stack[index],
            enabled=self.enabled[index],
            ids=self.ids[index],
            ctf=None if self.ctf is None else self.ctf[index],
            ctf_faults=None if self.ctf_faults is None else replace(self.ctf_faults, rows=self.ctf_faults.rows[index]),
            image_size=None if self.image_size is None else self.image_size[index],
            warnings=list(self.warnings),
            origin=None if self.origin is None else self.origin.subset(index),
            pixel_sizes=None if self.pixel_sizes is None else self.pixel_sizes[index],
        )

    @property
    def failed(self) -> NDArray[np.bool_]:
        """Rows (n,) whose CTF cannot be used."""
        return np.zeros(len(self), dtype=bool) if self.ctf_faults is None else self.ctf_faults.rows

    def do_without_ctf(self) -> None:
        """Enable the particles whose CTF cannot be used."""
        self.enabled = self.enabled | self.failed
        said = [] if self.ctf_faults is None else self.ctf_faults.warnings("")
        self.warnings = [line for line in self.warnings if not any(line.endswith(one) for one in said)]
        self.ctf_faults = None

    def keep_origin(self, directory: Path) -> None:
        """Copy the metadata file into a folder of results, which has from then on what the file says now."""
        if self.origin is not None:
            self.origin = self.origin.kept_in(directory)

    def image_names(self) -> list[str]:
        """``000001@stack`` of every particle, as it resolves from where the command runs.

        Xmipp takes a ``.mrc`` file for a volume unless its name says ``:mrcs``.
        """
        names = [f"{path}:mrcs" if path.suffix == ".mrc" else f"{path}" for path in self.stacks]
        pairs = zip(self.index_in_stack.tolist(), self.stack_of.tolist(), strict=True)
        return [f"{index + 1:06d}@{names[stack]}" for index, stack in pairs]


def write_particles(path: str | Path, particles: ParticleSet, extra: Mapping[str, NDArray[Any]] | None = None) -> None:
    """Write the particles as Xmipp metadata, block ``particles``, atomically.

    Particles that came as Xmipp metadata keep their columns, the text of their values and the other blocks of their
    file; of RELION's columns those are kept that have an Xmipp label.

    Parameters
    ----------
    path : str or Path
    particles : ParticleSet
    extra : mapping of Xmipp label to (n,) array
        Columns to add, or to put in the place of those that are there.
    """
    if particles.dialect != "xmipp" or particles.origin is None or not particles.origin.path.is_file():
        write_blocks(path, {"particles": particle_table(particles, extra or {})})
        return
    table, lines = particles.origin.text()
    labels, rows = with_columns(lines, table.labels, {**new_columns(particles), **(extra or {})})
    put_together(path, as_xmipp(table), labels, rows)


def new_columns(particles: ParticleSet) -> dict[str, NDArray[Any]]:
    """What of image, identifier and whether a particle is enabled is not as Xmipp's table has it."""
    table, columns = particles.table, {}
    if not _are_found_by_name(particles):
        columns["image"] = np.array(particles.image_names(), dtype=object)
    if "itemId" not in table or not np.array_equal(table["itemId"], particles.ids):
        columns["itemId"] = particles.ids
    if "enabled" not in table or not np.array_equal(table["enabled"] > 0, particles.enabled):
        columns["enabled"] = np.where(particles.enabled, 1, -1)
    return columns


def _are_found_by_name(particles: ParticleSet) -> bool:
    """Whether the images' names in the table lead to the stacks from where the command runs."""
    for number, row in zip(*np.unique(particles.stack_of, return_index=True), strict=True):
        path, name = particles.stacks[number], str(particles.table["image"][row]).rpartition("@")[2]
        bare = name
        for mark in FORMAT_MARKS:
            bare = bare.removesuffix(mark)
        if Path(bare) != path or (path.suffix == ".mrc" and bare == name and int(number) not in particles.lone):
            return False
    return True


def particle_table(particles: ParticleSet, extra: Mapping[str, NDArray[Any]]) -> Table:
    """The table that :func:`write_particles` writes."""
    columns = dict(particles.table.columns) if particles.dialect == "xmipp" else _translated(particles)
    columns["image"] = np.array(particles.image_names(), dtype=object)
    columns["itemId"] = particles.ids
    columns["enabled"] = np.where(particles.enabled, 1, -1)
    return Table("particles", {**columns, **extra})


def _translated(particles: ParticleSet) -> dict[str, NDArray[Any]]:
    """What is known of particles that come without Xmipp's labels, under those labels."""
    columns: dict[str, NDArray[Any]] = {"itemId": particles.ids, "image": np.zeros(0)}
    for relion, xmipp in (*column_labels.XMIPP_OF_RELION.items(), (column_labels.SIGN,) * 2):
        if relion in particles.table:
            columns[xmipp] = particles.table[relion]
    if particles.ctf is not None:
        columns |= {names[0]: getattr(particles.ctf, name) for name, names in column_labels.CTF.items()}
        flags = {names[0]: getattr(particles.ctf, name) for name, names in column_labels.CTF_FLAGS.items()}
        columns |= {label: flag.astype(np.int64) for label, flag in flags.items() if flag.any()}
    if particles.sampling_rate is not None:
        same = np.full(len(particles), particles.sampling_rate)
        columns["samplingRate"] = same if particles.pixel_sizes is None else particles.pixel_sizes
    return columns
