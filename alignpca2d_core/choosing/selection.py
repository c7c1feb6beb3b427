"""A choice of classes: ``selection.json``, as the report and Scipion's windows write it, or 1,4-9, or verdicts."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..results.class_quality import VERDICTS

SELECTION = "selection.json"
MOST_BYTES = 1 << 24
_NUMBERS = re.compile(r"[\d,\-\s]+")
_RANGE = re.compile(r"(\d+)(?:-(\d+))?")


@dataclass(frozen=True)
class Selection:
    """Chosen classes.

    Parameters
    ----------
    classes : frozenset of int
        Their numbers, from 1.  In a stream they stay those of their classes.
    version : int
        Which choice it is, from 1, where choices follow one another.
    said_by : str
        Where it comes from, for messages.
    """

    classes: frozenset[int]
    version: int = 1
    said_by: str = ""

    def mask(self, count: int) -> NDArray[np.bool_]:
        """Which of ``count`` classes are chosen, (count,).

        Raises
        ------
        InputError
            When there is no class of a number.
        """
        absent = sorted(number for number in self.classes if not 1 <= number <= count)
        if absent:
            noun, verb = ("class", "is") if len(absent) == 1 else ("classes", "are")
            listed = ", ".join(map(str, absent[:5])) + (" ..." if len(absent) > 5 else "")
            raise InputError(f"{self.said_by}: {noun} {listed} {verb} not there; the results have 1 to {count}")
        mask = np.zeros(count, dtype=bool)
        mask[[number - 1 for number in self.classes]] = True
        return mask


def selection_of(text: str, verdicts: Sequence[str] = (), option: str = "--select") -> Selection:
    """The choice that an option states: numbers, ranges such as ``1,4-9``, verdicts, or the name of a selection.json.

    Parameters
    ----------
    text : str
    verdicts : sequence of str
        Of the classes, in their order.
    option : str
        For messages.

    Raises
    ------
    InputError
        When it is none of these, or no class has the verdict.
    """
    words = {word.strip() for word in text.split(",")}
    if words <= set(VERDICTS):
        having = frozenset(number for number, verdict in enumerate(verdicts, start=1) if verdict in words)
        if not having:
            raise InputError(f"{option} {text}: no class has that verdict")
        return Selection(having, said_by=f"{option} {text}")
    if not _NUMBERS.fullmatch(text):
        return read_selection(Path(text), option)
    numbers: set[int] = set()
    for part in text.replace(" ", "").split(","):
        found = _RANGE.fullmatch(part)
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
        if last < first or last >= 10**6:
            raise InputError(f"{option} {text}: {part or 'nothing'} between commas is no class or range; write 1,4-9")
        numbers.update(range(first, last + 1))
    return Selection(frozenset(numbers), said_by=f"{option} {text}")


def read_selection(path: Path, option: str = "--select") -> Selection:
    """Read a selection.json.

    Raises
    ------
    InputError
        When there is none, or it is something else, or nothing is chosen in it.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise InputError(f"{path}: is too large for a selection.json")
        said = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        why = error.strerror or error
        raise InputError(f"{option} {path}: {why}; give a selection.json or numbers such as 1,4-9") from error
    except ValueError as error:
        raise InputError(f"{path}: is no selection.json ({error})") from error
    numbers = said.get("classes") if isinstance(said, dict) else None
    if not isinstance(numbers, list) or any(type(number) is not int for number in numbers):
        raise InputError(f'{path}: is no selection.json: no list of numbers under "classes"')
    if not numbers:
        raise InputError(f"{path}: no class is chosen in it")
    version = said.get("version", 1)
    return Selection(frozenset(numbers), version if type(version) is int else 1, str(path))
