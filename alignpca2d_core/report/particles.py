"""Single particles as they lie in their class, filtered so that a person sees what the noise leaves of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..fourier.band import Band
from ..fourier.common_grid import Grid
from ..fourier.ctf import CtfParameters, coarse_mean_square, contrast_transfer, matching_factor
from ..fourier.rigid_transforms import Poses, apply
from ..io.particle_set import ParticleSet
from ..io.stacks import StackReader
from ..preprocessing.mask_shape import soft_mask
from ..preprocessing.preprocess import CTF_FLOOR
from ..results.result_files import Classification

LARGE_SIDE_PX, SMALL_SIDE_PX = 96, 64
MOST_LARGE = 1000
"""Particles beyond which they are drawn small, which takes half the time and the space."""
EDGE_PX = 4
READ_AT_ONCE = 512
HIGHEST_FRC = 0.999
LEAST_SNR, LEAST_SNR_RINGS = 0.02, 4.0
"""Signal over noise that the lowest rings are taken to have at least, so that something is shown of any particle."""


@dataclass(frozen=True)
class Imaging:
    """How the particles were imaged.

    Attributes
    ----------
    sampling_rate : float
        Å/px.
    use_ctf, phase_flipped : bool
        Whether the averages are corrected for the CTF, and what is left of it in the stacks.
    inverted : bool
        Whether protein is dark in the stacks.
    grid : Grid or None
        What images of several boxes and pixel sizes were brought to.
    """

    sampling_rate: float
    use_ctf: bool = False
    phase_flipped: bool = False
    inverted: bool = False
    grid: Grid | None = None


def particle_snr(classification: Classification) -> NDArray[np.float64]:
    """Signal over noise of one particle by ring, (rings,): what the FRC of the averages says of their members.

    An average of n has n times the SNR of one particle; between halves, FRC = SNR n/2 / (SNR n/2 + 1).
    """
    frc = classification.frc.clip(0.0, HIGHEST_FRC)
    sizes = classification.sizes
    total = (2 * frc / (1 - frc))[sizes > 1].sum(0) / max(1, int(sizes[sizes > 1].sum()))
    padded = np.pad(total[1:], 2, mode="edge")
    smooth = np.convolve(padded, np.array([1.0, 2.0, 3.0, 2.0, 1.0]) / 9, mode="valid")
    snr = np.concatenate(([0.0], smooth))
    least = LEAST_SNR * np.exp(-((np.arange(len(snr)) / LEAST_SNR_RINGS) ** 2))
    return np.where(np.arange(len(snr)) > 0, np.maximum(snr, least), 0.0)


def aligned_images(
    particles: ParticleSet, result: Classification, rows: NDArray[np.int64], snr: NDArray[np.float64], imaging: Imaging
) -> NDArray[np.float32]:
    """Particles moved into their class and Wiener-filtered: (len(rows), side, side), protein white.

    Parameters
    ----------
    particles : ParticleSet
    result : Classification
        Of all the particles.
    rows : (m,) array
        The particles to read.
    snr : (rings,) array
        Of one particle, from :func:`particle_snr`.
    imaging : Imaging

    Raises
    ------
    InputError
        When a stack is no longer what it was.
    """
    chosen, chosen_poses, parts = particles.subset(rows), result.poses[rows], []
    mirrored = np.zeros(len(rows), dtype=bool) if result.flip is None else result.flip[rows]
    with StackReader(chosen, imaging.grid) as reader:
        chosen_poses = chosen_poses.scaled(1 / reader.pixels_per_grid_pixel)
        side = min(reader.box, LARGE_SIDE_PX if len(rows) <= MOST_LARGE else SMALL_SIDE_PX)
        scale, mask, frame = side / reader.box, soft_mask(side, side / 2 - EDGE_PX), _soft_frame(side)
        band = Band.make(reader.box, side / 2 - 1)
        ratio = torch.from_numpy(snr[: band.rings]).float()
        for part, images in reader.batches(np.arange(len(rows)), READ_AT_ONCE):
            finite = torch.from_numpy(np.nan_to_num(images, posinf=0.0, neginf=0.0))
            optics = chosen.ctf[part] if imaging.use_ctf and chosen.ctf is not None else None
            vectors = band.to_vectors(finite) * _filter(band, ratio, optics, imaging)
            pose = chosen_poses[part]
            # Mirrored after a shift the other way is mirrored before the shift.
            sign = np.where(mirrored[part], -1.0, 1.0)
            moved = Poses(pose.psi_deg, pose.shift_x_px * scale * sign, pose.shift_y_px * scale)
            parts.append((apply(band.to_images(vectors, side) * frame, moved) * mask).numpy())
    images = np.concatenate(parts)
    images[mirrored] = np.roll(images[mirrored, :, ::-1], 1 - images.shape[-1] % 2, axis=-1)
    return images


def _soft_frame(side: int) -> Tensor:
    """1 within the box and falling to 0 towards its edges, which then do not show when it is moved; (side, side)."""
    distance = torch.arange(side).minimum(torch.arange(side).flip(0))
    rise = 0.5 - 0.5 * torch.cos(torch.pi * (distance / (2 * EDGE_PX)).clamp(0, 1))
    return rise[:, None] * rise


def _filter(band: Band, snr: Tensor, optics: CtfParameters | None, imaging: Imaging) -> Tensor:
    """The Wiener filter CTF·S / (CTF²·S + 1) of each particle, (n, m) or (m,).

    The SNR (rings,) is that of particles as they are, S·mean CTF².
    """
    sign = -1.0 if imaging.inverted else 1.0
    if optics is None:
        return sign * (snr / (snr + 1))[band.ring]
    step = 1 / (band.box * imaging.sampling_rate)
    transfer = contrast_transfer(optics, band.kx * step, band.ky * step)
    if imaging.phase_flipped:
        transfer = transfer.abs()
    factor = matching_factor(optics, transfer, coarse_mean_square(optics, imaging.sampling_rate))
    signal = (snr / band.ring_mean(transfer**2).mean(0).clamp_min(CTF_FLOOR))[band.ring]
    return sign * factor * signal / (transfer**2 * signal + 1)
