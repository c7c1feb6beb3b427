"""Particles as their metadata describes them: which image of which stack, its CTF and the pixel size.

:func:`read_particles` understands Xmipp's .xmd, RELION's .star (3.0, 3.1, 5) and bare MRC stacks;
:func:`write_particles` writes Xmipp's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, NoParticles
from ..fourier.ctf import CtfParameters
from .diagnosis.ctf_faults import CtfFaults
from .image_names import FORMAT_MARKS, ImageLocations, locate_images
from .mrc import read_header
from .particle_columns import ParticleColumns
from .star import column_labels
from .star.star_reader import Block, Table, parse, read_blocks, scan
from .star.star_writer import write_blocks
from .verbatim.origin import Origin
from .verbatim.row_text import as_xmipp, put_together, with_columns

__all__ = ["ParticleSet", "Table", "read_blocks", "read_particles", "write_blocks", "write_particles"]

PREFERRED_BLOCKS = ("particles", "images", "noname", "", "classes")
STACK_SUFFIXES = (".mrcs", ".mrc", ".map", ".ccp4", ".st")


@dataclass
class ParticleSet:
    """n particles in the order of their metadata.

    Parameters
    ----------
    table : Table
        The columns of the metadata as they were read, n rows.
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


def read_particles(path: str | Path, passthrough: str | Path | None = None) -> ParticleSet:
    """Read the particles of a metadata file (``block@file`` names one of its blocks), or of a bare MRC stack.

    Raises
    ------
    InputError
        When the file cannot be read, or no block has images, or there are no rows; the line says what and where.
    """
    path = Path(path)
    if path.suffix.lower() in STACK_SUFFIXES:
        return _whole_stack(path)
    if path.suffix.lower() == ".cs":
        from .cryosparc import read_cryosparc

        return read_cryosparc(path, passthrough)
    wanted, at, name = str(path).partition("@")
    if at and "/" not in wanted and not path.exists():
        blocks = [block for block in scan(name) if block.name == wanted]
        if not blocks:
            raise InputError(f"{name}: has no block '{wanted}'")
    else:
        blocks = scan(path)
    return _from_blocks(blocks)


def _whole_stack(path: Path) -> ParticleSet:
    header = read_header(path)
    count = np.arange(header.count, dtype=np.int64)
    return ParticleSet(
        table=Table("particles"),
        stacks=(path,),
        stack_of=np.zeros(header.count, dtype=np.int32),
        index_in_stack=count,
        enabled=np.ones(header.count, dtype=bool),
        ids=count + 1,
        source=path,
        dialect="stack",
    )


def _from_blocks(blocks: list[Block]) -> ParticleSet:
    warnings: list[str] = []
    chosen = _block_of_images(blocks, warnings)
    table = parse(chosen)
    if not len(table):
        raise NoParticles(f"{chosen}: holds no particles")
    optics = next((parse(block) for block in blocks if block.name == "optics"), Table())
    columns = ParticleColumns(str(chosen), table, optics, warnings)
    images = locate_images(next(table[label] for label in column_labels.IMAGE if label in table), chosen.path)
    _warn_of_repeated(images, str(chosen), warnings)
    ctf, pixel_sizes, enabled = columns.ctf(), columns.pixel_sizes(), columns.enabled()
    faults = columns.ctf_faults(ctf).among(enabled)
    warnings += faults.warnings(chosen)
    return ParticleSet(
        table=table,
        stacks=images.stacks,
        stack_of=images.stack_of,
        index_in_stack=images.index_in_stack,
        lone=images.lone,
        enabled=enabled & ~faults.rows,
        ctf_faults=faults,
        image_size=columns.image_size(),
        ids=columns.identifiers(),
        source=chosen.path,
        dialect="xmipp" if "image" in table else "relion",
        ctf=ctf,
        sampling_rate=None if pixel_sizes is None else float(pixel_sizes.max()),
        pixel_sizes=pixel_sizes if pixel_sizes is not None and np.ptp(pixel_sizes) > 0 else None,
        warnings=warnings,
        origin=Origin(chosen.path, chosen.name, np.arange(len(table))),
    )


def _warn_of_repeated(images: ImageLocations, where: str, warnings: list[str]) -> None:
    """An image that several rows name counts as often as it is named."""
    key = images.stack_of.astype(np.int64) * (int(images.index_in_stack.max()) + 1) + images.index_in_stack
    _, first = np.unique(key, return_index=True)
    if len(first) < len(key):
        again = np.setdiff1d(np.arange(len(key)), first)
        rows = f"{len(again)} rows (the first is {again[0] + 1})"
        warnings.append(f"{where}: {rows} name an image that another names too; it counts more than once")


def _block_of_images(blocks: list[Block], warnings: list[str]) -> Block:
    """The block that lists particles: by its name where several have images, else the first that has."""
    with_images = [block for block in blocks if any(label in block.labels for label in column_labels.IMAGE)]
    if not with_images:
        wanted = ", ".join("_" + label for label in column_labels.IMAGE[:2])
        raise InputError(f"{blocks[0].path}: no block has a column of images ({wanted})")
    by_name = {block.name: block for block in with_images}
    named = [by_name[name] for name in PREFERRED_BLOCKS if name in by_name]
    if named:
        return named[0]
    if len(with_images) > 1:
        others = ", ".join(block.name for block in with_images[1:])
        warnings.append(f"{with_images[0]} is read; other blocks hold images as well: {others}")
    return with_images[0]


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
