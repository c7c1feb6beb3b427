"""The classes of a result as a table for the terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MOST_ROWS = 25
"""Lines that a table may take; more classes stand side by side, and beyond that the smallest are counted only."""
GAP = "   "


@dataclass(frozen=True)
class Row:
    """What is said of one class."""

    number: int
    size: int
    share: float
    resolution: float | None
    quality: float | None
    verdict: str

    def full(self) -> str:
        quality = f"{self.quality:8.2f}" if self.quality is not None else f"{'-':>8s}"
        line = f"{self.number:6d} {self.size:10,d} {self.share:7.1%} {self._resolution():>11s} {quality}"
        return f"{line}  {self.verdict}".rstrip()

    def short(self) -> str:
        return f"{self.number:5d} {self.size:9,d} {self._resolution():>7s} {self.verdict:<8s}"

    def _resolution(self) -> str:
        return f"{self.resolution:.1f} Å" if self.resolution is not None else "-"


FULL_HEADING = f"{'class':>6s} {'particles':>10s} {'share':>7s} {'resolution':>11s} {'quality':>8s}"
SHORT_HEADING = f"{'class':>5s} {'particles':>9s} {'res.':>7s} {'':<8s}"


def first_line(summary: Mapping[str, Any], report: Path | None) -> str:
    """What there is and where to look at it: distinct views, classes, particles, the report.

    Parameters
    ----------
    summary : mapping
        ``summary.json``.
    report : Path or None
        None where there is no report.
    """
    sizes = [int(size) for size in summary["classes"]["size"]]
    views = summary.get("counts", {}).get("views")
    classes = f"{len(sizes)} {'class' if len(sizes) == 1 else 'classes'}"
    if summary.get("settings", {}).get("references") is not None:
        found = f"{len(sizes)} given {'class' if len(sizes) == 1 else 'classes'}"
    elif views is None:
        found = classes
    else:
        found = f"{views} distinct {'view' if views == 1 else 'views'} in {classes}"
    return f"{found} of {sum(sizes):,} particles" + ("" if report is None else f"; look at {report}")


def class_table(figures: Mapping[str, Any], width: int = 80) -> str:
    """The classes of ``summary.json``, one a line; several side by side where there are many.

    Parameters
    ----------
    figures : mapping
        ``classes`` of ``summary.json``: lists with an entry per class.
    width : int
        Columns of the terminal.
    """
    rows = _rows(figures)
    if len(rows) <= MOST_ROWS:
        verdict = "  verdict" if any(row.verdict for row in rows) else ""
        lines = [FULL_HEADING + verdict, *(row.full() for row in rows)]
    else:
        lines = _side_by_side(rows, width)
    return "\n".join([*lines, _last_line(rows)])


def _rows(figures: Mapping[str, Any]) -> list[Row]:
    sizes = [int(size) for size in figures["size"]]
    total = max(1, sum(sizes))

    def column(name: str) -> list[Any]:
        values = figures.get(name)
        return list(values) if values is not None and len(values) == len(sizes) else [None] * len(sizes)

    resolution, quality = ([_finite(value) for value in column(name)] for name in ("resolution_angstrom", "quality"))
    return [
        Row(number + 1, size, size / total, resolution[number], quality[number], verdict or "")
        for number, (size, verdict) in enumerate(zip(sizes, column("verdict"), strict=True))
    ]


def _finite(value: Any) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


def _side_by_side(rows: list[Row], width: int) -> list[str]:
    columns = max(1, (width + len(GAP)) // (len(SHORT_HEADING) + len(GAP)))
    shown = rows[: columns * MOST_ROWS]
    height = math.ceil(len(shown) / columns)
    lines = [GAP.join([SHORT_HEADING] * math.ceil(len(shown) / height)).rstrip()]
    lines += [GAP.join(row.short() for row in shown[start::height]).rstrip() for start in range(height)]
    if len(shown) < len(rows):
        rest = rows[len(shown) :]
        lines.append(f"... and {len(rest)} more classes with {sum(row.size for row in rest):,} particles (classes.xmd)")
    return lines


def _last_line(rows: list[Row]) -> str:
    """All classes in one line."""
    sizes = sorted(row.size for row in rows)
    finest = sorted(row.resolution for row in rows if row.resolution is not None)
    classes = "1 class" if len(rows) == 1 else f"{len(rows)} classes"
    parts = [f"{classes} of {_range(f'{sizes[0]:,}', f'{sizes[-1]:,}')} particles"]
    if finest:
        middle = f" (median {finest[len(finest) // 2]:.1f})" if len(finest) > 2 else ""
        parts.append(f"{_range(f'{finest[0]:.1f}', f'{finest[-1]:.1f}')} Å{middle}")
    verdicts = [row.verdict for row in rows if row.verdict]
    parts += [f"{verdicts.count(verdict)} {verdict}" for verdict in ("good", "doubtful", "junk") if verdicts]
    return ", ".join(parts)


def _range(low: str, high: str) -> str:
    return low if low == high else f"{low} to {high}"
