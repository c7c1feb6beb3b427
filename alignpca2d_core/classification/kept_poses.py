"""Classes of particles that stay as they are aligned: one pose for each, and only the class is looked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from ..alignment.fourier_pca import FourierPCA
from ..alignment.matches import Matches
from ..alignment.search_grids import Level, Schedule
from ..averaging.class_averages import TURNED_AT_ONCE, ClassSums, average_mask, from_work_images
from ..fourier.rigid_transforms import Poses
from ..fourier.rotation import turned_images
from ..preprocessing.particle_source import Rows, Source
from ..preprocessing.prepared_run import Run
from ..preprocessing.preprocess import SHIFT_RANGE, Vectors
from ..runtime.memory import in_pieces
from .classifier import Classifier
from .discovery.initialization import Sweep
from .stages import Views

FIRST_BAND = 20.0
"""Fourier pixels on which classes are found: the PCA there has some 1,250 features, which takes a second."""
NO_STEP = 1e-3
"""Pixels that the search goes to each side of the pose that is kept, in the end for nothing."""


def as_matches(poses: Poses, device: torch.device) -> Matches:
    """Transforms of n particles as poses of their averages, (n, 1): the inverse of each, in the class 0."""
    angle = np.deg2rad(poses.psi_deg)
    cosine, sine, x, y = np.cos(angle), np.sin(angle), poses.shift_x_px, poses.shift_y_px
    columns = (angle % (2 * np.pi), sine * y - cosine * x, -sine * x - cosine * y, np.zeros(len(poses)))
    figures = [torch.from_numpy(column).float()[:, None].to(device) for column in columns]
    return Matches(torch.zeros(len(poses), 1, dtype=torch.int64, device=device), *figures)


class AlignedSource(Source):
    """Particles that are brought into the frame of their class as they are read.

    Parameters
    ----------
    run : Run
    poses : Matches
        Of the averages, (n, 1).
    """

    def __init__(self, run: Run, poses: Matches) -> None:
        super().__init__(run.reader, run.particles, run.preparation())
        self._poses = poses

    def _read(self, batches: Sequence[Rows]) -> Iterator[tuple[Rows, Tensor, Tensor, Tensor | None]]:
        for rows, z, q, figures in super()._read(batches):
            yield rows, self._aligned(rows, z), q, figures

    def _aligned(self, rows: Rows, z: Tensor) -> Tensor:
        """Vectors (b, m) of particles as they lie on their average."""
        poses, band = self._poses.rows(torch.from_numpy(rows).to(z.device)), self.band
        aligned = torch.empty_like(z)

        def align(some: slice) -> None:
            back = z[some] * band.shift_ramps(poses.shift_x[some, 0], poses.shift_y[some, 0]).conj()
            aligned[some] = from_work_images(band, turned_images(band, back, -poses.angle[some, 0]))

        in_pieces(align, len(z), TURNED_AT_ONCE)
        return aligned


class KeptPoses(Classifier):
    """Parameters are the run and the poses (n,) that align its particles, in their own pixels."""

    def __init__(self, run: Run, poses: Poses) -> None:
        self.poses = as_matches(poses.scaled(1 / run.reader.pixels_per_grid_pixel), run.device)
        source = AlignedSource(run, self.poses)
        super().__init__(run.settings, source, run.band, run.mask_radius, run.progress)
        # As far as the preparation lets the background in.
        reach = SHIFT_RANGE * self.band.box
        self.search_mask = average_mask(self.band, min(self.mask_radius + reach, self.band.box / 2))

    def make_schedule(self) -> Schedule:
        """One rotation and one shift, on two bands."""
        radii = min(FIRST_BAND, self.band.radius), self.band.radius
        first, second = (Level(360.0, NO_STEP, radius) for radius in radii)
        return Schedule(first, (second,), 0.0)

    def sweep(self, particles: Vectors, halves: Tensor, fineness: float) -> Sweep:
        """The same at every stage, whatever fineness others need."""
        basis = self.learned_basis(particles, self.schedule)
        return Sweep.make(particles, halves, self.schedule, basis, self.mask_radius)

    def density_offsets(self, sums: ClassSums, view_of: Tensor) -> Tensor:
        """Classes stay where they are."""
        return torch.zeros(len(view_of), 2, device=self.band.device)

    def finish(self, found: Views, basis: FourierPCA) -> None:
        """The classes asked for; every particle, also one that is set aside, has the pose that it came with."""
        super().finish(found, basis)
        kept = self.poses.rows(torch.from_numpy(self.members_.rows).to(self.band.device))
        matches = self.placement_.matches
        matches.angle, matches.shift_x, matches.shift_y = kept.pose()
