"""A classification as RELION's star files: particles with optics groups (3.1 and later), and class averages.

RELION resolves names from its project folder as we do from where a command runs: export from there, or give stacks
by absolute names.  cryoSPARC imports the same particles with *Import Particle Stack*.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..fourier.rigid_transforms import to_relion
from ..io import column_labels
from ..io.atomic_files import atomic_path
from ..io.output_folder import AVERAGES, SUMMARY, require_results
from ..io.particle_set import ParticleSet
from ..io.star_reader import Table
from ..io.star_writer import laid_out, loop_head
from .class_quality import GOOD
from .result_files import CERTAINTY, Classification, read_results

PARTICLES_STAR, AVERAGES_STAR = "particles.star", "class_averages.star"
HEAD = "\n# version 30001\n\n"
NOMINAL_OPTICS = {"voltage": 300.0, "spherical_aberration": 2.7, "amplitude_contrast": 0.1}
"""RELION asks for these even where particles have no CTF."""
PER_PARTICLE = ("defocus_u", "defocus_v", "defocus_angle", "phase_shift")


def export_relion(directory: str | Path, good_only: bool = False) -> tuple[list[Path], list[str]]:
    """Write ``particles.star`` and ``class_averages.star`` into a folder of results.

    Particles that could not be used are left out; with ``good_only`` so are those of classes that are not good.

    Returns
    -------
    The files, and warnings.

    Raises
    ------
    InputError
        When the folder holds no results, or has no verdicts where they are needed, or a name has spaces.
    """
    directory = Path(directory)
    require_results(directory)
    particles, result = read_results(directory)
    summary = json.loads((directory / SUMMARY).read_text(encoding="utf-8"))
    rate = float(summary["input"]["sampling_rate"])
    chosen = result.assignments >= 0
    if good_only:
        verdicts = summary["classes"].get("verdict")
        if verdicts is None:
            raise InputError(f"{directory / SUMMARY}: has no verdicts on the classes")
        chosen &= (np.array(verdicts) == GOOD)[result.assignments]
    if not chosen.any():
        raise InputError(f"{directory}: no particle is left to export")
    warnings = [] if particles.ctf is not None else ["the particles have no CTF: classify without it in RELION too"]
    flipped = particles.ctf is not None and bool(np.asarray(particles.ctf.phase_flipped).any())
    if flipped or summary["settings"].get("phase_flipped"):
        warnings.append("the particles are phase-flipped: tell RELION so (--ctf_phase_flipped)")
    optics, group = optics_groups(particles, rate, result.averages.shape[-1])
    table = particle_columns(particles, result, group, rate)
    averages = average_columns(directory / AVERAGES, result)
    files = {
        PARTICLES_STAR: {"optics": optics, "particles": Table("particles", table).subset(chosen)},
        AVERAGES_STAR: {"": averages},
    }
    for name, tables in files.items():
        write_star(directory / name, tables)
    return [directory / name for name in files], warnings


def optics_groups(particles: ParticleSet, sampling_rate: float, box: int) -> tuple[Table, NDArray[np.int64]]:
    """The table of optics groups, one for each voltage, aberration and contrast; each particle's group from 1, (n,)."""
    ctf, count = particles.ctf, len(particles)
    values = [
        np.full(count, nominal) if ctf is None else np.asarray(getattr(ctf, name), dtype=np.float64)
        for name, nominal in NOMINAL_OPTICS.items()
    ]
    multiplied = np.zeros(count) if ctf is None else np.asarray(ctf.premultiplied, dtype=np.float64)
    values.append(multiplied)
    kinds, group = np.unique(np.stack(values, axis=1), axis=0, return_inverse=True)
    number = np.arange(1, len(kinds) + 1)
    columns: dict[str, NDArray[Any]] = {
        "rlnOpticsGroupName": np.array([f"opticsGroup{one}" for one in number], dtype=object),
        "rlnOpticsGroup": number,
        **{column_labels.CTF[name][1]: kinds[:, k] for k, name in enumerate(NOMINAL_OPTICS)},
        "rlnImagePixelSize": np.full(len(kinds), sampling_rate),
        "rlnImageSize": np.full(len(kinds), box),
        "rlnImageDimensionality": np.full(len(kinds), 2),
    }
    if multiplied.any():
        columns[column_labels.CTF_FLAGS["premultiplied"][0]] = kinds[:, -1].astype(np.int64)
    return Table("optics", columns), group.reshape(-1).astype(np.int64) + 1


def particle_columns(
    particles: ParticleSet, result: Classification, group: NDArray[np.int64], sampling_rate: float
) -> dict[str, NDArray[Any]]:
    """RELION's columns of all n particles."""
    psi, origin_x, origin_y = to_relion(result.poses, sampling_rate)
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
    for table in tables.values():
        for column in table.columns.values():
            spaced = [value for value in column if any(map(str.isspace, value))] if column.dtype == object else []
            if spaced:
                raise InputError(f"{path}: RELION cannot read names with spaces: {spaced[0]}")
    with atomic_path(path) as temporary, _text_file(temporary) as file:
        for name, table in tables.items():
            file.write(HEAD + loop_head(name, table.columns))
            file.writelines(laid_out(list(table.columns.values())))
            file.write("\n")


def _text_file(path: Path) -> TextIO:
    """A new file whose names that are no UTF-8 keep their bytes."""
    return path.open("w", encoding="utf-8", errors="surrogateescape", newline="\n")
