"""The particles of some classes of a folder of results, as the input of another run.

They keep the rows of the metadata that they came in, with every column, and their identifiers.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from ..io.cryosparc import read_records, write_records
from ..io.output_folder import PARTICLES
from ..io.particle_reading import read_particles
from ..io.particle_set import ParticleSet
from ..io.verbatim.row_text import put_together
from .exported import Exported
from .given_star import write_given_rows


def chosen_particles(exported: Exported, folder: Path) -> ParticleSet:
    """The m chosen particles, in the order of the results, from a metadata file of their own.

    Parameters
    ----------
    exported : Exported
    folder : Path
        Where the file is written; it must be there as long as the particles are in use.
    """
    chosen = exported.particles.subset(exported.chosen)
    if exported.is_from("relion"):
        path = folder / "particles.star"
        write_given_rows(path, exported)
    elif exported.is_from("cryosparc") and len(exported.given) == 1:
        path = folder / "particles.cs"
        write_records(path, read_records(exported.given[0].path)[exported.chosen])
    else:
        path = folder / PARTICLES
        assert chosen.origin is not None
        table, lines = chosen.origin.text()
        put_together(path, table, table.labels, lines)
    # Names of images are looked for beside their own file: the results know where they are.
    return replace(
        read_particles(path),
        stacks=chosen.stacks,
        stack_of=chosen.stack_of,
        index_in_stack=chosen.index_in_stack,
        lone=chosen.lone,
        ids=chosen.ids,
        enabled=np.ones(len(chosen), dtype=bool),
        source=exported.directory / PARTICLES,
    )
