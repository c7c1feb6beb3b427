"""What a simulation images: points that scatter, and their exact projections.

An atomic model and a bead phantom are both sums of radially symmetric scatterers, whose projection has a
Fourier transform in closed form, so that no volume and no interpolation comes between model and image.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import InputError

FloatArray = NDArray[np.float64]
HINGE_DEG = 35.0
B_STEPS = 6
"""B factors that the atoms of a structure are given."""


class Specimen(Protocol):
    """Anything that can be projected."""

    def project(self, rotations: FloatArray, box: int, sampling_rate: float) -> torch.Tensor:
        """Centred projections: (v, box, box) float32 for rotations (v, 3, 3), sampling rate in Å/px."""
        ...

    def bent(self) -> Specimen:
        """The second conformation: the outer part turned about a hinge."""
        ...


@dataclass(frozen=True)
class Scatterers:
    """Points with radially symmetric form factors.

    Parameters
    ----------
    positions : (a, 3) array, Å
    weights : (a,) array
        Occupancy or density of each point.
    kind : (a,) integer array
        Row of ``gaussians`` that each point scatters as.
    gaussians : (k, g, 2) array
        Amplitude and B factor (Å²) of the g Gaussians that make each form factor:
        f(s) = Σ amplitude·exp(−B s²/4), s in 1/Å.
    """

    positions: FloatArray
    weights: FloatArray
    kind: NDArray[np.int64]
    gaussians: FloatArray

    def centred(self) -> Scatterers:
        """The same points about their centre of mass."""
        mass = self.weights * self.gaussians[self.kind, :, 0].sum(axis=1)
        centre = (mass[:, None] * self.positions).sum(axis=0) / mass.sum()
        return Scatterers(self.positions - centre, self.weights, self.kind, self.gaussians)

    def project(self, rotations: FloatArray, box: int, sampling_rate: float) -> torch.Tensor:
        """Centred projections of the points, band-limited to the circle inside Nyquist.

        Parameters
        ----------
        rotations : (v, 3, 3)
            Their first two rows are the image's x (column) and y (row) axes.
        box, sampling_rate : side of the images in pixels, Å/px

        Returns
        -------
        (v, box, box) float32, the specimen's centre at pixel box//2.
        """
        x = torch.fft.rfftfreq(box, d=sampling_rate, dtype=torch.float64)
        y = torch.fft.fftfreq(box, d=sampling_rate, dtype=torch.float64)
        square = x[None, :] ** 2 + y[:, None] ** 2
        inside = square < (0.5 / sampling_rate) ** 2
        spectra = torch.zeros(len(rotations), len(y), len(x), dtype=torch.complex64)
        for kind in np.unique(self.kind):
            chosen = self.kind == kind
            amplitude, b_factor = torch.as_tensor(self.gaussians[kind]).unbind(1)
            factor = ((amplitude * torch.exp(-0.25 * b_factor * square[..., None])).sum(-1) * inside).float()
            points = torch.as_tensor(self.positions[chosen])
            weights = torch.as_tensor(self.weights[chosen]).float()
            for view, rotation in enumerate(torch.as_tensor(rotations, dtype=torch.float64)):
                planar = points @ rotation[:2].T
                column, row = _phase(planar[:, 0], x) * weights[:, None], _phase(planar[:, 1], y)
                spectra[view] += (row.T @ column) * factor
        images: torch.Tensor = torch.fft.fftshift(torch.fft.irfft2(spectra, s=(box, box)), dim=(-2, -1))
        return images / sampling_rate**2

    def volume(self, box: int, sampling_rate: float) -> torch.Tensor:
        """The density (box, box, box) at z, y, x about voxel box//2, band-limited to the sphere inside Nyquist."""
        half = torch.fft.rfftfreq(box, d=sampling_rate, dtype=torch.float64)
        whole = torch.fft.fftfreq(box, d=sampling_rate, dtype=torch.float64)
        plane = half[None, :] ** 2 + whole[:, None] ** 2
        spectrum = torch.zeros(box, box, len(half), dtype=torch.complex64)
        for kind in np.unique(self.kind):
            chosen = self.kind == kind
            amplitude, b_factor = torch.as_tensor(self.gaussians[kind]).unbind(1)
            points, weights = torch.as_tensor(self.positions[chosen]), torch.as_tensor(self.weights[chosen]).float()
            x, y, z = (_phase(points[:, axis], f) for axis, f in enumerate((half, whole, whole)))
            x = x * weights[:, None]
            for section, height in enumerate(whole):
                square = plane + height**2
                factor = (amplitude * torch.exp(-0.25 * b_factor * square[..., None])).sum(-1)
                inside = square < (0.5 / sampling_rate) ** 2
                if inside.any():
                    spectrum[section] += ((y * z[:, section : section + 1]).T @ x) * (factor * inside).float()
        volume: torch.Tensor = torch.fft.fftshift(torch.fft.irfftn(spectrum, s=(box,) * 3))
        return volume / sampling_rate**3

    def bent(self) -> Scatterers:
        """The second conformation: the outer 30 % along the longest axis turned by 35° about its hinge."""
        spread = self.positions - self.positions.mean(axis=0)
        axes = np.linalg.svd(spread.T @ spread)[0]
        along = spread @ axes[:, 0]
        cut = np.quantile(along, 0.7)
        moving = along > cut
        hinge = self.positions.mean(axis=0) + axes[:, 0] * cut
        positions = self.positions.copy()
        positions[moving] = (positions[moving] - hinge) @ _rotation_about(axes[:, 1], HINGE_DEG).T + hinge
        return Scatterers(positions, self.weights, self.kind, self.gaussians)


def _phase(positions: torch.Tensor, frequencies: torch.Tensor) -> torch.Tensor:
    """exp(−2πi·position·frequency): (a, m) complex64, computed in float64."""
    angle = -2.0 * torch.pi * positions[:, None] * frequencies[None, :]
    return torch.complex(torch.cos(angle).float(), torch.sin(angle).float())


def _rotation_about(axis: FloatArray, angle_deg: float) -> FloatArray:
    """Rodrigues' rotation matrix (3, 3) about a unit axis."""
    x, y, z = axis
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    angle = np.deg2rad(angle_deg)
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1.0 - np.cos(angle)) * (cross @ cross))


def read_structure(path: Path) -> Scatterers:
    """The atoms of a PDB or mmCIF file with their electron form factors (International Tables C 4.3.2.2).

    Waters and hydrogens are left out; B factors are taken from the file, in :data:`B_STEPS` steps.

    Raises
    ------
    InputError
        When gemmi is not installed, or the file cannot be read or holds no atoms.
    """
    try:
        import gemmi
    except ImportError as error:
        raise InputError("--structure needs the package gemmi (pip install gemmi)") from error
    if not path.is_file():
        raise InputError(f"--structure {path}: no such file")
    try:
        model = gemmi.read_structure(str(path))[0]
    except (RuntimeError, ValueError, IndexError) as error:
        raise InputError(f"--structure {path}: not a structure that gemmi can read ({error})") from error
    atoms = [
        (a.element.name, a.b_iso, a.occ, *a.pos.tolist())
        for chain in model
        for residue in chain
        if not residue.is_water()
        for a in residue
        if not a.element.is_hydrogen
    ]
    if not atoms:
        raise InputError(f"--structure {path}: no atoms")
    elements, element_of = np.unique([a[0] for a in atoms], return_inverse=True)
    numbers = np.array([a[1:] for a in atoms], dtype=np.float64)
    edges = np.quantile(numbers[:, 0], np.linspace(0, 1, B_STEPS + 1)[1:-1])
    bin_of = np.searchsorted(edges, numbers[:, 0])
    b_of_bin = np.array([numbers[bin_of == b, 0].mean() if np.any(bin_of == b) else 0.0 for b in range(B_STEPS)])
    gaussians = np.array(
        [
            np.stack([gemmi.Element(name).c4322.a, np.add(gemmi.Element(name).c4322.b, b)], axis=1)
            for name in elements
            for b in b_of_bin
        ]
    )
    return Scatterers(numbers[:, 2:], numbers[:, 1], element_of * B_STEPS + bin_of, gaussians).centred()
