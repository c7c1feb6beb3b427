"""Cubic B-spline interpolation of periodic images, real or complex."""

from __future__ import annotations

import torch

MARGIN = 2


def spline_coefficients(images: torch.Tensor) -> torch.Tensor:
    """Cubic B-spline coefficients of periodic images, with a margin of repeated columns and rows.

    Parameters
    ----------
    images : (n, H, W) float32 or complex64

    Returns
    -------
    (n, H + 5, W + 5): what :func:`sample_spline` reads.
    """
    height, width = images.shape[-2:]
    spectrum = torch.fft.fft2(images)
    for length, shape in ((height, (-1, 1)), (width, (1, -1))):
        angle = 2.0 * torch.pi * torch.fft.fftfreq(length, device=images.device)
        spectrum = spectrum / ((2.0 + torch.cos(angle)) / 3.0).reshape(shape)
    coefficients: torch.Tensor = torch.fft.ifft2(spectrum)
    if not images.is_complex():
        coefficients = coefficients.real
    rows = torch.arange(-MARGIN, height + MARGIN + 1, device=images.device) % height
    columns = torch.arange(-MARGIN, width + MARGIN + 1, device=images.device) % width
    padded: torch.Tensor = coefficients[..., rows[:, None], columns]
    return padded.contiguous()


def _cubic_weights(fraction: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """B-spline weights of the four nodes −1, 0, 1, 2 around a point at ``fraction`` of a pixel."""
    rest = 1.0 - fraction
    before, after = rest**3 / 6.0, fraction**3 / 6.0
    near = 2.0 / 3.0 - 0.5 * fraction**2 * (2.0 - fraction)
    return before, near, 1.0 - before - near - after, after


def sample_spline(coefficients: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Values at the points (x, y) of the images that the coefficients stand for.

    Parameters
    ----------
    coefficients : (n, H + 5, W + 5) from :func:`spline_coefficients`
    x, y : (n, ...) float32
        Column and row in pixels; points more than a pixel outside the image repeat its edge.

    Returns
    -------
    (n, ...) values, of the coefficients' type.
    """
    count, height, width = coefficients.shape
    x, y = x.clamp(1 - MARGIN, width - MARGIN - 3), y.clamp(1 - MARGIN, height - MARGIN - 3)
    left, top = x.floor(), y.floor()
    weights_x, weights_y = _cubic_weights(x - left), _cubic_weights(y - top)
    image = torch.arange(count, device=x.device).reshape(-1, *[1] * (x.ndim - 1)) * (height * width)
    corner = image + ((top.long() + MARGIN - 1) * width + left.long() + MARGIN - 1)
    flat = coefficients.reshape(-1)
    total = torch.zeros(x.shape, dtype=coefficients.dtype, device=x.device)
    for row, weight_y in enumerate(weights_y):
        line = torch.zeros_like(total)
        for column, weight_x in enumerate(weights_x):
            line += flat[corner + (row * width + column)] * weight_x
        total += line * weight_y
    return total
