"""Sets of particles one after the other, as a stream brings them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..fourier.common_grid import PIXEL_SIZE_TOLERANCE
from ..fourier.ctf import CtfParameters
from .diagnosis.ctf_faults import CtfFaults
from .particle_set import ParticleSet, particle_table
from .star.star_reader import Table


def concatenate(sets: Sequence[ParticleSet]) -> ParticleSet:
    """All particles in the order of the sets; source, and the order of columns, are the first set's.

    Columns that not all sets have are left out, and identifiers that come twice are replaced by 1 to n; both
    with a warning.  Sets of different programs are brought to Xmipp's labels.

    Raises
    ------
    InputError
        When some sets have a CTF and others none, or a pixel size where the others have several.
    """
    first = sets[0]
    warnings = list(dict.fromkeys(line for particles in sets for line in particles.warnings))
    stacks, numbers, lone = _joined_stacks(sets)
    sampling_rate, pixel_sizes = _joined_pixel_sizes(sets)
    same = len({particles.dialect for particles in sets}) == 1
    return ParticleSet(
        table=_joined_table([p.table if same else particle_table(p, {}) for p in sets], warnings),
        stacks=stacks,
        stack_of=np.concatenate([number[p.stack_of] for number, p in zip(numbers, sets, strict=True)]),
        index_in_stack=np.concatenate([particles.index_in_stack for particles in sets]),
        enabled=np.concatenate([particles.enabled for particles in sets]),
        ids=_joined_ids(sets, warnings),
        source=first.source,
        dialect=first.dialect if same else "xmipp",
        ctf=_joined_ctf(sets),
        sampling_rate=sampling_rate,
        pixel_sizes=pixel_sizes,
        lone=lone,
        ctf_faults=CtfFaults(np.concatenate([particles.failed for particles in sets])),
        warnings=warnings,
    )


def _joined_stacks(sets: Sequence[ParticleSet]) -> tuple[tuple[Path, ...], list[NDArray[np.int32]], frozenset[int]]:
    """The distinct stacks, the new number of each set's stacks, and which of them must hold one image."""
    known: dict[tuple[Path, bool], int] = {}
    numbers = []
    for particles in sets:
        keys = [(path, number in particles.lone) for number, path in enumerate(particles.stacks)]
        numbers.append(np.array([known.setdefault(key, len(known)) for key in keys], dtype=np.int32))
    return tuple(path for path, _ in known), numbers, frozenset(n for (_, alone), n in known.items() if alone)


def _joined_table(tables: Sequence[Table], warnings: list[str]) -> Table:
    labels = [label for label in tables[0].columns if all(label in table for table in tables)]
    left_out = sorted({label for table in tables for label in table.columns} - set(labels))
    if left_out:
        warnings.append(f"columns that not all particles have are left out: {', '.join(left_out)}")
    return Table(tables[0].name, {label: np.concatenate([table[label] for table in tables]) for label in labels})


def _joined_ids(sets: Sequence[ParticleSet], warnings: list[str]) -> NDArray[Any]:
    ids: NDArray[Any] = np.concatenate([particles.ids for particles in sets])
    if len(np.unique(ids)) == len(ids):
        return ids
    warnings.append(f"identifiers come twice among the particles of {len(sets)} files; numbered from 1 instead")
    return np.arange(1, len(ids) + 1, dtype=np.int64)


def _joined_ctf(sets: Sequence[ParticleSet]) -> CtfParameters | None:
    given = [particles.ctf for particles in sets if particles.ctf is not None]
    if given and len(given) < len(sets):
        without = next(particles for particles in sets if particles.ctf is None)
        raise InputError(f"{without.source}: has no CTF, but other particles of the same stream have")
    if not given:
        return None
    columns = {item.name: [getattr(ctf, item.name) for ctf in given] for item in fields(CtfParameters)}
    return CtfParameters(**{name: np.concatenate(parts) for name, parts in columns.items()})


def _joined_pixel_sizes(sets: Sequence[ParticleSet]) -> tuple[float | None, NDArray[Any] | None]:
    """The pixel size of all, or the coarsest; and that of each where they differ by more than 2 %."""
    given = [particles.sampling_rate for particles in sets if particles.sampling_rate is not None]
    if not given:
        return None, None
    same = all(particles.pixel_sizes is None for particles in sets)
    if same and max(given) - min(given) <= PIXEL_SIZE_TOLERANCE * given[0]:
        return given[0], None
    without = next((particles for particles in sets if particles.sampling_rate is None), None)
    if without is not None:
        raise InputError(f"{without.source}: has no pixel size, but particles of several sizes are with it")
    sizes = [np.full(len(p), p.sampling_rate) if p.pixel_sizes is None else p.pixel_sizes for p in sets]
    return max(given), np.concatenate(sizes)
