"""Which view of a density map each class average shows: the projection that agrees with it best.

Averages are compared with projections from directions evenly over the sphere (of a symmetric map, over one part of
it), at all rotations and small shifts; then with those around the best few, in steps that halve.  Rings are weighted as
where averages are compared with each other (:mod:`.choosing.class_distances`), so that a map's sharpening matters
little.  Directions on the whole sphere are all views and their mirror images.  A map and its mirror image have the same
projections: of which hand it is, averages do not tell.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..choosing.best_poses import FINE_RADIUS, LAST_TURNS, GridPoses, first_poses, poses_at, refined
from ..choosing.weighted_images import WeightedImages, flattening_gain
from ..fourier.band import Band
from ..fourier.ring_correlation import wiener_shrinkage
from ..runtime.memory import in_pieces
from .density import Density
from .views import even_directions, in_one_part, looking_along, tilted_a_little

FloatArray = NDArray[np.float64]
DIRECTION_STEP_DEG = 7.5
FIRST_KEPT, LAST_KEPT = 6, 2
"""Directions that are compared on all rings, and those that are looked around."""
LAST_STEPS_DEG = (4.0, 2.0, 1.0)
POINTS_AT_ONCE = 1 << 19
"""Points of slices that are read at once."""
CONTRAST_EVERY = 4
"""Which of the directions the contrast is told by."""
INSIDE_NYQUIST = 0.98
LEAST_SHARE = 1e-3


@dataclass(frozen=True)
class MatchedViews:
    """What view of a map each of k averages shows.

    Attributes
    ----------
    rotations : (k, 3, 3)
        Their projections lie as the averages do, but for a shift.
    contrast : float
        1, or -1 where what is bright in the averages is low in the map.
    """

    rotations: FloatArray
    contrast: float


def matched_views(
    averages: NDArray[np.float32], frc: NDArray[np.float64], density: Density, rate: float, symmetry: FloatArray
) -> MatchedViews:
    """The views that averages show.

    Parameters
    ----------
    averages, frc : (k, box, box), (k, rings)
    density : Density
    rate : float
        Å/px of the averages.
    symmetry : (g, 3, 3)
        Rotations that leave the map as it is.
    """
    search, views, contrast = _Search.prepared(averages, frc, density, rate, symmetry)
    found = search.best_of(views).best(LAST_KEPT)
    for step in LAST_STEPS_DEG:
        found = search.best_around(found, step)
    found = found.best(1)
    angle = -found.poses.angle().numpy()
    turn = np.zeros((len(angle), 3, 3))
    turn[:, 0, 0] = turn[:, 1, 1] = np.cos(angle)
    turn[:, 1, 0], turn[:, 0, 1], turn[:, 2, 2] = np.sin(angle), -np.sin(angle), 1.0
    return MatchedViews(turn @ found.rotations[:, 0], contrast)


@dataclass(frozen=True)
class _Candidates:
    """c views of each of k averages: rotations (k, c, 3, 3), agreement (k, c), and poses, k·c."""

    rotations: FloatArray
    score: Tensor
    poses: GridPoses

    def best(self, count: int) -> _Candidates:
        """The ``count`` best of each average."""
        score, place = self.score.topk(min(count, self.score.shape[1]), dim=1)
        flat = (place + self.score.shape[1] * torch.arange(len(place))[:, None]).flatten()
        rotations = np.take_along_axis(self.rotations, place.numpy()[:, :, None, None], axis=1)
        return _Candidates(rotations, score, self.poses[flat])


@dataclass(frozen=True)
class _Search:
    """Averages turned all round, (k, LAST_TURNS, m), and what projections are read from and multiplied by, (m,)."""

    turned: Tensor
    density: Density
    band: Band
    rate: float
    gain: Tensor

    @staticmethod
    def prepared(
        averages: NDArray[np.float32], frc: NDArray[np.float64], density: Density, rate: float, symmetry: FloatArray
    ) -> tuple[_Search, FloatArray, float]:
        """The search, the rotations (n, 3, 3) of its first grid, and the contrast of averages and map."""
        box = averages.shape[-1]
        band = Band.make(box, min(FINE_RADIUS, INSIDE_NYQUIST * box * rate / (2 * density.sampling_rate)))
        share = wiener_shrinkage(torch.from_numpy(frc.astype(np.float32)))[:, : band.rings].clamp_min(LEAST_SHARE)
        images = torch.from_numpy(np.ascontiguousarray(averages, dtype=np.float32))
        own = WeightedImages.of(band.to_vectors(images), share, band)
        directions = even_directions(round(4 * np.pi / np.deg2rad(DIRECTION_STEP_DEG) ** 2))
        views = looking_along(directions[in_one_part(directions, symmetry)])
        flat = _Search(band.rotate_round(own.vectors, LAST_TURNS), density, band, rate, torch.ones(len(band)))
        power = band.ring_sum(flat.slices(views).abs().square()).mean(0)
        search = _Search(flat.turned, density, band, rate, flattening_gain(power, band)[band.ring])
        some = search.projections(views[::CONTRAST_EVERY])
        like, unlike = (first_poses(search.turned, sign * some, band)[0].amax(1).sum() for sign in (1, -1))
        return (search, views, 1.0) if like >= unlike else (search.inverted(), views, -1.0)

    def inverted(self) -> _Search:
        """The same with the other contrast."""
        return _Search(self.turned, self.density, self.band, self.rate, -self.gain)

    def slices(self, rotations: FloatArray) -> Tensor:
        """The band of projections under rotations (v, 3, 3), (v, m)."""
        turns, band = torch.as_tensor(rotations, dtype=torch.float32), self.band
        step = 1.0 / (band.box * self.rate)
        found = torch.empty(len(turns), len(band), dtype=torch.complex64)

        def read(part: slice) -> None:
            found[part] = self.density.slices(turns[part], band.kx * step, band.ky * step)

        in_pieces(read, len(turns), max(1, POINTS_AT_ONCE // len(band)))
        return found * band.weight

    def projections(self, rotations: FloatArray) -> Tensor:
        """What averages are compared with: vectors (v, m) of length 1."""
        vectors = self.slices(rotations) * self.gain
        return vectors / torch.linalg.vector_norm(vectors, dim=1, keepdim=True).clamp_min(1e-30)

    def best_of(self, rotations: FloatArray) -> _Candidates:
        """The best of some views (n, 3, 3), of each average."""
        others = self.projections(rotations)
        value, place = first_poses(self.turned, others, self.band)
        top = value.topk(min(FIRST_KEPT, len(rotations)), dim=1).indices
        pairs = torch.stack((torch.arange(len(top)).repeat_interleave(top.shape[1]), top.flatten()))
        score, poses = refined(self.turned, others, self.band, pairs, poses_at(place.gather(1, top).flatten()))
        return _Candidates(rotations[top.numpy()], score.view(top.shape), poses)

    def best_around(self, found: _Candidates, step_deg: float) -> _Candidates:
        """The best views around those that were found, by a step at most."""
        near = tilted_a_little(step_deg)
        count, kept = found.score.shape
        rotations = (near @ found.rotations.reshape(-1, 1, 3, 3)).reshape(-1, 3, 3)
        first = torch.arange(count).repeat_interleave(kept * len(near))
        every = torch.arange(count * kept).repeat_interleave(len(near))
        pairs = torch.stack((first, torch.arange(len(first))))
        score, poses = refined(self.turned, self.projections(rotations), self.band, pairs, found.poses[every])
        around = _Candidates(rotations.reshape(count * kept, len(near), 3, 3), score.view(-1, len(near)), poses).best(1)
        return _Candidates(around.rotations.reshape(count, kept, 3, 3), around.score.view(count, kept), around.poses)
