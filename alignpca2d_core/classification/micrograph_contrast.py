"""How particles fit their classes, taken together by micrograph: what :class:`.MicrographScales` learns from."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..alignment.matches import Matches
from ..alignment.pose_search import PoseSearch
from ..averaging.noise_scores import NoiseScores, noise_level
from ..averaging.templates import Templates
from ..fourier.band import Band
from ..preprocessing.micrograph_scales import MicrographScales
from ..preprocessing.preprocess import Vectors
from ..runtime import distributed


@dataclass
class MicrographContrast:
    """Ratios of particles that have been matched, until the scales are learned.

    Attributes
    ----------
    scales : MicrographScales
    noise : NoiseScores
        What noise reaches in the same search.
    rows : list of (b,) int64 tensors
        Of the particles in the set.
    ratio, usual : list of (b,) tensors
        See :meth:`.MicrographScales.learn`.
    """

    scales: MicrographScales
    noise: NoiseScores
    rows: list[Tensor] = field(default_factory=list)
    ratio: list[Tensor] = field(default_factory=list)
    usual: list[Tensor] = field(default_factory=list)

    @staticmethod
    def of(
        scales: MicrographScales, templates: Templates, search: PoseSearch, q: Tensor, band: Band
    ) -> MicrographContrast:
        """Of particles searched for in these averages, with CTF² like ``q`` (n, rings), which all ranks know."""
        return MicrographContrast(scales, noise_level(search, q, templates, band))

    def add(self, rows: NDArray[np.int64], ratio: Tensor, q: Tensor, power: Tensor) -> None:
        """Particles with ratios (b,) and CTF² (b, rings) in their contrast, and the usual class's power (rings,)."""
        self.rows.append(torch.from_numpy(rows))
        self.ratio.append(ratio.cpu())
        self.usual.append((q @ power).sqrt().cpu() / self.scales.of_rows(rows))

    def add_matches(self, rows: NDArray[np.int64], particles: Vectors, matches: Matches, power: Tensor) -> None:
        """The same from scores on the full band, in averages of that power (k, rings)."""
        expected = (particles.q * power[matches.classes[:, 0]]).sum(1).clamp_min(1e-20)
        ratio = (matches.score[:, 0] + 0.5 * expected) / expected.sqrt()
        self.add(rows, ratio, particles.q, power.mean(0))

    def teach(self) -> None:
        """Let the scales be what all particles so far, of all ranks, make likely."""
        if self.rows:
            rows, ratio, usual = (distributed.joined(torch.cat(one)) for one in (self.rows, self.ratio, self.usual))
            self.scales.learn(rows.numpy(), ratio, usual, (self.noise.mean, self.noise.deviation))
