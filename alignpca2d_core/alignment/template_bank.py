"""Templates of eq. 8: class averages at every rotation of a grid, as coefficients on axes of their own.

They are turned and not shifted: particles are shifted in their place, back.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from ..fourier.band import Band, as_real
from ..runtime.memory import tile_bytes
from .fourier_pca import FourierPCA
from .reference_axes import reference_axes
from .scoring_precision import scoring_type
from .search_grids import Level

SHIFTED_BYTES = 2**20
"""Shifted particles at once on a CPU, which stay in its cache."""
TURNED_AT_ONCE = 100
"""Classes that are turned at once, and that axes are learned from."""


def ring_power(references: Tensor, band: Band, radius: float) -> Tensor:
    """|x|² of references (k, m) on the rings of a narrower band, (k, rings)."""
    return band.ring_sum(references[:, : band.prefix(radius)].abs() ** 2)


def turned(references: Tensor, band: Band, level: Level) -> Tensor:
    """References (k, m) at all rotations of a level, (k, rotations, m)."""
    rotated = band.rotate_round(references, level.rotations)
    return rotated if level.within is None else rotated[:, level.turns(band.device)]


def kept_share(kept: Tensor, references: Tensor) -> Tensor:
    """The share that is kept (k, rotations) of the power of references (k, m)."""
    return (kept / (references.abs() ** 2).sum(1, keepdim=True)).nan_to_num()


@dataclass(frozen=True)
class FewDigits:
    """Of which one product gives first scores.

    Attributes
    ----------
    templates : Tensor
        Of the :func:`scoring_type`, (k * rotations, f).
    lines : Tensor
        Of shifted particles, (n, s, f).
    """

    templates: Tensor
    lines: Tensor

    def of(self, templates: slice) -> FewDigits:
        """Of some of the templates."""
        return replace(self, templates=self.templates[templates])


@dataclass(frozen=True)
class Bank:
    """References at every rotation of a grid, as coefficients on their own axes.

    Attributes
    ----------
    references : Tensor
        Filtered averages on the whole band, (k, m).
    band : Band
        Of the grid.
    level : Level
    axes : FourierPCA
        See :mod:`.reference_axes`.
    templates : Tensor
        (k * rotations, axes) float32.
    common : Tensor
        Their mean over all classes and rotations, (axes,).
    share : Tensor
        Of the power of each that the axes keep, (k, rotations).
    power : Tensor
        Half of |x|² by ring, (k, rings).
    """

    references: Tensor
    band: Band
    level: Level
    axes: FourierPCA
    templates: Tensor
    common: Tensor
    share: Tensor
    power: Tensor

    @staticmethod
    def make(references: Tensor, band: Band, level: Level, basis: FourierPCA) -> Bank:
        """Of filtered averages (k, m) on the whole band, and the particles' PCA on the level's."""
        narrow, power = band.narrowed(level.radius), 0.5 * ring_power(references, band, level.radius)
        own = references[:, : len(narrow)]
        parts = [as_real(turned(few, narrow, level)) for few in own.split(TURNED_AT_ONCE)]
        whole = parts[0] if len(parts) == 1 else torch.cat(parts)
        axes = reference_axes(whole[:: math.ceil(len(own) / TURNED_AT_ONCE)].flatten(0, 1), basis)
        templates = axes.transform(whole)
        share = kept_share(templates.square().sum(2), own)
        every = templates.flatten(0, 1)
        return Bank(references, narrow, level, axes, every, every.mean(0), share, power)

    def among(self, classes: slice) -> Bank:
        """Some of the classes, along the axes of all."""
        turns = self.level.searched
        rows, own = slice(classes.start * turns, classes.stop * turns), self.references[classes]
        share, power = self.share[classes], self.power[classes]
        return replace(self, references=own, templates=self.templates[rows], share=share, power=power)

    def in_few_digits(self, lines: Tensor) -> FewDigits | None:
        """What stands for templates and lines (n, s, axes) of particles where scores are of few digits; None elsewhere.

        Most digits would go to what all templates have in common.  So the products are with the rest of the templates,
        and two more features hold what the common part has at each shift, less that at its best: the products are
        scores but for a constant of each particle, which changes no order.
        """
        if scoring_type(self.band.device) == torch.float32:
            return None
        rest = self._rest
        usual = lines @ self.common
        usual -= usual.amax(1, keepdim=True)
        high = usual.to(rest.dtype).float()
        return FewDigits(rest, torch.cat((lines, torch.stack((high, usual - high), 2)), 2))

    @cached_property
    def _rest(self) -> Tensor:
        """Templates less what they have in common, of the :func:`scoring_type`, and two ones, (k * rotations, f)."""
        ones = self.templates.new_ones(len(self.templates), 2)
        return torch.cat((self.templates - self.common, ones), 1).to(scoring_type(self.band.device))

    def penalty(self, q: Tensor) -> Tensor:
        """Half the power that the axes keep of each template under CTF² ``q`` (n, rings), (n, k * rotations).

        Taking off the rest too would favour the faint.
        """
        return ((q @ self.power.T)[:, :, None] * self.share).flatten(1)


def shifted(vectors: Tensor, band: Band, shifts: Tensor, basis: FourierPCA) -> Tensor:
    """Particles (n, m) moved back by each of the shifts (s, 2), as coefficients on the axes of ``basis``, (n, s, axes).

    Few particles against many templates are cheaper to shift than the templates: <z, shifted x> = <z shifted back, x>.
    """
    ramps = band.shift_ramps(-shifts[:, 0], -shifts[:, 1])
    found = vectors.real.new_empty(len(vectors), len(shifts), basis.components_.shape[1])
    together = max(1, tile_bytes(band.device, SHIFTED_BYTES) // (8 * ramps.numel()))
    for some, room in zip(vectors.split(together), found.split(together), strict=True):
        lines = as_real(some[:, None] * ramps).flatten(0, 1)
        torch.mm(lines, basis.components_, out=room.flatten(0, 1))
    return found
