"""Images normalised on their background whatever else is in them: ramps, constant borders, gold, hot pixels, dust.

A plane fitted to the background is taken off.  Pixels far beyond what the images of the set usually hold, and those of
constant borders, which particles at the edge of a micrograph get, set neither mean nor deviation: they are found, and
replaced with other pixels of the background, which is the noise of that very image.  What an image is replaced with
depends on nothing but the image, since it is read again and again.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

LEAST_LIMIT, USUAL_PEAKS = 7.0, 3.0
"""A pixel is an outlier beyond so many deviations, and beyond so many times what the usual image reaches."""
PEAK_SHARE, USUAL_IMAGE = 0.998, 0.4
"""An image reaches what this share of its pixels stays below; the usual one is this quantile of the images."""
FEWEST_IMAGES = 20
"""Images below which what is usual cannot be told."""
SKIRT, SKIRT_PX = 3.0, 3
"""What hangs on an outlier goes with it: pixels beyond so many deviations, as far as this from it."""
RUN = 8
"""Equal pixels in a row, or in a column, that noise does not make."""
HEAVY_TAIL = 1.25
"""Standard deviation of the background, over its median deviation or that of the image, from which on more than noise
is in it."""
TRIMMED_FITS, TRIM = 6, 2.5
"""Planes fitted one after the other to what lies within so many deviations of the last one."""
TRIMMED_DEVIATION = 0.9546
"""Standard deviation of normal values, those beyond TRIM left out."""
SAME, CLEAN = 1e-4, 1e-3
"""Of an image's deviation: differences that are none; a background so flat is that of an image without noise."""
MASKED = 0.9
"""Share of the background that is flat in images that were masked."""
MOST_BAD = 0.2
"""Share of the particle's circle that may be replaced."""
FEWEST_BACKGROUND = 30
MEDIAN_OF, FILLS = 512, 8
LEAST_LEVEL, MOST_LEVEL = 1e-14, 1e14
"""Grey values whose squares, added up, stay well inside what float32 holds."""
TO_DEVIATION = 1.4826
"""Median of the absolute deviation to standard deviation, of normal values."""


@dataclass
class Cleaned:
    """Normalised images.

    Attributes
    ----------
    images : Tensor
        Zero mean and unit deviation on the background, (n, box, box).
    usable : Tensor
        Not constant, without NaN, and enough of it left, (n,) bool.
    repaired, damaged : Tensor
        Where pixels were replaced that count; and where too many would have been, (n,) bool.
    """

    images: Tensor
    usable: Tensor
    repaired: Tensor
    damaged: Tensor


@dataclass
class _Levels:
    """What the background says of images (n, pixels), with its plane taken off.

    Attributes
    ----------
    residual : Tensor
        The images less the plane, (n, pixels).
    some : Tensor
        Absolute values of some pixels of the background, (n, few): their median is the deviation that a few wild
        pixels do not move.
    deviation, whole : Tensor
        Standard deviation on the background, and of the image, (n,).
    largest : Tensor
        Largest absolute value, (n,).
    level : Tensor
        What the image's own values do not exceed, (n,).
    """

    residual: Tensor
    some: Tensor
    deviation: Tensor
    whole: Tensor
    largest: Tensor
    level: Tensor

    @property
    def has_noise(self) -> Tensor:
        return (self.deviation > CLEAN * self.whole) & torch.isfinite(self.whole)

    @property
    def robust(self) -> Tensor:
        """Median deviation of the background, as the standard deviation of normal values, (n,)."""
        return TO_DEVIATION * _medians(self.some)

    def robust_is_below(self, bound: Tensor) -> Tensor:
        """Whether :attr:`robust` is (n,), without putting anything in order."""
        below = (self.some < (bound / TO_DEVIATION)[:, None]).sum(1)
        return below >= (self.some.shape[1] + 1) // 2


class ImageRepair:
    """Normalises and repairs images.

    Parameters
    ----------
    background, particle, kept : Tensor
        Pixels of background alone, of the particle's circle, and all that count, (box, box) bool.
    limit : float, optional
        Deviations beyond which a pixel is an outlier, from :meth:`usual_limit`; without it, outliers are looked for in
        the background alone.
    """

    def __init__(self, background: Tensor, particle: Tensor, kept: Tensor, limit: float | None = None) -> None:
        self.box, device = background.shape[-1], background.device
        self._background, self._particle, self._kept = (mask.flatten() for mask in (background, particle, kept))
        self._axis = torch.linspace(-1, 1, self.box, device=device)
        y, x = torch.meshgrid(self._axis, self._axis, indexing="ij")
        self._places = torch.nonzero(self._background)[:, 0]
        self._plane = torch.stack([torch.ones_like(x), x, y], dim=-1).flatten(0, 1)
        below = self._plane[self._places]
        self._fit = torch.linalg.pinv(below.double().cpu()).float().to(device)
        self._slopes = below.T[1:].contiguous()
        self._moments = (below[:, :, None] * below[:, None, :]).flatten(1).double()
        self._some = slice(None, None, max(1, len(below) // MEDIAN_OF))
        drawn = torch.Generator().manual_seed(0)
        places = self._places
        self._fill = places[torch.randint(len(places), (FILLS, self.box**2), generator=drawn).to(device)]
        inside = torch.full((self.box**2,), torch.inf if limit is None else limit, device=device)
        self._least = LEAST_LIMIT if limit is None else limit
        self._limit = torch.where(self._background, self._least, inside)

    def clean(self, images: Tensor) -> Cleaned:
        """Normalise images (n, box, box), and repair those that need it."""
        images, levels = self._scaled_levels(images)
        flat = images.flatten(1)
        usable = torch.isfinite(levels.whole) & (levels.whole > 1e-6 * levels.level.clamp_min(1e-30))
        wild = levels.robust_is_below(torch.maximum(levels.largest / self._least, levels.deviation / HEAVY_TAIL))
        wild |= levels.deviation > HEAVY_TAIL * levels.whole
        odd = levels.has_noise & usable & (wild | self._has_flat_edge(images, levels.whole))
        # A clean stack has a flat background: the image itself then sets the scale.
        deviation = torch.where(levels.has_noise, levels.deviation, levels.whole).clamp_min(1e-30)
        scaled = levels.residual.mul_(1 / deviation[:, None])
        repaired, damaged = torch.zeros_like(usable), torch.zeros_like(usable)
        if len(torch.nonzero(odd | ~usable)):
            rows = torch.nonzero(odd)[:, 0]
            if len(rows):
                scaled[rows], repaired[rows], damaged[rows] = self._repaired(flat[rows], levels.whole[rows])
            usable &= ~damaged
            scaled[~usable] = 0.0
        return Cleaned(scaled.unflatten(1, images.shape[1:]), usable, repaired & usable, damaged)

    def usual_limit(self, images: Tensor) -> float | None:
        """Deviations that no pixel of the usual image comes near; None where there are too few images to tell.

        Parameters
        ----------
        images : (n, box, box) tensor
        """
        levels = self._scaled_levels(images)[1]
        robust = levels.robust
        noisy = levels.has_noise & (robust > 0)
        if int(noisy.sum()) < FEWEST_IMAGES:
            return None
        residual = levels.residual[noisy][:, self._kept].abs() / robust[noisy, None]
        reached = residual.kthvalue(max(1, int(PEAK_SHARE * residual.shape[1])), dim=1).values
        return max(LEAST_LIMIT, USUAL_PEAKS * float(reached.quantile(USUAL_IMAGE)))

    def _scaled_levels(self, images: Tensor) -> tuple[Tensor, _Levels]:
        """Images (n, box, box), scaled by powers of two where float32 cannot hold their squares; and their levels."""
        levels = self._levels(images)
        level = levels.level
        extreme = torch.nonzero(((level > MOST_LEVEL) & level.isfinite()) | (level < LEAST_LEVEL))[:, 0]
        if len(extreme):
            images = images.clone()
            exponent = torch.frexp(level[extreme]).exponent
            images[extreme] = torch.ldexp(images[extreme], -exponent[:, None, None])
            levels = self._levels(images)
        return images, levels

    def _levels(self, images: Tensor) -> _Levels:
        flat = images.flatten(1)
        outside = flat.index_select(1, self._places)
        mean = outside.mean(1, keepdim=True)
        outside -= mean
        # Sums of products, not matrix products: what comes out must not depend on the images beside.
        plane = torch.stack([(outside * row).sum(1) for row in self._fit], dim=1)
        background = outside.sub_(plane[:, :1])
        for slope, along in zip(plane.T[1:], self._slopes, strict=True):
            background.addcmul_(slope[:, None], along, value=-1)
        deviation = _norm(background) / max(background.shape[1] - 1, 1) ** 0.5
        height, right, down = plane.T[:, :, None, None]
        height = height + mean[:, :, None]
        residual = (images - right * self._axis).sub_(height + down * self._axis[:, None]).flatten(1)
        square = _norm(residual).square() - residual.sum(1).square() / self.box**2
        largest = residual.abs().amax(1)
        level = largest + plane[:, 1:].abs().sum(1) + height[:, 0, 0].abs()
        whole = (square.clamp_min(0.0) / (self.box**2 - 1)).sqrt()
        return _Levels(residual, background[:, self._some].abs(), deviation, whole, largest, level)

    def _has_flat_edge(self, images: Tensor, whole: Tensor) -> Tensor:
        """Whether pixels at the edge of the box (n,) are as equal as those of a constant border."""
        edges = torch.stack([images[:, 0], images[:, -1], images[:, :, 0], images[:, :, -1]], dim=1)
        run, length = edges.diff(dim=2).abs() <= SAME * whole[:, None, None], 1
        while length < RUN - 1:
            more = min(length, RUN - 1 - length)
            run, length = run[..., more:] & run[..., :-more], length + more
        return run.flatten(1).any(1)

    def _repaired(self, flat: Tensor, whole: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Images (m, pixels) normalised by what is good of them, and repaired; which were, and which cannot be."""
        border = self._flat_pixels(flat, whole)
        trusted = ~border
        for _ in range(TRIMMED_FITS):
            residual = self._without_plane(flat, trusted)
            some = residual[:, self._places]
            robust = TO_DEVIATION * _medians_of(some.abs(), ~border[:, self._places])
            trusted = ~border & (residual.abs() <= TRIM * robust.nan_to_num(torch.inf)[:, None])
        deviation = _deviation(residual[:, self._places], trusted[:, self._places]) / TRIMMED_DEVIATION
        bad = border | self._grown(residual / deviation[:, None])
        good = ~bad[:, self._places]
        residual = self._without_plane(flat, ~bad)
        scaled = residual / _deviation(residual[:, self._places], good)[:, None]
        few = good.sum(1) < max(FEWEST_BACKGROUND, good.shape[1] // 10)
        damaged = few | ((bad & self._particle).sum(1) > MOST_BAD * self._particle.sum())
        return self._filled(scaled, bad), (bad & self._kept).any(1), damaged

    def _flat_pixels(self, flat: Tensor, whole: Tensor) -> Tensor:
        """The pixels (m, pixels) of constant borders; none in images that were masked all round."""
        images = flat.unflatten(1, (1, self.box, self.box))
        found = torch.zeros_like(images, dtype=torch.bool)
        for dim, kernel in ((3, (1, RUN - 1)), (2, (RUN - 1, 1))):
            same = (images.diff(dim=dim).abs() <= SAME * whole[:, None, None, None]).float()
            runs = (F.avg_pool2d(same, kernel, stride=1) > 1 - 0.5 / RUN).float()
            wide = tuple(RUN if size > 1 else 1 for size in kernel)
            padding = tuple(size - 1 for size in wide)
            found |= F.max_pool2d(F.pad(runs, (padding[1],) * 2 + (padding[0],) * 2), wide, stride=1) > 0
        border = found.flatten(1)
        masked = border[:, self._places].float().mean(1) > MASKED
        return border & ((border.sum(1) >= 0.75 * self.box) & ~masked)[:, None]

    def _without_plane(self, flat: Tensor, good: Tensor) -> Tensor:
        """Images less the plane through the good pixels of their background."""
        weight = good[:, self._places].double()
        mean = (flat[:, self._places] * weight).sum(1, keepdim=True) / weight.sum(1, keepdim=True).clamp_min(1)
        centred = (flat[:, self._places] - mean) * weight
        normal = (weight @ self._moments).unflatten(1, (3, 3))
        normal = normal + 1e-3 * torch.eye(3, device=flat.device, dtype=torch.float64)
        plane = torch.linalg.solve(normal, centred @ self._plane[self._places].double())
        return (flat - mean - plane @ self._plane.T.double()).float()

    def _grown(self, scaled: Tensor) -> Tensor:
        """Outliers of images (m, pixels), with what hangs on them and a pixel around."""
        size = scaled.abs()
        found = (size > self._limit).float().unflatten(1, (1, self.box, self.box))
        skirt = (size > SKIRT).float().unflatten(1, (1, self.box, self.box))
        for _ in range(SKIRT_PX):
            found = torch.maximum(found, F.max_pool2d(found, 3, 1, 1) * skirt)
        return F.max_pool2d(found, 3, 1, 1).flatten(1) > 0

    def _filled(self, scaled: Tensor, bad: Tensor) -> Tensor:
        """Bad pixels replaced with good ones of the background of the same image."""
        result, left = scaled.clone(), bad.clone()
        for places in self._fill:
            take = left & ~bad[:, places]
            result = torch.where(take, scaled[:, places], result)
            left &= ~take
        return torch.where(left, 0.0, result)


def _deviation(values: Tensor, good: Tensor) -> Tensor:
    """Standard deviation (m,) of the good among values (m, p) of mean zero."""
    return ((values.square() * good).sum(1) / good.sum(1).clamp_min(1)).sqrt().clamp_min(1e-30)


def _norm(values: Tensor) -> Tensor:
    """Root of the sum of squares of each row (n,)."""
    return torch.linalg.vector_norm(values, dim=1)


def _medians(values: Tensor) -> Tensor:
    """Lower median of each row (n,); torch's own has no way on CUDA that is the same each time."""
    return values.topk((values.shape[1] + 1) // 2, dim=1, largest=False, sorted=False).values.amax(1)


def _medians_of(values: Tensor, good: Tensor) -> Tensor:
    """The same of the good values of each row; NaN where there are none."""
    ordered = torch.where(good, values, torch.nan).sort(dim=1).values  # NaN comes last
    return ordered.gather(1, ((good.sum(1) - 1) // 2).clamp_min(0)[:, None])[:, 0]
