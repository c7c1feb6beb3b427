"""How well particles of continuous views are placed: how far each is from its class in view, angle and centre.

Views are continuous, so a class is as good as it is narrow.  The pose that a member was given, turned back by what it
was given in the plane, is held against the pose that most members of its class share.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...fourier.rigid_transforms import Poses, to_matrix
from .view_distances import distances, shared_pose
from .view_truth import ViewTruth

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
WELL_VIEW_DEG, WELL_PLANE_DEG, WELL_SHIFT = 15.0, 10.0, 0.05
"""A particle is well placed within these of its class: degrees, degrees, share of the box."""
FEWEST_MEMBERS = 3


@dataclass(frozen=True)
class Placement:
    """Of n particles; distances from their own classes are infinite where one is in no class or is no particle.

    Parameters
    ----------
    view_deg, plane_deg : (n,) distance from the class's view, and in the plane, not negative
    least_deg : (n,) distance from the view of the class that is nearest in view, of particles in no class too
    shift : (n,) distance from the class's centre, as a share of the box
    class_poses : pose (3, 3) of each class that has one
    class_offsets_px : where the particle is in each class's average, (2,) x and y from the centre
    turned : (n, 3, 3) the particles' rotations, turned back by their poses in the plane
    left_px : (n, 2) where the particles are once they are aligned
    """

    view_deg: FloatArray
    plane_deg: FloatArray
    least_deg: FloatArray
    shift: FloatArray
    class_poses: dict[int, FloatArray]
    class_offsets_px: dict[int, FloatArray]
    turned: FloatArray
    left_px: FloatArray

    @property
    def near(self) -> BoolArray:
        """(n,) whether the particle is near its class's view and in-plane angle."""
        return (self.view_deg < WELL_VIEW_DEG) & (self.plane_deg < WELL_PLANE_DEG)

    @property
    def in_nearest(self) -> BoolArray:
        """(n,) whether no other class's view is nearer, and the particle is near its class's in-plane angle."""
        return (self.view_deg <= self.least_deg) & (self.plane_deg < WELL_PLANE_DEG)

    @property
    def well(self) -> BoolArray:
        """(n,) whether the particle is well placed."""
        return self.near & (self.shift < WELL_SHIFT)

    def figures(self, among: BoolArray) -> dict[str, float]:
        """Shares of the particles ``among``, and medians over those of them that are in a class."""
        placed = among & np.isfinite(self.view_deg)
        median = {
            "median_view_deg": _median(self.view_deg[placed]),
            "median_plane_deg": _median(self.plane_deg[placed]),
            "median_shift_percent": 100.0 * _median(self.shift[placed]),
        }
        share = {
            "well_placed": self.well,
            "view_within_15": self.view_deg < WELL_VIEW_DEG,
            "plane_within_10": self.plane_deg < WELL_PLANE_DEG,
        }
        return {name: float(where[among].mean()) for name, where in share.items()} | median


def place(
    classes: NDArray[np.int64], poses: Poses, truth: ViewTruth, among: BoolArray, rng: np.random.Generator
) -> Placement:
    """Hold each particle against its class.

    Parameters
    ----------
    classes : (n,) -1 where a particle is in none
    poses : that were given to the n particles
    among : (n,) the particles that count; classes with fewer than three of them have no pose
    rng : choices among many members
    """
    count = len(classes)
    matrices = to_matrix(poses)
    turned = truth.rotations.copy()
    turned[:, :2] = matrices[:, :, :2] @ truth.rotations[:, :2]
    left = np.einsum("nij,nj->ni", matrices[:, :, :2], truth.offsets_px) + matrices[:, :, 2]
    view, plane, shift, least = (np.full(count, np.inf) for _ in range(4))
    class_poses, class_offsets = {}, {}
    for label in np.unique(classes[among & (classes >= 0)]):
        members = np.flatnonzero((classes == label) & among)
        if len(members) < FEWEST_MEMBERS:
            continue
        pose = shared_pose(turned[members], truth.symmetry, rng)
        of_view, of_plane = (of[0] for of in distances(pose[None], turned, truth.symmetry))
        view[members], plane[members] = of_view[members], np.abs(of_plane[members])
        least = np.minimum(least, of_view)
        near = members[(view[members] < WELL_VIEW_DEG) & (plane[members] < WELL_PLANE_DEG)]
        centre = np.median(left[near if len(near) >= FEWEST_MEMBERS else members], axis=0)
        shift[members] = np.hypot(*(left[members] - centre).T) / truth.box
        class_poses[int(label)], class_offsets[int(label)] = pose, centre
    return Placement(view, plane, least, shift, class_poses, class_offsets, turned, left)


def _median(values: FloatArray) -> float:
    return float(np.median(values)) if len(values) else float("nan")
