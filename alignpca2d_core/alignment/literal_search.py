"""Eq. 10 as it is printed: particles against shifted templates, both as coefficients of the particles' PCA.

What the paper's preset does, and what the search of :mod:`.exhaustive_search` is held against.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from ..fourier.band import Band, as_real
from ..preprocessing.preprocess import Vectors
from ..runtime.memory import tile_bytes
from .exhaustive_search import as_matches, best_of_blocks, in_parts, nearest_templates
from .fourier_pca import FourierPCA
from .matches import Matches
from .scoring_precision import scoring_type
from .search_grids import Level, Schedule
from .template_bank import kept_share, ring_power, turned

TEMPLATE_BYTES = 48 * 2**20
"""Templates held at once."""


def moved(rotated: Tensor, ramps: Tensor, out: Tensor | None = None) -> Tensor:
    """Rotated references (a, m) times ramps (s, m): (s, a, m), in ``out`` if given."""
    return torch.mul(rotated, ramps[:, None], out=out)


def projected(references: Tensor, band: Band, level: Level, shifts: Tensor, basis: FourierPCA) -> tuple[Tensor, Tensor]:
    """All templates of some classes as PCA coefficients (shifts, classes * rotations, components).

    Of the :func:`scoring_type`.  Also the share of each rotated reference's power that its templates keep, (classes,
    rotations).
    """
    rotated, kind = turned(references, band, level), scoring_type(band.device)
    ramps = band.shift_ramps(shifts[:, 0], shifts[:, 1])
    project = basis.components_.to(kind)
    count, turns = rotated.shape[:2]
    templates = project.new_empty(len(shifts), count, turns, project.shape[1])
    each = max(1, tile_bytes(band.device, 0) // (8 * len(shifts) * turns * len(band)))
    space: Tensor | None = None
    for own, some in zip(templates.split(each, 1), rotated.split(each), strict=True):
        space = moved(some.flatten(0, 1), ramps, space if len(some) == each else None)
        own.copy_((as_real(space).to(kind) @ project).view_as(own))
    kept = torch.cat([own.float().square().sum(3).mean(0) for own in templates.split(each, 1)])
    return templates.flatten(1, 2), kept_share(kept, references)


def literal_exhaustive(
    particles: Vectors, references: Tensor, schedule: Schedule, basis: FourierPCA, keep: int = 1
) -> Matches:
    """The ``keep`` best pairs of class and rotation, each at its best shift; references (k, m) are filtered (eq. 9)."""
    level, band = schedule.exhaustive, particles.band
    narrow, power = band.narrowed(level.radius), 0.5 * ring_power(references, band, level.radius)
    shifts = level.shifts(schedule.reach, narrow.device)
    each = len(shifts) * level.searched * basis.components_.shape[1] * scoring_type(narrow.device).itemsize
    most = max(1, tile_bytes(narrow.device, TEMPLATE_BYTES) // each)
    chunk = math.ceil(len(references) / math.ceil(len(references) / most))

    def compared(some: Vectors) -> Iterator[Matches]:
        coefficients = basis.transform(as_real(some.z[:, : len(narrow)]))[:, None]
        for first in range(0, len(references), chunk):
            own = slice(first, first + chunk)
            templates, share = projected(references[own, : len(narrow)], narrow, level, shifts, basis)
            # The PCA keeps a share of each template's power; taking the rest off the score would favour the faint.
            penalty = ((some.q @ power[own].T)[:, :, None] * share).flatten(1)
            yield as_matches(nearest_templates(coefficients, templates, penalty, keep), first, level, shifts)

    return in_parts(particles, lambda some: best_of_blocks(compared(some), keep))
