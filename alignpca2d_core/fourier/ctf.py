"""The contrast transfer function of each particle, and Xmipp's Wiener filter made of it.

Sign: the CTF is positive at low frequency, so white particles stay white.  Angles are measured from the
x (column) axis towards the y (row) axis, as Xmipp and RELION do.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

XMIPP_WIENER_SHARE = 0.1
XMIPP_WIENER_PADDING = 2


@dataclass(frozen=True)
class CtfParameters:
    """The optics of n particles.

    Parameters
    ----------
    defocus_u, defocus_v : (n,) array, Å
        Defocus along the two main axes; positive means underfocus.
    defocus_angle : (n,) array, degrees
        Direction of ``defocus_u``, from x (columns) towards y (rows).
    voltage : (n,) array, kV
    spherical_aberration : (n,) array, mm
    amplitude_contrast : (n,) array, share from 0 to 1
    phase_shift : (n,) array, degrees
        Of a phase plate; 0 without one.

    Raises
    ------
    ValueError
        When the arrays are not all of one length.
    """

    defocus_u: FloatArray
    defocus_v: FloatArray
    defocus_angle: FloatArray
    voltage: FloatArray
    spherical_aberration: FloatArray
    amplitude_contrast: FloatArray
    phase_shift: FloatArray

    def __post_init__(self) -> None:
        for item in fields(self):
            column = np.atleast_1d(np.asarray(getattr(self, item.name), dtype=np.float64))
            object.__setattr__(self, item.name, column)
        shapes = {getattr(self, item.name).shape for item in fields(self)}
        if len(shapes) != 1 or len(next(iter(shapes))) != 1:
            raise ValueError(f"CTF columns must be vectors of one length, not {sorted(shapes)}")

    def __len__(self) -> int:
        return len(self.defocus_u)

    def __getitem__(self, index: slice | NDArray[Any]) -> CtfParameters:
        return CtfParameters(*(getattr(self, item.name)[index] for item in fields(self)))


def electron_wavelength(voltage_kv: FloatArray | float) -> FloatArray:
    """Relativistic wavelength in Å of electrons accelerated by ``voltage_kv`` kilovolts (de Broglie)."""
    volts = np.asarray(voltage_kv, dtype=np.float64) * 1e3
    return 12.264259661581491 / np.sqrt(volts * (1.0 + 0.9784755917e-6 * volts))


def _phase_terms(parameters: CtfParameters) -> FloatArray:
    """Coefficients (5, n) of x², 2xy, y², s⁴ and 1 in the argument of the sine."""
    wavelength = electron_wavelength(parameters.voltage)
    mean = 0.5 * (parameters.defocus_u + parameters.defocus_v)
    half_difference = 0.5 * (parameters.defocus_u - parameters.defocus_v)
    double_angle = np.deg2rad(2.0 * parameters.defocus_angle)
    quadratic = np.pi * wavelength
    return np.stack(
        [
            quadratic * (mean + half_difference * np.cos(double_angle)),
            quadratic * half_difference * np.sin(double_angle),
            quadratic * (mean - half_difference * np.cos(double_angle)),
            -0.5 * np.pi * 1e7 * parameters.spherical_aberration * wavelength**3,
            np.arcsin(parameters.amplitude_contrast) + np.deg2rad(parameters.phase_shift),
        ]
    )


def contrast_transfer(
    parameters: CtfParameters,
    frequency_x: FloatArray | torch.Tensor,
    frequency_y: FloatArray | torch.Tensor,
    device: str | torch.device = "cpu",
) -> torch.Tensor:
    """CTF = sin(πλΔf s² − ½πCs λ³s⁴ + asin Q0 + phase shift) at the given frequencies.

    Parameters
    ----------
    parameters : CtfParameters of n particles
    frequency_x, frequency_y : (m,), 1/Å
        Along the columns and along the rows of the image.

    Returns
    -------
    (n, m) float32 tensor on ``device``, without envelope.
    """
    x = torch.as_tensor(frequency_x, dtype=torch.float64, device=device)
    y = torch.as_tensor(frequency_y, dtype=torch.float64, device=device)
    planes = torch.stack([x * x, 2.0 * x * y, y * y, (x * x + y * y) ** 2]).float()
    terms = torch.as_tensor(_phase_terms(parameters), dtype=torch.float32, device=device)
    # Sums of outer products, not a matrix product: TF32 would round phases of hundreds of radians.
    phase = terms[4, :, None] + terms[0, :, None] * planes[0]
    for k in (1, 2, 3):
        phase.addcmul_(terms[k, :, None], planes[k])
    return phase.sin_()


def half_plane_frequencies(box: int, sampling_rate: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Frequencies (x, y) in 1/Å of ``rfft2`` of a (box, box) image, each flattened: (box·(box//2+1),) float64."""
    y = torch.fft.fftfreq(box, d=sampling_rate, dtype=torch.float64)
    x = torch.fft.rfftfreq(box, d=sampling_rate, dtype=torch.float64)
    return x.repeat(box), y.repeat_interleave(len(x))


def mean_square_ctf(
    parameters: CtfParameters, box: int, sampling_rate: float, device: str | torch.device = "cpu", batch: int = 256
) -> torch.Tensor:
    """Mean of CTF² over the whole plane of the image padded twofold, as Xmipp's Wiener filter takes it.

    Parameters
    ----------
    parameters : CtfParameters of n particles
    box : side of the (unpadded) image in pixels
    sampling_rate : Å/px

    Returns
    -------
    (n, 1) float32 tensor.
    """
    side = XMIPP_WIENER_PADDING * box
    x, y = half_plane_frequencies(side, sampling_rate)
    # Columns 1 to side/2 − 1 of the half plane stand for their Hermitian mates too.
    column = torch.arange(len(x), device=device) % (side // 2 + 1)
    weight = torch.where((column == 0) | (column == side // 2), 1.0, 2.0) / side**2
    means = [
        contrast_transfer(parameters[start : start + batch], x, y, device).square_() @ weight
        for start in range(0, len(parameters), batch)
    ]
    return torch.cat(means)[:, None] if means else torch.zeros(0, 1, device=device)


def wiener_filter(ctf: torch.Tensor, mean_square: torch.Tensor, phase_flipped: bool = False) -> torch.Tensor:
    """Xmipp's Wiener filter CTF / (CTF² + 0.1·mean(CTF²)).

    Parameters
    ----------
    ctf : (n, m) from :func:`contrast_transfer`
    mean_square : (n, 1) from :func:`mean_square_ctf`
    phase_flipped : the phases are corrected already, so that |CTF| is what is left

    Returns
    -------
    (n, m) tensor that multiplies the particles' Fourier coefficients.
    """
    left = ctf.abs() if phase_flipped else ctf
    return left / (ctf.square() + XMIPP_WIENER_SHARE * mean_square)
