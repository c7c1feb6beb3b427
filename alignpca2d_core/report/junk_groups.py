"""What is in no class of particles, in groups that a person can judge: the junk class's average is a blob of all.

Junk classes hold the images that the sieve set aside before there were classes, those that score like noise, and those
that are clear of noise and yet no single particle.  The score and the misfit of each say which it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..averaging.noise_scores import CLEAR
from ..results.result_files import Classification

MOST_SHOWN = 24
"""Images of a group, spread evenly over the set."""
SIEVED, CLEAR_OF_NOISE, LIKE_NOISE, UNUSED = "sieved", "clear", "noise", "unused"


@dataclass(frozen=True)
class JunkGroup:
    """Images (n,) of one kind, ascending rows, and its name: ``sieved``, ``clear``, ``noise`` or ``unused``."""

    kind: str
    rows: NDArray[np.int64]

    @property
    def shown(self) -> NDArray[np.int64]:
        """Some of them, spread evenly; none of those that may not be readable."""
        if self.kind == UNUSED:
            return self.rows[:0]
        count = len(self.rows)
        return self.rows[np.linspace(0, count - 1, min(count, MOST_SHOWN)).round().astype(int)]


def junk_groups(result: Classification, verdicts: Sequence[Any]) -> list[JunkGroup]:
    """The groups that have images, of particles (n) in classes with these verdicts, (k,).

    Results of earlier versions have no misfits: theirs are told by the score alone.
    """
    junk = np.append([verdict == "junk" for verdict in verdicts], False)[result.assignments]
    compared = np.ones(len(junk), dtype=bool) if result.misfit is None else (result.misfit > 0) | (result.score != 0)
    clear = result.score >= CLEAR
    kinds = {
        SIEVED: junk & ~compared,
        CLEAR_OF_NOISE: junk & compared & clear,
        LIKE_NOISE: junk & compared & ~clear,
        UNUSED: result.assignments < 0,
    }
    return [JunkGroup(kind, np.flatnonzero(among)) for kind, among in kinds.items() if among.any()]
