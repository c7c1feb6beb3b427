"""Reading particles: Xmipp's .xmd, RELION's .star (3.0, 3.1, 5), cryoSPARC's .cs and bare MRC stacks."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import InputError, NoParticles
from .cryosparc import read_cryosparc
from .image_names import ImageLocations, ImageNames
from .mrc import read_header
from .particle_columns import ParticleColumns
from .particle_set import ParticleSet
from .star import column_labels
from .star.star_reader import Block, Table, parse, scan
from .verbatim.origin import Origin

PREFERRED_BLOCKS = ("particles", "images", "noname", "", "classes")
STACK_SUFFIXES = (".mrcs", ".mrc", ".map", ".ccp4", ".st")


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
    label, names = next(label for label in column_labels.IMAGE if label in chosen.labels), ImageNames(chosen.path)
    table = parse(chosen, {label: names.taken_apart})
    if not len(table):
        raise NoParticles(f"{chosen}: holds no particles")
    optics = next((parse(block) for block in blocks if block.name == "optics"), Table())
    columns = ParticleColumns(str(chosen), table, optics, warnings)
    images = names.located(table[label])
    table.columns[label] = names.of_stacks(images.stack_of)
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
