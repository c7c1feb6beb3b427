"""Images as band-limited vectors of Fourier coefficients, and what moves them: shifts and rotations.

A real image is known from half of its Fourier plane.  Counting each of those coefficients twice (a weight
of sqrt 2) makes distances between vectors equal to distances between the band-limited images (Parseval).
The phase origin is pixel ``box // 2``, about which rotations turn.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from .half_plane import count_within, half_plane, largest_square
from .interpolation import MARGIN, cubic_weights, spectrum_coefficients
from .rfft_places import Places, fast_length

Kept = TypeVar("Kept")
OVERSAMPLING = 2
"""How much finer than the band needs the grid is that rotations interpolate in."""
MOST_KEPT_BYTES = 32 * 2**20
"""What a band keeps at most of where to read all rotations of a grid."""


def interpolated(rotations: int) -> int:
    """How many of even steps of a full turn are interpolated; the others are quarter turns of these."""
    return rotations // 4 if rotations % 4 == 0 else rotations


@dataclass(frozen=True)
class Band:
    """The half-plane coefficients of a ``box`` x ``box`` image within ``radius`` Fourier pixels of the origin.

    Coefficients are sorted by radius, so that the band of a lower resolution is a prefix of every vector.  Which ones
    are in is decided in integers, by :func:`largest_square`.

    Attributes
    ----------
    kx, ky : Tensor
        Integer frequencies, shape (m,), in cycles per box; x is the column axis.
    ring : Tensor
        Radius rounded to an integer, shape (m,), int64.
    weight : Tensor
        sqrt 2 where the coefficient stands for its conjugate too, 1 at the origin; shape (m,).
    low : int
        So many rings, the origin's first, are there but do not count where images are compared.
    """

    box: int
    radius: float
    kx: Tensor
    ky: Tensor
    ring: Tensor
    weight: Tensor
    low: int = 0

    @staticmethod
    def make(box: int, radius: float, device: torch.device | str = "cpu", low: int = 0) -> Band:
        """Build the band; ``radius`` is cut to stay below Nyquist so that every coefficient has a partner."""
        radius = min(radius, (box - 1) // 2)
        kx, ky, square = (torch.from_numpy(one.copy()) for one in half_plane(largest_square(radius)))
        ring = square.double().sqrt().round().long()
        weight = torch.where(square > 0, math.sqrt(2.0), 1.0)
        kx, ky, ring, weight = (one.to(device) for one in (kx, ky, ring, weight.float()))
        return Band(box, radius, kx, ky, ring, weight, low)

    def __len__(self) -> int:
        return len(self.kx)

    @property
    def device(self) -> torch.device:
        return self.kx.device

    @property
    def edge(self) -> int:
        """The largest frequency along an axis that ``radius`` admits."""
        return math.isqrt(largest_square(self.radius))

    @property
    def rings(self) -> int:
        """Number of rings, the origin's included."""
        square = int(half_plane(largest_square(self.radius))[2][len(self) - 1])
        return round(math.sqrt(square)) + 1

    @property
    def work_box(self) -> int:
        """The smallest convenient box that holds the band: images of averages need no more pixels."""
        return min(fast_length(2 * self.edge + 4), self.box + self.box % 2)

    def prefix(self, radius: float) -> int:
        """Number of leading coefficients within ``radius``."""
        return min(count_within(largest_square(radius)), len(self))

    def narrowed(self, radius: float) -> Band:
        """The band of a smaller radius: its vectors are prefixes of this band's."""
        return self.first(self.prefix(radius), min(radius, self.radius))

    def first(self, m: int, radius: float | None = None) -> Band:
        """The band of the first ``m`` coefficients."""
        return self._part(self.box, m, self.radius if radius is None else radius)

    def in_box(self, box: int) -> Band:
        """The same frequencies in cycles of another box."""
        return self._part(box, len(self), self.radius)

    def _part(self, box: int, m: int, radius: float) -> Band:
        def make() -> Band:
            return Band(box, radius, self.kx[:m], self.ky[:m], self.ring[:m], self.weight[:m], self.low)

        # One and the same each time, with all that it has worked out.
        return self.kept(("part", box, m, radius), make)

    def kept(self, key: Hashable, make: Callable[[], Kept]) -> Kept:
        """What ``make`` works out, which the band does once for each key."""
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]

    @cached_property
    def _kept(self) -> dict[Hashable, Any]:
        return {}

    def compared(self, values: Tensor) -> Tensor:
        """Vectors (..., m), or values by ring (..., rings), with 0 on the rings that do not count."""
        if not self.low:
            return values
        counts = torch.arange(self.rings, device=self.device) >= self.low
        return values * (counts[self.ring] if values.shape[-1] == len(self) else counts)

    def ring_mean(self, values: Tensor) -> Tensor:
        """Mean over each ring of real values (..., m) -> (..., rings)."""
        return self.ring_sum(values) / self.ring_sizes

    def ring_sum(self, values: Tensor) -> Tensor:
        """Sum over each ring of real values (..., m) -> (..., rings); of fewer than m, the rest is taken for 0."""
        return values @ self._in_ring[: values.shape[-1]].to(values.dtype)

    @cached_property
    def ring_sizes(self) -> Tensor:
        """Coefficients on each ring, (rings,) float32."""
        return self._in_ring.sum(0)

    @cached_property
    def _in_ring(self) -> Tensor:
        """Which coefficients are on which ring, (m, rings): a product with it adds up in the same order each time."""
        return (self.ring[:, None] == torch.arange(self.rings, device=self.device)).float()

    def symmetries(self) -> list[tuple[Tensor, Tensor]]:
        """The quarter turns and their mirrors as real features see them: order and sign, (2m,) each.

        What falls outside the half-plane is there as its conjugate.
        """
        found = []
        turns = ((1, 0, 0, 1), (0, -1, 1, 0), (0, 1, 1, 0), (1, 0, 0, -1))
        for xx, xy, yx, yy in (*turns, *(tuple(-a for a in turn) for turn in turns)):
            order, sign = self._named(xx * self.kx + xy * self.ky, yx * self.kx + yy * self.ky)
            found.append((torch.stack((2 * order, 2 * order + 1), dim=1).flatten(), sign.flatten()))
        return found

    def _named(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """The coefficients that hold frequencies (x, y) of the band, (m,) each, and the sign of Re and Im, (m, 2)."""
        edge = self.edge + 1
        place = torch.zeros(2 * edge + 1, 2 * edge + 1, dtype=torch.int64, device=self.device)
        place[self.kx + edge, self.ky + edge] = torch.arange(len(self), device=self.device)
        side = torch.where((x < 0) | ((x == 0) & (y < 0)), -1, 1)
        sign = torch.stack((torch.ones_like(side), side), dim=1).float()
        return place[side * x + edge, side * y + edge], sign

    def _places(self, box: int) -> Places:
        return self.kept(("places", box), lambda: Places.make(self.kx, self.ky, self.weight, box))

    def to_vectors(self, images: Tensor) -> Tensor:
        """Images (..., box, box) -> complex vectors (..., m), weighted: |vector|² = |band-limited image|²."""
        if images.shape[-2:] != (self.box, self.box):
            raise ValueError(f"expected images of {self.box} px, got shape {tuple(images.shape)}")
        places = self._places(self.box)
        return torch.fft.rfft2(images, norm="ortho")[..., places.rows, places.columns] * places.factor

    def to_images(self, vectors: Tensor, box: int | None = None) -> Tensor:
        """Vectors (..., m) -> real images (..., box, box); another box resamples, grey values kept."""
        box = box or self.box
        places = self._places(box)
        values = vectors / places.factor * (box / self.box)
        spectrum = values.new_zeros(*vectors.shape[:-1], box, box // 2 + 1)
        spectrum[..., places.rows, places.columns] = values
        spectrum[..., places.mirrored, 0] = values[..., places.axis].conj()
        return torch.fft.irfft2(spectrum, s=(box, box), norm="ortho")

    def shift_ramps(self, shift_x: Tensor, shift_y: Tensor) -> Tensor:
        """Factors (..., m) that move an image by shifts (...,) in pixels of the box (Fourier shift theorem)."""
        frequencies, columns, rows = self._waves

        def along(shift: Tensor, place: Tensor) -> Tensor:
            # Sines of each frequency of one axis, not of each coefficient: several times fewer.
            angle = shift[..., None] * frequencies
            waves = torch.complex(torch.cos(angle), torch.sin(angle))
            return waves.gather(-1, place.expand(*shift.shape, -1))

        return along(shift_x, columns) * along(shift_y, rows)

    @cached_property
    def _waves(self) -> tuple[Tensor, Tensor, Tensor]:
        """Radians per pixel of all frequencies along an axis, and the places of kx and ky among them, (m,) each."""
        edge = self.edge
        frequencies = torch.arange(-edge, edge + 1, device=self.device) * (-2 * math.pi / self.box)
        return frequencies, self.kx + edge, self.ky + edge

    def rotate_all(self, vectors: Tensor, angles: Tensor) -> Tensor:
        """Turn each vector (n, m) by each angle (a,), in radians from x towards y: (n, a, m).

        The Fourier transform of a turned image is the turned transform; cubic B-splines read it from that of
        the padded image.
        """
        return self._read_turned(vectors, self._taps(angles))

    def _read_turned(self, vectors: Tensor, taps: tuple[Tensor, Tensor]) -> Tensor:
        index, weights = taps
        # A weighted sum of rows of a table, which is what embedding bags are fast at.
        table = torch.view_as_real(self.nodes(vectors)).flatten(1)
        turned = F.embedding_bag(index, table, per_sample_weights=weights, mode="sum")
        turned = torch.view_as_complex(turned.view(-1, len(self), len(vectors), 2))
        return turned.movedim(2, 0) * self.read_unit

    def nodes(self, vectors: Tensor) -> Tensor:
        """B-spline coefficients of the padded spectra of vectors (n, m), node by node: (nodes, n)."""
        return spectrum_coefficients(self.to_images(vectors, self.work_box), OVERSAMPLING).flatten(1).T.contiguous()

    @property
    def read_unit(self) -> Tensor:
        """What is read from nodes, times this, are coefficients, (m,)."""
        return self.weight * (self.box / self.work_box / self.work_box)

    def _taps(self, angles: Tensor) -> tuple[Tensor, Tensor]:
        """Nodes of the padded spectrum, and their weights, that make each coefficient at each angle: (a·m, 16) each."""
        small = self.work_box
        width = OVERSAMPLING * small + 2 * MARGIN + 1
        cosine, sine = torch.cos(angles)[:, None], torch.sin(angles)[:, None]
        centre = OVERSAMPLING * small // 2 + MARGIN
        x = ((cosine * self.kx + sine * self.ky) * OVERSAMPLING + centre).flatten()
        y = ((cosine * self.ky - sine * self.kx) * OVERSAMPLING + centre).flatten()
        left, top = x.floor(), y.floor()
        corner = ((top - 1) * width + left - 1).int()
        taps = torch.arange(4, device=self.device, dtype=torch.int32)
        index = corner[:, None] + (taps[:, None] * width + taps).flatten()
        weights_x, weights_y = (torch.stack(cubic_weights(f), -1) for f in (x - left, y - top))
        return index, (weights_y[:, :, None] * weights_x[:, None]).flatten(1)

    def rotate_round(self, vectors: Tensor, rotations: int) -> Tensor:
        """Turn each vector (n, m) by all of ``rotations`` even steps of a full turn: (n, rotations, m).

        Only a quarter of the turns is interpolated.  Rings that do not count are 0: this makes what is compared.
        """
        steps = interpolated(rotations)
        quarters = rotations // steps
        turned = vectors.new_empty(len(vectors), quarters, steps, len(self))
        turned[:, 0] = self._read_turned(vectors, self.even_taps(rotations))
        for quarter in range(1, quarters):
            turned[:, quarter] = self.quarter_turned(turned[:, quarter - 1], 1)
        return self.compared(turned.flatten(1, 2))

    def even_taps(self, rotations: int) -> tuple[Tensor, Tensor]:
        """The taps of those of even steps of a full turn that are :func:`interpolated`, (steps·m, 16) each."""
        steps = interpolated(rotations)

        def make() -> tuple[Tensor, Tensor]:
            return self._taps(torch.arange(steps, device=self.device) * (2 * math.pi / rotations))

        few = 16 * 8 * steps * len(self) <= MOST_KEPT_BYTES
        return self.kept(("taps", steps, rotations), make) if few else make()

    def quarter_turned(self, vectors: Tensor, quarters: Tensor | int) -> Tensor:
        """Turn vectors (..., m) by quarter turns from x towards y: one number for all, or one for each, (...,).

        Coefficients change places; what leaves the half-plane is there as its conjugate.
        """
        order, sign = self._quarters
        turned = vectors.gather(-1, order[quarters].expand_as(vectors))
        return torch.view_as_complex(torch.view_as_real(turned).mul_(sign[quarters]))

    @cached_property
    def _quarters(self) -> tuple[Tensor, Tensor]:
        """Where the coefficients of each quarter turn are, (4, m), and the sign of Re and Im there, (4, m, 2)."""
        x, y = self.kx, self.ky
        order, sign = zip(*(self._named(*place) for place in ((x, y), (y, -x), (-x, -y), (-y, x))), strict=True)
        return torch.stack(order), torch.stack(sign)


def as_real(vectors: Tensor) -> Tensor:
    """Complex vectors (..., m) as the real features [Re, Im] (..., 2m), coefficient by coefficient."""
    return torch.view_as_real(vectors).flatten(-2)
