"""Particles of a stream whose images are gone or have changed: they stay where they are, and are counted."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .store.stream_records import Batch

STAY = "they stay where they are"


class Losses:
    """What an update could not read again; however often it tried, each particle counts once."""

    def __init__(self) -> None:
        self._absent: dict[str, NDArray[np.bool_]] = {}
        self._beside: dict[str, NDArray[np.bool_]] = {}
        self._changed: dict[str, NDArray[np.bool_]] = {}
        self._repaired: dict[str, NDArray[np.bool_]] = {}
        self._damaged: dict[str, NDArray[np.bool_]] = {}
        self._why = ""

    def note_absent(self, batch: Batch, rows: NDArray[np.bool_], why: str) -> None:
        """Rows of a batch (n,) that cannot be read, and why the first of them cannot."""
        if rows.any():
            self._absent[batch.name] = rows
            self._why = self._why or why

    def note_changed(self, batch: Batch, rows: NDArray[np.bool_], beside: NDArray[np.bool_]) -> None:
        """Rows of a batch (n,) whose images have changed; those of which that cannot be told."""
        if rows.any():
            self._changed[batch.name] = rows
        if beside.any():
            self._beside[batch.name] = beside

    def note_defects(self, batch: Batch, repaired: NDArray[np.bool_], damaged: NDArray[np.bool_]) -> None:
        """Rows of a new batch (n,) whose images were repaired, and that are set aside because they could not be."""
        if batch.version:
            return
        none = np.zeros(batch.count, dtype=bool)
        self._repaired[batch.name] = self._repaired.get(batch.name, none) | repaired
        self._damaged[batch.name] = self._damaged.get(batch.name, none) | damaged

    def take_defects(self) -> tuple[int, int]:
        """How many images were repaired, and how many could not be; they are not counted again."""
        found = _count(self._repaired), _count(self._damaged)
        self._repaired.clear()
        self._damaged.clear()
        return found

    def of(self, batch: Batch) -> int:
        """Particles of a batch that cannot be read."""
        return int(self._absent[batch.name].sum()) if batch.name in self._absent else 0

    def warnings(self) -> list[str]:
        """A line about those that are gone, and one about those that have changed, where there are any."""
        absent, beside, changed = (_count(rows) for rows in (self._absent, self._beside, self._changed))
        found = []
        if absent:
            others = f", nor can {beside} that came with them be compared again" if beside else ""
            found.append(f"{absent} earlier particles cannot be read any more ({self._why}){others}; {STAY}")
        if changed:
            found.append(f"{changed} earlier particles: their images have changed; {STAY}")
        return found


def _count(rows: dict[str, NDArray[np.bool_]]) -> int:
    return sum(int(one.sum()) for one in rows.values())
