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
FLAGS = ("phase_flipped", "premultiplied")
COARSE_BOX = 32
"""Side of the image on whose frequencies the mean of CTF² is taken, where a few per cent do not matter."""


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
    phase_flipped : (n,) array of bool
        The phases of the images are corrected: what is left in them is |CTF|.
    premultiplied : (n,) array of bool
        The images are multiplied by their CTF already: what is left in them is CTF².

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
    phase_flipped: NDArray[np.bool_] | None = None
    premultiplied: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        for item in fields(self):
            value, kind = getattr(self, item.name), np.bool_ if item.name in FLAGS else np.float64
            column = np.zeros(len(self), dtype=kind) if value is None else np.atleast_1d(np.asarray(value, dtype=kind))
            object.__setattr__(self, item.name, column)
        shapes = {getattr(self, item.name).shape for item in fields(self)}
        if len(shapes) != 1 or len(next(iter(shapes))) != 1:
            raise ValueError(f"CTF columns must be vectors of one length, not {sorted(shapes)}")

    def __len__(self) -> int:
        return np.size(self.defocus_u)

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
    parameters: CtfParameters, box: int, sampling_rate: float, device: str | torch.device = "cpu"
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
    together = 256  # particles at once
    means = [
        contrast_transfer(parameters[start : start + together], x, y, device).square_() @ weight
        for start in range(0, len(parameters), together)
    ]
    return torch.cat(means)[:, None] if means else torch.zeros(0, 1, device=device)


def matching_factor(
    parameters: CtfParameters, ctf: torch.Tensor, mean_square: torch.Tensor | None = None, all_flipped: bool = False
) -> torch.Tensor:
    """What takes images to CTF·y, where y are images as the microscope makes them: CTF·image + noise.

    That is the CTF; |CTF| where phases were flipped; where images were multiplied by their CTF, nothing but the scale,
    for they were normalised to noise of unit variance afterwards, and CTF·noise has the variance mean CTF².

    Parameters
    ----------
    parameters : CtfParameters of n particles
    ctf : (n, m) from :func:`contrast_transfer`
    mean_square : (n, 1), from :func:`mean_square_ctf`
        Not needed where no image is premultiplied.
    all_flipped : bool
        The phases of all were flipped, whatever the parameters say.

    Returns
    -------
    (n, m) tensor that multiplies Fourier coefficients of the images.
    """
    flipped, multiplied = (torch.as_tensor(getattr(parameters, name), device=ctf.device)[:, None] for name in FLAGS)
    factor = ctf.abs() if all_flipped else torch.where(flipped, ctf.abs(), ctf) if flipped.any() else ctf
    if not multiplied.any():
        return factor
    assert mean_square is not None
    return torch.where(multiplied, mean_square.sqrt(), factor)


def coarse_mean_square(
    parameters: CtfParameters, sampling_rate: float, device: str | torch.device = "cpu"
) -> torch.Tensor | None:
    """Mean of CTF² over the plane, (n, 1), roughly; None where no image is premultiplied, so that none asks for it."""
    assert parameters.premultiplied is not None
    return mean_square_ctf(parameters, COARSE_BOX, sampling_rate, device) if parameters.premultiplied.any() else None


def wiener_filter(ctf: torch.Tensor, mean_square: torch.Tensor, factor: torch.Tensor | None = None) -> torch.Tensor:
    """Xmipp's Wiener filter CTF / (CTF² + 0.1·mean(CTF²)).

    Parameters
    ----------
    ctf : (n, m) from :func:`contrast_transfer`
    mean_square : (n, 1) from :func:`mean_square_ctf`
    factor : (n, m) from :func:`matching_factor`
        What stands above the fraction line where it is not the CTF.

    Returns
    -------
    (n, m) tensor that multiplies the particles' Fourier coefficients.
    """
    return (ctf if factor is None else factor) / (ctf.square() + XMIPP_WIENER_SHARE * mean_square)
