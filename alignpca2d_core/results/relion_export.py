"""A classification as RELION's star files: particles with optics groups (3.1 and later), and class averages.

RELION resolves names from its project folder as we do from where a command runs: export from there, or give stacks
by absolute names.  cryoSPARC imports the same particles with *Import Particle Stack*.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..fourier.rigid_transforms import to_relion
from ..io.atomic_files import atomic_path
from ..io.mrc import read_header
from ..io.output_folder import AVERAGES
from ..io.particle_set import ParticleSet
from ..io.star import column_labels
from ..io.star.star_reader import Table
from ..io.star.star_writer import laid_out, loop_head
from .exported import Exported, read_exported
from .given_star import write_given_star
from .result_files import CERTAINTY, Classification

PARTICLES_STAR, AVERAGES_STAR = "particles.star", "class_averages.star"
HEAD = "\n# version 30001\n\n"
NOMINAL_OPTICS = {"voltage": 300.0, "spherical_aberration": 2.7, "amplitude_contrast": 0.1}
"""RELION asks for these even where particles have no CTF."""
PER_PARTICLE = ("defocus_u", "defocus_v", "defocus_angle", "phase_shift")


def export_relion(directory: str | Path, good_only: bool = False) -> tuple[list[Path], list[str]]:
    """Write ``particles.star`` and ``class_averages.star`` into a folder of results.

    Particles that came as RELION's metadata are written back as they came, all of them, with class, angle and origin.
    Of others those that could not be used are left out.  With ``good_only`` so are those of classes that are not good.

    Returns
    -------
    The files, and warnings.

    Raises
    ------
    InputError
        When the folder holds no results, or has no verdicts where they are needed, or a name has spaces.
    """
    return write_relion(read_exported(Path(directory), good_only))


def write_relion(exported: Exported) -> tuple[list[Path], list[str]]:
    """The same of particles that are read already."""
    particles, directory, summary = exported.particles, exported.directory, exported.summary
    paths = [directory / PARTICLES_STAR, directory / AVERAGES_STAR]
    exported.refuse_to_overwrite(paths[0])
    exported.refuse_mirrored()
    warnings = [] if particles.ctf is not None else ["the particles have no CTF: classify without it in RELION too"]
    flipped = particles.ctf is not None and bool(np.asarray(particles.ctf.phase_flipped).any())
    if flipped or summary["settings"].get("phase_flipped"):
        warnings.append("the particles are phase-flipped: tell RELION so (--ctf_phase_flipped)")
    if exported.is_from("relion"):
        warnings += write_given_star(paths[0], exported)
    else:
        optics, group = optics_groups(particles, exported.pixel_sizes, exported.result.averages.shape[-1])
        table = particle_columns(particles, exported.result, group, exported.pixel_sizes)
        write_star(paths[0], {"optics": optics, "particles": Table("particles", table).subset(exported.chosen)})
    write_star(paths[1], {"": average_columns(directory / AVERAGES, exported.result)})
    return paths, warnings


def optics_groups(
    particles: ParticleSet, pixel_sizes: NDArray[np.float64], box: int
) -> tuple[Table, NDArray[np.int64]]:
    """The table of optics groups, and each particle's group from 1, (n,).

    There is one for each voltage, aberration, contrast and pixel size; ``box`` is that of the class averages, and of
    the particles where all have one pixel size.
    """
    ctf, count = particles.ctf, len(particles)
    values = [
        np.full(count, nominal) if ctf is None else np.asarray(getattr(ctf, name), dtype=np.float64)
        for name, nominal in NOMINAL_OPTICS.items()
    ]
    multiplied = np.zeros(count) if ctf is None else np.asarray(ctf.premultiplied, dtype=np.float64)
    values += [multiplied, pixel_sizes]
    kinds, group = np.unique(np.stack(values, axis=1), axis=0, return_inverse=True)
    number = np.arange(1, len(kinds) + 1)
    columns: dict[str, NDArray[Any]] = {
        "rlnOpticsGroupName": np.array([f"opticsGroup{one}" for one in number], dtype=object),
        "rlnOpticsGroup": number,
        **{column_labels.CTF[name][1]: kinds[:, k] for k, name in enumerate(NOMINAL_OPTICS)},
        "rlnImagePixelSize": kinds[:, -1],
        "rlnImageSize": image_sizes(particles, group.reshape(-1), box),
        "rlnImageDimensionality": np.full(len(kinds), 2),
    }
    if multiplied.any():
        columns[column_labels.CTF_FLAGS["premultiplied"][0]] = kinds[:, -2].astype(np.int64)
    return Table("optics", columns), group.reshape(-1).astype(np.int64) + 1


def image_sizes(particles: ParticleSet, group: NDArray[np.int64], box: int) -> NDArray[np.int64]:
    """The box of the images of each optics group (from 0), as the stacks of the first of its particles have it."""
    _, first = np.unique(group, return_index=True)
    if particles.pixel_sizes is None:
        return np.full(len(first), box)
    return np.array([read_header(particles.stacks[particles.stack_of[row]]).box for row in first])


def particle_columns(
    particles: ParticleSet, result: Classification, group: NDArray[np.int64], pixel_sizes: NDArray[np.float64]
) -> dict[str, NDArray[Any]]:
    """RELION's columns of all n particles."""
    psi, origin_x, origin_y = to_relion(result.poses, pixel_sizes)
    columns: dict[str, NDArray[Any]] = {"rlnImageName": np.array(particles.image_names(), dtype=object)}
    for relion, xmipp in column_labels.XMIPP_OF_RELION.items():
        if xmipp in particles.table:
            columns[relion] = particles.table[xmipp]
    if particles.ctf is not None:
        columns |= {column_labels.CTF[name][1]: getattr(particles.ctf, name) for name in PER_PARTICLE}
    columns |= {
        "rlnOpticsGroup": group,
        "rlnAngleRot": np.zeros(len(psi)),
        "rlnAngleTilt": np.zeros(len(psi)),
        "rlnAnglePsi": psi,
        "rlnOriginXAngst": origin_x,
        "rlnOriginYAngst": origin_y,
        "rlnClassNumber": result.assignments + 1,
        "rlnParticleFigureOfMerit": result.score,
    }
    if CERTAINTY in particles.table:
        columns["rlnMaxValueProbDistribution"] = particles.table[CERTAINTY]
    return columns


def average_columns(stack: Path, result: Classification) -> Table:
    """RELION's table of class averages."""
    names = [f"{number:06d}@{stack}" for number in range(1, len(result) + 1)]
    return Table(
        "",
        {
            "rlnReferenceImage": np.array(names, dtype=object),
            "rlnClassDistribution": result.sizes / max(int(result.sizes.sum()), 1),
            "rlnEstimatedResolution": result.resolution_angstrom,
            "rlnClassNumber": np.arange(1, len(result) + 1),
        },
    )


def write_star(path: Path, tables: Mapping[str, Table]) -> None:
    """Write tables as RELION reads them, atomically.

    Raises
    ------
    InputError
        When a value has spaces: RELION 3 and 4 know no quotes.
    """
    text = star_text(path, tables)
    with atomic_path(path) as temporary, _text_file(temporary) as file:
        file.write(text)


def star_text(path: Path, tables: Mapping[str, Table]) -> str:
    """What :func:`write_star` writes."""
    for table in tables.values():
        for column in table.columns.values():
            spaced = [value for value in column if any(map(str.isspace, value))] if column.dtype == object else []
            if spaced:
                raise InputError(f"{path}: RELION cannot read names with spaces: {spaced[0]}")
    parts = []
    for name, table in tables.items():
        parts += [HEAD, loop_head(name, table.columns), *laid_out(list(table.columns.values())), "\n"]
    return "".join(parts)


def _text_file(path: Path) -> TextIO:
    """A new file whose names that are no UTF-8 keep their bytes."""
    return path.open("w", encoding="utf-8", errors="surrogateescape", newline="\n")
