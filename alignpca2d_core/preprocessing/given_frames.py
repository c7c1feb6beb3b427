"""Particles brought into the frames that their metadata gives them, before anything is compared.

Where poses are kept, or a filament's in-plane angle is known roughly, images are turned, mirrored and moved as the
metadata has it.  What is searched then is a small window, or nothing, and poses found are relative to these frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..fourier.band import Band
from ..fourier.rotation import turned_images
from ..io.given_poses import GivenPoses


@dataclass(frozen=True)
class GivenFrames:
    """Transforms of n particles, as :mod:`.fourier.rigid_transforms` has them; mirrored before the shift.

    Attributes
    ----------
    psi : Tensor
        In radians, (n,).
    shift_x, shift_y : Tensor
        In pixels of the images that are read, (n,).
    flip : Tensor
        (n,) bool.
    """

    psi: Tensor
    shift_x: Tensor
    shift_y: Tensor
    flip: Tensor

    @staticmethod
    def of(given: GivenPoses, pixels_per_grid_pixel: NDArray[np.float64] | float, device: torch.device) -> GivenFrames:
        """Those of particles whose pixels are so many to one of the images that are read."""
        poses = given.poses.scaled(1 / np.asarray(pixels_per_grid_pixel))
        columns = np.deg2rad(poses.psi_deg), poses.shift_x_px, poses.shift_y_px
        psi, x, y = (torch.from_numpy(column).float().to(device) for column in columns)
        return GivenFrames(psi, x, y, torch.from_numpy(given.flip).to(device))

    def rows(self, index: NDArray[np.int64]) -> GivenFrames:
        """Those of some particles."""
        some = torch.from_numpy(index).to(self.psi.device)
        return GivenFrames(self.psi[some], self.shift_x[some], self.shift_y[some], self.flip[some])

    def applied(self, vectors: Tensor, band: Band) -> Tensor:
        """Vectors (n, m) of images, brought into their frames."""
        images = turned_images(band, vectors, -self.psi)
        small = images.shape[-1]
        # About pixel dim // 2: of an even number the first column has no partner.
        mirrored = images.flip(-1).roll(1 - small % 2, -1)
        images = torch.where(self.flip[:, None, None], mirrored, images)
        turned = band.in_box(small).to_vectors(images) * (band.box / small)
        return turned * band.shift_ramps(self.shift_x, self.shift_y)
