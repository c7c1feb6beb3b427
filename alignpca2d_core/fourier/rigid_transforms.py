"""Rigid 2-D transforms in Xmipp's convention, and RELION's labels for the same thing.

A pose aligns a particle: the point x = (column, row), counted from pixel dim//2, moves to A·x + t with
A = [[cos ψ, sin ψ], [−sin ψ, cos ψ]] and t = (shiftX, shiftY), the shift after the rotation.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from .interpolation import sample_spline, spline_coefficients

FloatArray = NDArray[np.float64]
ImageArray = TypeVar("ImageArray", NDArray[np.float32], torch.Tensor)


@dataclass(frozen=True)
class Poses:
    """In-plane poses of n particles.

    Parameters
    ----------
    psi_deg : (n,) array, degrees
    shift_x_px, shift_y_px : (n,) array, pixels along columns and rows

    Raises
    ------
    ValueError
        When the arrays are not all of one length.
    """

    psi_deg: FloatArray
    shift_x_px: FloatArray
    shift_y_px: FloatArray

    def __post_init__(self) -> None:
        for item in fields(self):
            column = np.atleast_1d(np.asarray(getattr(self, item.name), dtype=np.float64))
            object.__setattr__(self, item.name, column)
        if not self.psi_deg.shape == self.shift_x_px.shape == self.shift_y_px.shape:
            shapes = (self.psi_deg.shape, self.shift_x_px.shape, self.shift_y_px.shape)
            raise ValueError(f"psi, shift_x and shift_y must be of one length, not {shapes}")

    def __len__(self) -> int:
        return len(self.psi_deg)

    def __getitem__(self, index: slice | NDArray[Any]) -> Poses:
        return Poses(self.psi_deg[index], self.shift_x_px[index], self.shift_y_px[index])

    def scaled(self, factor: FloatArray | float) -> Poses:
        """The same transforms in other pixels, ``factor`` of them in one of these; a number or (n,)."""
        return Poses(self.psi_deg, self.shift_x_px * factor, self.shift_y_px * factor)

    @classmethod
    def single(cls, psi_deg: float, shift_x_px: float, shift_y_px: float) -> Poses:
        """One pose."""
        return cls(np.array([psi_deg]), np.array([shift_x_px]), np.array([shift_y_px]))

    @classmethod
    def identity(cls, count: int) -> Poses:
        """The poses of ``count`` particles that are aligned already."""
        return cls(np.zeros(count), np.zeros(count), np.zeros(count))


def wrap_degrees(angle: FloatArray | float) -> FloatArray:
    """The same angles in [−180, 180)."""
    return (np.asarray(angle, dtype=np.float64) + 180.0) % 360.0 - 180.0


def _rotate(psi_deg: FloatArray, x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    cosine, sine = np.cos(np.deg2rad(psi_deg)), np.sin(np.deg2rad(psi_deg))
    return cosine * x + sine * y, -sine * x + cosine * y


def compose(second: Poses, first: Poses) -> Poses:
    """The pose that applies ``first`` and then ``second``; ψ in [−180, 180).

    Either may hold a single pose, which is then used for every particle of the other.
    """
    x, y = _rotate(second.psi_deg, first.shift_x_px, first.shift_y_px)
    return Poses(wrap_degrees(second.psi_deg + first.psi_deg), x + second.shift_x_px, y + second.shift_y_px)


def invert(poses: Poses) -> Poses:
    """The poses that undo ``poses``."""
    x, y = _rotate(-poses.psi_deg, -poses.shift_x_px, -poses.shift_y_px)
    return Poses(wrap_degrees(-poses.psi_deg), x, y)


def to_matrix(poses: Poses) -> FloatArray:
    """The matrices [A | t] of the poses: (n, 2, 3), shifts in pixels."""
    cosine, sine = np.cos(np.deg2rad(poses.psi_deg)), np.sin(np.deg2rad(poses.psi_deg))
    rows = [[cosine, sine, poses.shift_x_px], [-sine, cosine, poses.shift_y_px]]
    return np.moveaxis(np.array(rows), -1, 0)


def to_relion(poses: Poses, sampling_rate: FloatArray | float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """``rlnAnglePsi`` (degrees), ``rlnOriginXAngst`` and ``rlnOriginYAngst`` (Å), each (n,).

    ``sampling_rate`` is in Å per pixel, of all or of each (n,).
    RELION adds the origin first and then rotates by −ψ: aligned = A(−rlnAnglePsi)·(x + origin).
    """
    x, y = _rotate(-poses.psi_deg, poses.shift_x_px, poses.shift_y_px)
    return wrap_degrees(-poses.psi_deg), x * sampling_rate, y * sampling_rate


def from_relion(
    angle_psi: FloatArray, origin_x_angst: FloatArray, origin_y_angst: FloatArray, sampling_rate: FloatArray | float
) -> Poses:
    """The poses that RELION's labels stand for: the inverse of :func:`to_relion`."""
    psi = wrap_degrees(-np.asarray(angle_psi, dtype=np.float64))
    x, y = _rotate(psi, np.asarray(origin_x_angst) / sampling_rate, np.asarray(origin_y_angst) / sampling_rate)
    return Poses(psi, x, y)


def apply(images: ImageArray, poses: Poses) -> ImageArray:
    """The images, aligned by their poses; cubic spline interpolation, zero outside the box.

    Parameters
    ----------
    images : (n, D, D) array or tensor
    poses : Poses of n particles

    Returns
    -------
    (n, D, D) float32, of the kind (and on the device) of ``images``.

    Raises
    ------
    ValueError
        When there are not as many images as poses, or they are not square.
    """
    tensor = torch.as_tensor(images, dtype=torch.float32)
    if tensor.ndim != 3 or tensor.shape[1] != tensor.shape[2] or len(tensor) != len(poses):
        raise ValueError(f"{len(poses)} poses need images ({len(poses)}, D, D), not {tuple(tensor.shape)}")
    side, centre = tensor.shape[1], tensor.shape[1] // 2
    aligned = torch.empty_like(tensor)
    offset = torch.arange(side, device=tensor.device) - centre
    step = max(1, 2**18 // side**2)
    for start in range(0, len(poses), step):
        matrix = torch.as_tensor(to_matrix(invert(poses[start : start + step])), device=tensor.device)
        a, b = matrix[:, :, 0, None, None], matrix[:, :, 1, None, None]
        source = a * offset[None, None, None, :] + b * offset[None, None, :, None] + matrix[:, :, 2, None, None]
        x, y = (source[:, 0] + centre).float(), (source[:, 1] + centre).float()
        inside = (x >= 0) & (x <= side - 1) & (y >= 0) & (y <= side - 1)
        values = sample_spline(spline_coefficients(tensor[start : start + step]), x, y)
        aligned[start : start + step] = values * inside
    return aligned.numpy() if isinstance(images, np.ndarray) else aligned
