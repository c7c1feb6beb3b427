"""What of an image is the particle: a circle, or of a filament the part of the circle within a tube."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

MASK_EDGE_PX = 4.0


def soft_edge(distance: Tensor, limit: float, edge: float = MASK_EDGE_PX) -> Tensor:
    """1 where a distance in pixels is within the limit, a raised cosine of ``edge`` px, 0 beyond."""
    return 0.5 + 0.5 * torch.cos(torch.pi * ((distance - limit) / edge).clamp(0, 1))


def soft_mask(box: int, radius: float, edge: float = MASK_EDGE_PX) -> Tensor:
    """A circle about pixel box // 2: 1 within ``radius``, a raised cosine of ``edge`` px, 0 beyond; (box, box)."""
    axis = torch.arange(box) - box // 2
    distance = torch.hypot(*torch.meshgrid(axis.float(), axis.float(), indexing="ij"))
    return soft_edge(distance, radius, edge)


def soft_tube(box: int, half_width: float) -> Tensor:
    """A tube along x through pixel box // 2, as wide as that to each side, with a soft edge; (box, box)."""
    axis = (torch.arange(box) - box // 2).float()
    return soft_edge(axis.abs(), half_width)[:, None].expand(box, box)


@dataclass(frozen=True)
class MaskShape:
    """A circle about the middle of a box, cut to a tube along x where the particles are filaments.

    Attributes
    ----------
    radius : float
        Of the circle, in pixels.
    half_width : float or None
        Of the tube, in pixels; None is no tube.
    """

    radius: float
    half_width: float | None = None

    def widened(self, reach: float, box: int) -> MaskShape:
        """The circle that holds what shifts of up to ``reach`` pixels may bring there, within the box."""
        return MaskShape(min(self.radius + reach, box / 2))

    def soft(self, box: int, scale: float = 1.0, inset: float = 0.0) -> Tensor:
        """The mask in a box of pixels ``1 / scale`` times as large, its edge beginning ``inset`` further in."""
        circle = soft_mask(box, self.radius * scale - inset)
        if self.half_width is None:
            return circle
        return circle * soft_tube(box, max(self.half_width * scale - inset, 0.0))
