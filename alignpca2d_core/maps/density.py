"""A density map as a specimen: its projections are slices of its Fourier transform."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import mrcfile
import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import InputError
from ..fourier.interpolation import MARGIN, sample_spline_volume, spectrum_coefficients

FloatArray = NDArray[np.float64]
PADDING = 2


@dataclass(frozen=True)
class Density:
    """A cubic map.

    Parameters
    ----------
    volume : (N, N, N) float32 tensor indexed z, y, x, the specimen about voxel N//2
    sampling_rate : Å per voxel
    """

    volume: torch.Tensor
    sampling_rate: float

    @cached_property
    def _coefficients(self) -> torch.Tensor:
        return spectrum_coefficients(self.volume, PADDING, dims=3)

    def project(self, rotations: FloatArray, box: int, sampling_rate: float) -> torch.Tensor:
        """Centred projections of the map, band-limited to the map's and the images' Nyquist frequency.

        Parameters
        ----------
        rotations : (v, 3, 3)
            Their first two rows are the image's x (column) and y (row) axes.
        box, sampling_rate : side of the images in pixels, Å/px

        Returns
        -------
        (v, box, box) float32, the map's centre at pixel box//2.
        """
        reach = int(np.ceil(len(self.volume) * self.sampling_rate / sampling_rate))
        wide = max(box, reach + (reach - box) % 2)
        low = wide // 2 - box // 2
        return self._project_whole(rotations, wide, sampling_rate)[:, low : low + box, low : low + box].contiguous()

    def _project_whole(self, rotations: FloatArray, box: int, sampling_rate: float) -> torch.Tensor:
        """Projections (v, box, box) in a box that holds the whole map, so that nothing wraps around."""
        x = torch.fft.rfftfreq(box, d=sampling_rate).repeat(box)
        y = torch.fft.fftfreq(box, d=sampling_rate).repeat_interleave(box // 2 + 1)
        finest = 0.5 / max(sampling_rate, self.sampling_rate)
        inside = torch.flatten(torch.nonzero(x * x + y * y < finest**2))
        spectra = torch.zeros(len(rotations), len(x), dtype=torch.complex64)
        for view, rotation in enumerate(torch.as_tensor(rotations, dtype=torch.float32)):
            spectra[view, inside] = self.slices(rotation[None], x[inside], y[inside])[0]
        images = torch.fft.irfft2(spectra.reshape(len(rotations), box, -1), s=(box, box))
        centred: torch.Tensor = torch.fft.fftshift(images, dim=(-2, -1))
        return centred * (self.sampling_rate**3 / sampling_rate**2)

    def slices(self, rotations: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Central slices of the map's Fourier transform, the phase origin at its centre: (v, m) complex64.

        Parameters
        ----------
        rotations : (v, 3, 3) float32
        x, y : (m,) float32
            Frequencies in 1/Å, below the map's Nyquist frequency.
        """
        points = torch.stack([x, y], dim=1) @ rotations[:, :2]
        side = len(self._coefficients) - 2 * MARGIN - 1
        nodes = points * (side * self.sampling_rate) + side // 2
        return sample_spline_volume(self._coefficients, *nodes.unbind(-1))

    def brought_to(self, side: float, sampling_rate: float) -> Density:
        """The map cut to a cube of ``side`` Å and brought to voxels of about ``sampling_rate`` Å; never enlarged.

        Cutting is about the centre; coarser voxels come from the low frequencies alone.
        """
        edge = min(len(self.volume), max(2, round(side / self.sampling_rate)))
        low = len(self.volume) // 2 - edge // 2
        volume = self.volume[(slice(low, low + edge),) * 3]
        coarse = max(2, int(np.ceil(edge * self.sampling_rate / sampling_rate - 1e-6)))
        if coarse >= edge:
            return Density(volume, self.sampling_rate)
        spectrum = torch.fft.fftshift(torch.fft.fftn(torch.fft.ifftshift(volume)))
        low = edge // 2 - coarse // 2
        kept = torch.fft.ifftshift(spectrum[(slice(low, low + coarse),) * 3])
        small = torch.fft.fftshift(torch.fft.ifftn(kept).real) * (coarse / edge) ** 3
        return Density(small.contiguous(), edge * self.sampling_rate / coarse)

    def bent(self) -> Density:
        """A map has no parts that could move.

        Raises
        ------
        InputError
            Always.
        """
        raise InputError("--second-conformation: only of a phantom or a structure, not of a map")


def read_map(path: Path) -> Density:
    """A map from an MRC file, padded to a cube and moved so that the centre of mass of what stands out is its centre.

    Raises
    ------
    InputError
        When there is no such file, it is no volume with cubic voxels, or its header gives no voxel size.
    """
    if not path.is_file():
        raise InputError(f"--map {path}: no such file")
    try:
        with mrcfile.open(path) as file:
            data, voxel = np.array(file.data, dtype=np.float32), file.voxel_size.tolist()
    except (ValueError, TypeError, OSError) as error:
        raise InputError(f"--map {path}: not an MRC map ({error})") from error
    if data.ndim != 3 or min(data.shape) < 2 or not np.isfinite(data).all():
        raise InputError(f"--map {path}: not a volume of finite numbers (shape {data.shape})")
    if not voxel[0] > 0 or max(voxel) > 1.01 * min(voxel):
        raise InputError(f"--map {path}: the header's voxel size {voxel} is missing or not cubic")
    return Density(torch.from_numpy(_centred_cube(data)), float(voxel[0]))


def _centred_cube(data: NDArray[np.float32]) -> NDArray[np.float32]:
    """The map above its background, cyclically moved in a cube so that its centre of mass is at voxel N//2."""
    side = max(data.shape)
    cube = np.full((side,) * 3, np.median(data), dtype=np.float32)
    cube[tuple(slice((side - n) // 2, (side - n) // 2 + n) for n in data.shape)] = data
    cube -= np.median(cube)
    mass = np.where(cube > 0.2 * np.percentile(cube, 99.9), cube, 0.0)
    if mass.sum() > 0:
        for axis in range(3):
            profile = mass.sum(axis=tuple(other for other in range(3) if other != axis))
            centre = float((profile * np.arange(side)).sum() / profile.sum())
            cube = np.roll(cube, side // 2 - round(centre), axis=axis)
    return np.ascontiguousarray(cube)
