"""Particles are brought into the frames of their metadata as Xmipp brings them there."""

from __future__ import annotations

from pathlib import Path

import mrcfile
import numpy as np
import pytest
import torch

from alignpca2d_core.fourier.band import Band
from alignpca2d_core.fourier.rigid_transforms import Poses, apply
from alignpca2d_core.io.given_poses import GivenPoses
from alignpca2d_core.preprocessing.given_frames import GivenFrames
from alignpca2d_core.preprocessing.mask_shape import MaskShape, soft_mask, soft_tube

PSI, X, Y = -123.0, 3.5, -2.25


def smooth_image(band: Band) -> torch.Tensor:
    """A lopsided image (1, box, box) that the band holds."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(1, band.box, band.box, generator=generator) * soft_mask(band.box, band.box / 4)
    vectors = band.to_vectors(noise) * torch.exp(-((band.ring / 7.0) ** 2))
    return band.to_images(vectors) * soft_mask(band.box, band.box / 3)


def framed(band: Band, image: torch.Tensor, flip: bool) -> np.ndarray:
    given = GivenPoses(Poses.single(PSI, X, Y), np.array([flip]), True)
    frames = GivenFrames.of(given, 1.0, band.device)
    return band.to_images(frames.applied(band.to_vectors(image), band))[0].numpy()


@pytest.mark.parametrize("box", [64, 65])
def test_frames_are_the_transforms_of_the_poses(box: int) -> None:
    band = Band.make(box, 16)
    image = smooth_image(band)
    moved = apply(image.numpy(), Poses.single(PSI, X, Y))[0]
    assert np.corrcoef(framed(band, image, False).ravel(), moved.ravel())[0, 1] > 0.999


@pytest.mark.scipion
@pytest.mark.parametrize("box", [64, 65])
@pytest.mark.parametrize("flip", [False, True])
def test_xmipp_turns_mirrors_and_moves_alike(tmp_path: Path, box: int, flip: bool) -> None:
    xmipp = pytest.importorskip("xmippLib")
    band = Band.make(box, 16)
    image = smooth_image(band)
    mrcfile.write(tmp_path / "image.mrc", image[0].numpy())
    row = xmipp.MetaData()
    item = row.addObject()
    row.setValue(xmipp.MDL_IMAGE, str(tmp_path / "image.mrc"), item)
    row.setValue(xmipp.MDL_FLIP, flip, item)
    for label, value in ((xmipp.MDL_ANGLE_PSI, PSI), (xmipp.MDL_SHIFT_X, X), (xmipp.MDL_SHIFT_Y, Y)):
        row.setValue(label, value, item)
    moved = xmipp.Image()
    moved.readApplyGeo(row, item)
    assert np.corrcoef(framed(band, image, flip).ravel(), np.array(moved.getData()).ravel())[0, 1] > 0.998


def test_a_tube_lies_along_x_within_the_circle() -> None:
    tube, circle = MaskShape(20.0, 6.0).soft(64).numpy(), MaskShape(20.0).soft(64).numpy()
    assert (tube <= circle + 1e-6).all()
    assert tube[32, 32] == tube[32, 50] == tube[37, 32] == 1
    assert tube[43, 32] == tube[32, 57] == 0
    assert soft_tube(64, 6.0)[:, 0].tolist() == soft_tube(64, 6.0)[:, 40].tolist()
    assert MaskShape(20.0, 6.0).widened(4.0, 64) == MaskShape(24.0)
