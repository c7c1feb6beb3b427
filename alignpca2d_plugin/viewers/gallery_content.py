"""What the gallery shows, and which classes are chosen in it, without a screen."""

import math
import os
from collections import namedtuple

import numpy as np

from ..constants import CLASSES_STACK, VERDICTS
from ..results import read_classes, read_summary

MRC_HEADER_BYTES = 1024
DARKEST_PERCENT, BRIGHTEST_PERCENT = 1.0, 99.7
LEAST_SHOWN_RINGS = 2.5
"""As far an average is shown of which no ring is reproducible."""

Tile = namedtuple("Tile", "number image size resolution verdict score")
"""A class: its number, grey values (box, box) uint8, particles, resolution in Å, verdict, and mean score or None."""


def _junk_last(tile):
    return tile.verdict == VERDICTS[-1]


ORDERS = {
    "Verdict": lambda tile: (VERDICTS.index(tile.verdict) if tile.verdict in VERDICTS else 0, -tile.size, tile.number),
    "Size": lambda tile: (_junk_last(tile), -tile.size, tile.number),
    "Resolution": lambda tile: (_junk_last(tile), tile.resolution, tile.number),
    "Score": lambda tile: (_junk_last(tile), -(tile.score or 0.0), tile.number),
    "Number": lambda tile: tile.number,
}
"""How the classes can be sorted; junk comes last, but where numbers are asked for."""


def read_tiles(folder):
    """The classes that have particles, in the order of their numbers, from the core's output folder."""
    rows = [row for row in read_classes(folder) if row.size]
    if not rows:
        return []
    curves = read_summary(folder).get("classes", {}).get("frc") or []
    images = _read_stack(os.path.join(folder, CLASSES_STACK))
    tiles = []
    for row in rows:
        place = row.index - 1
        curve = curves[place] if len(curves) == len(images) else None
        shown = grey(low_passed(images[place], curve) if curve else images[place])
        tiles.append(Tile(row.ref, shown, row.size, row.resolution, row.verdict, row.score))
    return sorted(tiles, key=ORDERS["Number"])


def _read_stack(path):
    """The core's averages, (k, box, box) float32."""
    header = np.fromfile(path, "<i4", 3)
    columns, rows, count = (int(value) for value in header)
    pixels = np.fromfile(path, "<f4", count * rows * columns, offset=MRC_HEADER_BYTES)
    return pixels.reshape(count, rows, columns)


def low_passed(image, frc):
    """An average (box, box) with each ring as strong as its FRC says that it is signal: 2 FRC / (1 + FRC)."""
    box, curve = len(image), np.clip(np.asarray(frc, dtype=float), 0.0, 1.0)
    share = np.maximum(2 * curve / (1 + curve), np.exp(-((np.arange(len(curve)) / LEAST_SHOWN_RINGS) ** 2)))
    rows, columns = np.fft.fftfreq(box) * box, np.fft.rfftfreq(box) * box
    ring = np.hypot(rows[:, None], columns).round().astype(int).clip(max=len(curve) - 1)
    return np.fft.irfft2(np.fft.rfft2(image) * share[ring], s=image.shape)


def grey(image):
    """An image as uint8, its range that of most pixels within the circle of the box."""
    finite, offset = np.nan_to_num(image), np.arange(len(image)) - len(image) // 2
    inside = np.hypot(offset[:, None], offset) <= len(image) / 2
    darkest, brightest = np.percentile(finite[inside], (DARKEST_PERCENT, BRIGHTEST_PERCENT))
    if brightest <= darkest:
        return np.full(image.shape, 96, np.uint8)
    return ((finite - darkest) * (255 / (brightest - darkest))).clip(0, 255).astype(np.uint8)


def scale_bar(side):
    """A round length of a quarter to a half of a side, both in Å."""
    power = 10.0 ** math.floor(math.log10(side / 4))
    return power * next(factor for factor in (1, 2, 5, 10) if factor * power >= side / 4 * 0.999)


def caption(tile):
    """Everything of a class in a line."""
    parts = [f"Class {tile.number}", f"{tile.size:,} particles", f"{tile.resolution:.1f} Å"]
    parts += [tile.verdict] if tile.verdict else []
    return ", ".join(parts + ([f"mean score {tile.score:.1f}"] if tile.score is not None else []))


def within(tiles, particles=None, resolution=None, score=None, verdicts=VERDICTS):
    """The numbers of the classes that miss no limit.

    Parameters
    ----------
    tiles : iterable of Tile
    particles : float, optional
        At least.
    resolution : float, optional
        Å, at most.
    score : float, optional
        At least; a class without one misses it.
    verdicts : iterable of str
        One of these, for a class that has one.
    """
    return {
        tile.number
        for tile in tiles
        if (particles is None or tile.size >= particles)
        and (resolution is None or tile.resolution <= resolution)
        and (score is None or (tile.score is not None and tile.score >= score))
        and (not tile.verdict or tile.verdict in verdicts)
    }


class Choice:
    """Which classes are chosen, by their numbers, which stay while a stream grows.

    Until the user has chosen, these are the good ones, whichever they are by then.  A class that has no particles for
    a while is chosen again when it has some.

    Parameters
    ----------
    tiles : iterable of Tile
    numbers : iterable of int, optional
        What was chosen before.
    """

    def __init__(self, tiles=(), numbers=None):
        self._wanted, self._before = None if numbers is None else frozenset(numbers), []
        self.follow(tiles)

    @property
    def numbers(self):
        """Those of the chosen classes that are there."""
        return self._now() & set(self._tiles)

    def _now(self):
        return self._with(VERDICTS[0]) if self._wanted is None else set(self._wanted)

    def follow(self, tiles):
        """The classes are these now."""
        self._tiles = {tile.number: tile for tile in tiles}

    def _with(self, verdict):
        return {number for number, tile in self._tiles.items() if tile.verdict == verdict}

    def toggle(self, number):
        self.put(self._now() ^ {number})

    def put(self, numbers):
        """Choose these and no others."""
        self._change(frozenset(numbers))

    def good(self):
        """The good ones again, now and after later batches."""
        self._change(None)

    def _change(self, wanted):
        self._before.append(self._wanted)
        self._wanted = wanted

    def everything(self):
        self.put(self._tiles)

    def nothing(self):
        self.put(())

    def inverse(self):
        self.put(set(self._tiles) - self.numbers)

    def undo(self):
        """What was chosen before."""
        if self._before:
            self._wanted = self._before.pop()

    def particles(self):
        """How many particles the chosen classes hold, and their share of all."""
        number = sum(self._tiles[one].size for one in self.numbers)
        return number, number / max(sum(tile.size for tile in self._tiles.values()), 1)
