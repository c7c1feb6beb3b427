"""Images that hold something else than particles, told from their pixels before there is any class.

A contaminant, the rim of the carbon film, a crystal of ice is stronger than any particle: it would set the unit of the
noise, take classes, and define what is usual.  What gives it away are a few figures of each image, such as the power of
its lowest frequencies over that of its highest.  Particles of one set have much the same ones, whatever their view and
defocus; an image that lies far from the median of the set is set aside.  Nothing is learned from truth, and nothing is
thrown away: these images end in the class of what was set aside.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

LOW, MIDDLE, FINE = (1, 4), (5, 9), (8, 14)
"""Rings in cycles per box: what is coarser than a particle's parts, its parts, and what is finer than most of them."""
HIGH = (0.55, 0.9)
"""Shares of the Nyquist frequency between which an image holds next to nothing but noise."""
COARSE_BOX = 24
"""Side in pixels of the low-passed images of which the deviation counts."""
NAMES = ("low", "middle", "fine", "noise", "contrast")
OBJECT, NOISE = [0, 1, 2, 4], 3
FAR = 4.0
"""Deviations from the median of the set, of the normal distribution that has the set's quartiles."""
LEAST_FACTORS = (3.0, 1.75, 1.75, 1.25, 1.75)
"""By how much each figure's power differs at least: a rare view of a specimen may be stronger than the others."""
LEAST_IMAGES = 200
"""Images below which a set does not say what is usual in it."""
MOST = 0.4
"""Share of the images beyond which they are no exceptions."""


class ImageStatistics:
    """The figures of images (n, box, box) that are normalised on their background.

    ``low``, ``middle`` and ``fine`` are the logarithms of the mean power of their rings over that of the highest
    rings; ``noise`` is that of the highest rings alone, which a strong object lowers as it raises the deviation that
    images are normalised by; ``contrast`` is that of the variance of the image low-passed to 12 cycles per box.

    Parameters
    ----------
    box : int
        Side of the images, pixels.
    device : torch.device
    """

    def __init__(self, box: int, device: torch.device) -> None:
        self.box, self.small = box, min(COARSE_BOX, box)
        y = torch.fft.fftfreq(box, d=1 / box)
        x = torch.arange(box // 2 + 1).float()
        radius = torch.hypot(*torch.meshgrid(y, x, indexing="ij"))
        double = torch.full_like(radius, 2.0)
        double[:, 0] = 1.0
        high = tuple(share * (box // 2) for share in HIGH)
        groups = [(radius >= low - 0.5) & (radius < top + 0.5) for low, top in (LOW, MIDDLE, FINE)]
        groups.append((radius >= high[0]) & (radius < high[1]))
        weights = torch.stack([group * double / (group * double).sum().clamp_min(1) for group in groups])
        self._weights = weights.flatten(1).T.contiguous().to(device)
        half = self.small // 2
        self._rows = torch.cat((torch.arange(half), torch.arange(box - self.small + half, box))).to(device)
        inside = radius[self._rows.cpu()][:, : half + 1] < half
        self._coarse = inside.float().to(device)

    def of(self, images: Tensor) -> Tensor:
        """The figures NAMES, (n, 5)."""
        if not len(images):  # which FFTs refuse
            return images.new_zeros(0, len(NAMES))
        spectra = torch.fft.rfft2(images, norm="ortho")
        power = (spectra.real.square() + spectra.imag.square()).flatten(1)  # several times faster than abs
        low, middle, fine, high = (power @ self._weights).clamp_min(1e-20).log().unbind(1)
        coarse = spectra[:, self._rows][:, :, : self.small // 2 + 1] * self._coarse
        small = torch.fft.irfft2(coarse, s=(self.small, self.small), norm="ortho") * (self.small / self.box)
        contrast = small.flatten(1).var(1).clamp_min(1e-20).log()
        return torch.stack((low - high, middle - high, fine - high, high, contrast), 1)


@dataclass(frozen=True)
class Sieve:
    """What is usual in a set.

    Attributes
    ----------
    centre, spread : Tensor
        Median and deviation of each figure, (5,).
    """

    centre: Tensor
    spread: Tensor

    @staticmethod
    def learned(figures: Tensor) -> Sieve | None:
        """From the figures (n, 5) of a sample; None where it says too little, or too much lies far from its median."""
        if len(figures) < LEAST_IMAGES:
            return None
        quartiles = torch.quantile(figures, torch.tensor([0.25, 0.5, 0.75], device=figures.device), dim=0)
        # Between the quartiles of a normal distribution lie 1.349 deviations.
        sieve = Sieve(quartiles[1], ((quartiles[2] - quartiles[0]) / 1.349).clamp_min(1e-6))
        return sieve if float(sieve.rejects(figures).double().mean()) <= MOST else None

    def rejects(self, figures: Tensor) -> Tensor:
        """Which images, by their figures (n, 5), hold something else than particles, (n,) bool."""
        off = figures - self.centre
        deviations, least = off / self.spread, torch.tensor(LEAST_FACTORS, device=off.device).log()
        strong, weak = (deviations > FAR) & (off > least), (deviations < -FAR) & (off < -least)
        # Noise that is too weak has drowned in something strong, by which the image was normalised.
        return strong[:, OBJECT].any(1) | weak[:, NOISE]
