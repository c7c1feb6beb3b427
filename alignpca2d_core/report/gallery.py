"""The gallery: all class averages on one picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ..io.atomic_files import atomic_path
from ..results.result_files import Classification
from .pictures import grey

FONT = Path(__file__).with_name("fonts") / "DejaVuSans.ttf"
"""Ships with the core, since Pillow's own font has no Å."""
LARGEST_TILE_PX, SMALLEST_TILE_PX = 256, 108
WIDEST_GALLERY_PX = 1920
WIDTH_TO_HEIGHT = 1.6
BACKGROUND, HEADING_COLOUR, NUMBER_COLOUR, TEXT_COLOUR = "#15171a", "#e8eaed", "#8ab4f8", "#d0d3d8"
BAR_COLOUR = "#ffffff"
FRAME_COLOURS = {"good": "#63c787", "doubtful": "#e0b04c", "junk": "#7a3f3b"}
"""As in the report."""


@dataclass(frozen=True)
class Captions:
    """What stands beside the averages of k classes.

    Parameters
    ----------
    sizes : (k,) particles in each class
    resolution_angstrom : (k,) Å
        Not printed where it is not finite.
    verdicts : sequence of k str or None, optional
        The frame of each average.
    sampling_rate : float, optional
        Å/px; without it there is no scale bar.
    """

    sizes: Sequence[int] | NDArray[Any]
    resolution_angstrom: Sequence[float] | NDArray[Any]
    verdicts: Sequence[str | None] | None = None
    sampling_rate: float | None = None

    def box_angstrom(self, box: int) -> float | None:
        """The side of a box of so many pixels, Å."""
        return box * self.sampling_rate if self.sampling_rate else None


def captions_of(
    classification: Classification, sampling_rate: float | None, verdicts: Sequence[str | None] | None = None
) -> Captions:
    """What stands beside the averages of a classification; its own verdicts unless others are given."""
    if verdicts is None and classification.verdicts is not None:
        verdicts = classification.verdicts.verdict
    return Captions(classification.sizes, classification.resolution_angstrom, verdicts, sampling_rate)


def scale_bar_angstrom(side: float) -> float:
    """A round length of a quarter to a half of a side, both Å: 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(side / 4))
    return power * next(factor for factor in (1, 2, 5, 10) if factor * power >= side / 4 * 0.999)


def write_gallery(path: str | Path, averages: NDArray[np.float32], captions: Captions) -> None:
    """Draw the class averages in their order on one PNG, with number, particles, resolution and verdict of each.

    Parameters
    ----------
    path : str or Path
    averages : (k, box, box) array
    captions : Captions
        Of k classes.
    """
    layout = _Layout.of(len(averages))
    canvas = Image.new("RGB", layout.canvas, BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    noun = "class" if len(averages) == 1 else "classes"
    heading = f"{len(averages)} {noun}, {int(np.sum(captions.sizes)):,} particles"
    draw.text((layout.gap, layout.gap), heading, fill=HEADING_COLOUR, font=_font(layout.font_px + 2))
    font = _font(layout.font_px)
    for number, average in enumerate(averages):
        x, y = layout.corner(number)
        canvas.paste(grey(average, layout.tile), (x, y))
        _scale_bar(draw, (x, y), layout, captions.box_angstrom(averages.shape[-1]))
        _frame(draw, (x, y), layout, captions.verdicts[number] if captions.verdicts else None)
        resolution = float(captions.resolution_angstrom[number])
        parts = (
            f"{number + 1}",
            _count(int(captions.sizes[number])),
            f"{resolution:.1f} Å" if math.isfinite(resolution) else "",
        )
        _caption(draw, (x, y + layout.tile + (layout.caption + layout.frame) // 2), layout.tile, parts, font)
    with atomic_path(path) as temporary:
        canvas.save(temporary)


def _scale_bar(draw: Any, corner: tuple[int, int], layout: _Layout, side: float | None) -> None:
    """A bar and its length at the lower left of an average whose box has a side of so many Å."""
    if side is None:
        return
    length, margin = scale_bar_angstrom(side), max(4, layout.tile // 16)
    x, y = corner[0] + margin, corner[1] + layout.tile - margin
    width = round(layout.tile * length / side)
    draw.line((x, y, x + width - 1, y), fill=BAR_COLOUR, width=max(1, layout.tile // 90))
    font = _font(max(9, layout.font_px - 2))
    draw.text((x + width / 2, y - 3), f"{length:g} Å", fill=BAR_COLOUR, font=font, anchor="mb")


def _frame(draw: Any, corner: tuple[int, int], layout: _Layout, verdict: str | None) -> None:
    """A frame around an average in the colour of its verdict, outside of its picture."""
    if verdict in FRAME_COLOURS:
        (x, y), thick = corner, layout.frame
        outer = (x - thick, y - thick, x + layout.tile + thick - 1, y + layout.tile + thick - 1)
        draw.rectangle(outer, outline=FRAME_COLOURS[verdict], width=thick)


def _caption(draw: Any, start: tuple[int, int], width: int, parts: tuple[str, str, str], font: Any) -> None:
    """Number at the left, resolution at the right, particles in the middle of what is free between them."""
    x, y = start
    number, count, resolution = parts
    draw.text((x, y), number, fill=NUMBER_COLOUR, font=font, anchor="lm")
    draw.text((x + width, y), resolution, fill=TEXT_COLOUR, font=font, anchor="rm")
    middle = x + (font.getlength(number) + width - font.getlength(resolution)) / 2
    draw.text((middle, y), count, fill=TEXT_COLOUR, font=font, anchor="mm")


def _count(particles: int) -> str:
    """At most five characters: ``99999``, ``100k``."""
    return f"{particles}" if particles < 100_000 else f"{particles / 1000:.0f}k"


def _font(size_px: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(FONT), size_px)


@dataclass(frozen=True)
class _Layout:
    """Where everything stands, pixels: few classes are drawn large, many small, on a page wider than high."""

    count: int
    columns: int
    tile: int
    gap: int
    font_px: int

    @classmethod
    def of(cls, count: int) -> _Layout:
        columns = max(1, min(count, math.ceil(math.sqrt(count * WIDTH_TO_HEIGHT))))
        tile = min(LARGEST_TILE_PX, max(SMALLEST_TILE_PX, WIDEST_GALLERY_PX // columns - 8))
        return cls(count, columns, tile, gap=max(6, tile // 20), font_px=max(11, tile // 11))

    @property
    def caption(self) -> int:
        """Height of the line under an average."""
        return self.font_px + 6 + self.frame

    @property
    def frame(self) -> int:
        """Thickness of the frame around an average."""
        return max(2, self.gap // 3)

    @property
    def heading(self) -> int:
        """Height of what stands above the averages."""
        return self.font_px + 2 + 3 * self.gap

    @property
    def canvas(self) -> tuple[int, int]:
        """Width and height of the page."""
        rows = math.ceil(self.count / self.columns)
        width = self.gap + self.columns * (self.tile + self.gap)
        return max(width, 24 * self.font_px), self.heading + rows * (self.tile + self.caption + self.gap)

    def corner(self, number: int) -> tuple[int, int]:
        """Left and top of an average."""
        row, column = divmod(number, self.columns)
        return (
            self.gap + column * (self.tile + self.gap),
            self.heading + row * (self.tile + self.caption + self.gap),
        )
