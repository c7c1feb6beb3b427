"""Cubic B-spline interpolation of periodic images and volumes, real or complex, and of padded spectra."""

from __future__ import annotations

import torch

MARGIN = 2


def _prefilter(length: int, device: torch.device) -> torch.Tensor:
    """What sampling a cubic B-spline at the nodes multiplies frequency k of ``length`` by: (length,)."""
    return (2.0 + torch.cos(2.0 * torch.pi * torch.fft.fftfreq(length, device=device))) / 3.0


def _with_margin(nodes: torch.Tensor, dims: int) -> torch.Tensor:
    """The periodic nodes with two more before and three more after each of the last ``dims`` axes."""
    for axis in range(-dims, 0):
        length = nodes.shape[axis]
        around = torch.arange(-MARGIN, length + MARGIN + 1, device=nodes.device) % length
        nodes = nodes.index_select(axis, around)
    return nodes.contiguous()


def spline_coefficients(images: torch.Tensor) -> torch.Tensor:
    """Cubic B-spline coefficients of periodic images, with a margin of repeated columns and rows.

    Parameters
    ----------
    images : (n, H, W) float32

    Returns
    -------
    (n, H + 5, W + 5) float32: what :func:`sample_spline` reads.
    """
    height, width = images.shape[-2:]
    spectrum = torch.fft.rfft2(images) / _prefilter(height, images.device)[:, None]
    spectrum = spectrum / _prefilter(width, images.device)[: width // 2 + 1]
    return _with_margin(torch.fft.irfft2(spectrum, s=(height, width)), dims=2)


def spectrum_coefficients(images: torch.Tensor, padding: int, dims: int = 2) -> torch.Tensor:
    """Cubic B-spline coefficients of the images' Fourier transforms, padded so that they are smooth.

    Parameters
    ----------
    images : (..., D, D) or, with ``dims`` = 3, (..., D, D, D) float32, the origin at pixel D//2
    padding : the images are padded with zeros to ``padding``·D
    dims : 2 or 3

    Returns
    -------
    (..., P + 5, P + 5) complex64 with P = padding·D; node P//2 of each axis (before the margin) is frequency 0
    and a step is 1/P of the sampling frequency.
    """
    side = images.shape[-1]
    padded_side = padding * side
    low = padded_side // 2 - side // 2
    padded = torch.nn.functional.pad(images, [low, padded_side - side - low] * dims)
    # The prefilter of the spectrum is a division of the image: the spectrum's nodes are the image's frequencies.
    window = torch.fft.fftshift(_prefilter(padded_side, images.device))
    axes = tuple(range(-dims, 0))
    for axis in axes:
        padded /= window.reshape([-1 if axis == other else 1 for other in axes])
    spectrum = torch.fft.fftn(torch.fft.ifftshift(padded, dim=axes), dim=axes)
    return _with_margin(torch.fft.fftshift(spectrum, dim=axes), dims)


def cubic_weights(fraction: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """B-spline weights of the four nodes −1, 0, 1, 2 around a point at ``fraction`` of a pixel."""
    rest = 1.0 - fraction
    before, after = rest**3 / 6.0, fraction**3 / 6.0
    near = 2.0 / 3.0 - 0.5 * fraction**2 * (2.0 - fraction)
    return before, near, 1.0 - before - near - after, after


def sample_spline(
    coefficients: torch.Tensor, x: torch.Tensor, y: torch.Tensor, image: torch.Tensor | None = None
) -> torch.Tensor:
    """Values at the points (x, y) of the images that the coefficients stand for.

    Parameters
    ----------
    coefficients : (v, H + 5, W + 5) from :func:`spline_coefficients` or :func:`spectrum_coefficients`
    x, y : (n, ...) float32
        Column and row in pixels; images are periodic, and points more than a pixel outside read what is one pixel
        outside.
    image : integers that broadcast to the shape of x: the image that each point reads; by default v = n and
        each set of points reads its own

    Returns
    -------
    (n, ...) values, of the coefficients' type.
    """
    count, height, width = coefficients.shape
    x, y = x.clamp(1 - MARGIN, width - MARGIN - 3), y.clamp(1 - MARGIN, height - MARGIN - 3)
    left, top = x.floor(), y.floor()
    weights_x, weights_y = cubic_weights(x - left), cubic_weights(y - top)
    if image is None:
        image = torch.arange(count, device=x.device).reshape(-1, *[1] * (x.ndim - 1))
    corner = image * (height * width) + ((top.long() + MARGIN - 1) * width + left.long() + MARGIN - 1)
    flat = coefficients.reshape(-1)
    total = torch.zeros(x.shape, dtype=coefficients.dtype, device=x.device)
    for row, weight_y in enumerate(weights_y):
        line = torch.zeros_like(total)
        for column, weight_x in enumerate(weights_x):
            line += torch.take(flat, corner + (row * width + column)) * weight_x
        total += line * weight_y
    return total


def sample_spline_volume(coefficients: torch.Tensor, x: torch.Tensor, y: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    """Values at the points (x, y, z) of the volume that the coefficients stand for.

    Parameters
    ----------
    coefficients : (L + 5, H + 5, W + 5) from :func:`spectrum_coefficients`
    x, y, z : (n, ...) float32
        Column, row and section in voxels.

    Returns
    -------
    (n, ...) values, of the coefficients' type.
    """
    z = z.clamp(1 - MARGIN, len(coefficients) - MARGIN - 3)
    below = z.floor()
    sections = [
        sample_spline(coefficients, x, y, below.long() + MARGIN - 1 + k) * weight
        for k, weight in enumerate(cubic_weights(z - below))
    ]
    return torch.stack(sections).sum(dim=0)
