"""The CTF against known values, RELION's images and torch-ctf; the Wiener filter against its formula."""

import dataclasses
from pathlib import Path

import mrcfile
import numpy as np
import pytest
import torch

from alignpca2d_core.fourier.ctf import (
    CtfParameters,
    contrast_transfer,
    electron_wavelength,
    half_plane_frequencies,
    mean_square_ctf,
    wiener_filter,
)
from alignpca2d_core.fourier.rigid_transforms import apply, from_relion, invert
from alignpca2d_core.io.star.star_reader import read_blocks
from alignpca2d_core.maps.density import Density
from alignpca2d_core.maps.views import rotation_matrices


def optics(count=1, **changes):
    """CTF parameters of a typical microscope, some of them changed."""
    values = {
        "defocus_u": 15000.0,
        "defocus_v": 15000.0,
        "defocus_angle": 0.0,
        "voltage": 300.0,
        "spherical_aberration": 2.7,
        "amplitude_contrast": 0.07,
        "phase_shift": 0.0,
    }
    return CtfParameters(**{name: np.full(count, value) for name, value in {**values, **changes}.items()})


@pytest.mark.parametrize(("kilovolts", "angstrom"), [(100, 0.03701), (200, 0.02508), (300, 0.01969)])
def test_wavelength_is_the_textbooks(kilovolts, angstrom):
    assert float(electron_wavelength(kilovolts)) == pytest.approx(angstrom, abs=5e-6)


def test_ctf_starts_at_the_amplitude_contrast_and_turns_where_the_phase_is_pi():
    parameters = optics(spherical_aberration=0.0)
    wavelength = float(electron_wavelength(300.0))
    first_zero = np.sqrt((np.pi - np.arcsin(0.07)) / (np.pi * wavelength * 15000.0))
    values = contrast_transfer(parameters, np.array([0.0, 0.0, first_zero]), np.array([0.0, 0.01, 0.0]))[0]
    assert values[0] == pytest.approx(0.07, abs=1e-6)
    assert values[1] > 0.07
    assert values[2] == pytest.approx(0.0, abs=1e-4)


def test_astigmatism_puts_defocus_u_along_its_angle_from_x_towards_y():
    astigmatic = optics(defocus_u=20000.0, defocus_v=10000.0, defocus_angle=30.0)
    s, along = 0.06, np.deg2rad(30.0)
    x, y = s * np.cos([along, along + np.pi / 2]), s * np.sin([along, along + np.pi / 2])
    values = contrast_transfer(astigmatic, x, y)[0]
    for value, defocus in zip(values, (20000.0, 10000.0), strict=True):
        expected = contrast_transfer(optics(defocus_u=defocus, defocus_v=defocus), np.array([s]), np.array([0.0]))
        assert value == pytest.approx(float(expected), abs=1e-4)


def test_phase_plate_shifts_the_argument():
    values = contrast_transfer(optics(amplitude_contrast=0.0, phase_shift=90.0), np.zeros(1), np.zeros(1))
    assert float(values) == pytest.approx(1.0)


def test_subset_keeps_rows_together_and_lengths_are_checked():
    parameters = optics(3)
    changed = dataclasses.replace(parameters, voltage=np.array([100.0, 200.0, 300.0]))
    assert changed[np.array([2, 0])].voltage.tolist() == [300.0, 100.0]
    assert len(changed[1:]) == 2
    with pytest.raises(ValueError, match="one length"):
        dataclasses.replace(parameters, voltage=np.ones(2))


@pytest.mark.parametrize(
    ("box", "defocus_u", "tolerance"), [(15, 15000.0, 1e-6), (16, 15000.0, 1e-6), (16, 9000.0, 5e-3)]
)
def test_mean_square_is_over_the_whole_padded_plane(box, defocus_u, tolerance):
    # The half plane cannot tell +Nyquist from −Nyquist, which only an astigmatic CTF does: hence the tolerance.
    # More particles than are taken at once.
    parameters = optics(300, defocus_u=defocus_u, defocus_angle=20.0)
    frequency = np.fft.fftfreq(2 * box, d=3.0)
    x, y = np.meshgrid(frequency, frequency)
    whole = contrast_transfer(parameters, x.ravel(), y.ravel()).square().mean(dim=1, keepdim=True)
    torch.testing.assert_close(mean_square_ctf(parameters, box, 3.0), whole, rtol=0, atol=tolerance)
    assert mean_square_ctf(parameters[:0], box, 3.0).shape == (0, 1)


def test_wiener_filter_is_xmipps():
    ctf = torch.tensor([[0.5, -0.5, 0.0]])
    mean = torch.tensor([[0.4]])
    expected = torch.tensor([[0.5 / 0.29, -0.5 / 0.29, 0.0]])
    torch.testing.assert_close(wiener_filter(ctf, mean), expected)
    torch.testing.assert_close(wiener_filter(ctf, mean, ctf.abs()), expected.abs())


@dataclasses.dataclass
class RelionSet:
    """RELION's CTF-affected images of a volume and how it made them."""

    images: np.ndarray
    volume: Density
    star: dict
    ctf: CtfParameters

    @classmethod
    def read(cls, folder: Path, suffix: str):
        star = read_blocks(folder / f"relion_proj_batch{suffix}.star")["particles"].columns
        ctf = dataclasses.replace(
            optics(len(star["rlnDefocusU"]), voltage=200.0, spherical_aberration=1.4, amplitude_contrast=0.1),
            defocus_u=star["rlnDefocusU"],
            defocus_v=star["rlnDefocusV"],
            defocus_angle=star["rlnDefocusAngle"],
            phase_shift=star["rlnPhaseShift"],
        )
        images = mrcfile.read(folder / f"relion_proj_batch{suffix}.mrcs").astype(np.float64)
        return cls(images, Density(torch.from_numpy(mrcfile.read(folder / "pointmass.mrc").copy()), 3.54), star, ctf)

    def projections(self, psi):
        """Our projections of the volume at RELION's first two angles and ``psi``."""
        rot, tilt = (np.asarray(self.star[name], dtype=np.float64) for name in ("rlnAngleRot", "rlnAngleTilt"))
        return self.volume.project(rotation_matrices(rot, tilt, psi), 64, 3.54)

    def correlation(self, projections, shift_x_angst, shift_y_angst):
        """Mean correlation of RELION's images with ours: the projections, moved by a shift in Å, their CTF applied."""
        x, y = half_plane_frequencies(64, 3.54)
        phase = torch.outer(torch.tensor(shift_x_angst), x) + torch.outer(torch.tensor(shift_y_angst), y)
        transfer = contrast_transfer(self.ctf, x, y) * torch.exp(-2j * torch.pi * phase)
        ours = torch.fft.irfft2(torch.fft.rfft2(projections) * transfer.reshape(-1, 64, 33), s=(64, 64)).numpy()
        return np.mean([np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(ours, self.images, strict=True)])


@pytest.mark.parametrize(("suffix", "least"), [("", 0.985), ("_pfac2", 0.998), ("_pfac3", 0.999)])
def test_ctf_sign_and_shift_are_relions(shared_data, suffix, least):
    relion = RelionSet.read(shared_data / "stacks" / "relion_ctf_pointmass", suffix)
    projections = relion.projections(relion.star["rlnAnglePsi"])
    shifts = -relion.star["rlnOriginXAngst"], -relion.star["rlnOriginYAngst"]
    assert relion.correlation(projections, *shifts) > least


def test_relions_psi_is_our_pose(shared_data):
    relion = RelionSet.read(shared_data / "stacks" / "relion_ctf_pointmass", "_pfac3")
    labels = (relion.star[name] for name in ("rlnAnglePsi", "rlnOriginXAngst", "rlnOriginYAngst"))
    turned = apply(relion.projections(np.zeros(24)), invert(from_relion(*labels, 3.54)))
    # Point masses are as sharp as a pixel, which interpolation in real space blurs.
    assert relion.correlation(turned, np.zeros(24), np.zeros(24)) > 0.97


def test_ctf_is_torch_ctfs():
    torch_ctf = pytest.importorskip("torch_ctf", exc_type=ImportError)
    parameters = optics(defocus_u=18000.0, defocus_v=14000.0, defocus_angle=25.0, phase_shift=15.0)
    box, sampling_rate = 48, 1.9
    theirs = torch_ctf.calculate_ctf_2d(
        defocus=1.6,
        astigmatism=0.2,
        astigmatism_angle=25.0,
        voltage=300.0,
        spherical_aberration=2.7,
        amplitude_contrast=0.07,
        phase_shift=15.0,
        pixel_size=sampling_rate,
        image_shape=(box, box),
        rfft=True,
        fftshift=False,
    )
    ours = contrast_transfer(parameters, *half_plane_frequencies(box, sampling_rate)).reshape(box, -1)
    torch.testing.assert_close(ours, theirs.reshape(box, -1).float(), rtol=0, atol=1e-4)
