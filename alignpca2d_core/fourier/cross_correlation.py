"""Correlation of images over all shifts, in the part of the Fourier plane that matters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from .rfft_places import fast_length


@dataclass(frozen=True)
class CroppedBand:
    """The half plane inside a circle, laid out as ``rfft2`` of a box just large enough for it.

    Parameters
    ----------
    box : side of the images, pixels
    side : side of that box, pixels
    x, y : (m,) float32 frequencies in cycles per box
    inside : (m,) float32, 1 inside the circle and 0 outside
    """

    box: int
    side: int
    x: torch.Tensor
    y: torch.Tensor
    inside: torch.Tensor

    @classmethod
    def below(cls, radius: float, box: int) -> CroppedBand:
        """The band of frequencies under ``radius`` cycles per box, at most Nyquist."""
        radius = min(radius, box / 2 - 0.5)
        side = fast_length(2 * int(np.ceil(radius)) + 1)
        y = torch.fft.fftfreq(side, d=1.0 / side).repeat_interleave(side // 2 + 1)
        x = torch.arange(side // 2 + 1, dtype=torch.float32).repeat(side)
        return cls(box, side, x, y, (x * x + y * y < radius**2).float())

    def coefficients(self, images: torch.Tensor) -> torch.Tensor:
        """Fourier coefficients (n, m) of images (n, D, D) inside the band, the origin at their centre."""
        spectra: torch.Tensor = torch.fft.rfft2(torch.fft.ifftshift(images, dim=(-2, -1)))
        columns = self.x.long().clamp_max(self.box // 2)
        return spectra[:, self.y.long() % self.box, columns] * self.inside

    def correlation(self, products: torch.Tensor) -> torch.Tensor:
        """Σ over pixels of a(x)·b(x − d) from products a·conj(b) (..., m): (..., side, side), d = 0 first.

        A step of d is box/side pixels.
        """
        plane = products.reshape(*products.shape[:-1], self.side, -1)
        maps: torch.Tensor = torch.fft.irfft2(plane, s=(self.side, self.side))
        return maps * (self.side / self.box) ** 2

    def best_shift(self, maps: torch.Tensor, reach_px: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The peak of each correlation map (..., side, side) among shifts up to ``reach_px`` in x and in y.

        Returns
        -------
        Value and shift in x and y in pixels of the images, each (...), refined by parabolas.
        """
        side = self.side
        shift = torch.fft.fftfreq(side, d=1.0 / side)
        allowed = shift.abs() <= reach_px * side / self.box + 0.5
        flat = maps.flatten(-2)
        forbidden = ~(allowed[:, None] & allowed[None, :]).flatten()
        best, place = flat.masked_fill(forbidden, -torch.inf).max(dim=-1)
        row, column = place // side, place % side

        def vertex(dy: int, dx: int) -> tuple[torch.Tensor, torch.Tensor]:
            before, after = (
                flat.gather(-1, (((row + s * dy) % side) * side + (column + s * dx) % side)[..., None])[..., 0]
                for s in (-1, 1)
            )
            curve = (2.0 * best - before - after).clamp_min(1e-12)
            at = (0.5 * (after - before) / curve).clamp(-0.5, 0.5)
            return at, 0.25 * (after - before) * at

        (at_x, gain_x), (at_y, gain_y) = vertex(0, 1), vertex(1, 0)
        step = self.box / side
        return best + gain_x + gain_y, (shift[column] + at_x) * step, (shift[row] + at_y) * step
