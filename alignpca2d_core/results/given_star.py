"""RELION's metadata written back as it was given, with class, angle, origin and score of each particle.

Rows, columns, other blocks and the text of values stay; optics groups keep their numbers.  Where a stream brought
particles from several files, groups that are the same are one, and of those that share a number without being the
same the later gets a free one.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..fourier.rigid_transforms import to_relion
from ..io.star.star_reader import scan
from ..io.verbatim.row_text import TextTable, put_together, take_apart, with_columns, words
from .exported import Exported
from .given_tables import GivenTable
from .result_files import CERTAINTY

GROUP = "rlnOpticsGroup"
NAME = "rlnOpticsGroupName"


def write_given_star(path: Path, exported: Exported) -> list[str]:
    """Write the particles as they came, with what was found of them; returns warnings."""
    around, common, lines, warnings = _together(exported.given)
    lines = itertools.islice(lines, len(exported.particles))  # a stream may have taken in more than it has delivered
    labels, rows = with_columns(lines, common, found_columns(common, exported))
    kept = exported.chosen if exported.is_selection else np.ones(len(exported.particles), dtype=bool)
    put_together(path, around, labels, itertools.compress(rows, kept.tolist()))
    unclassified = int((exported.result.assignments < 0).sum())
    if unclassified and not exported.is_selection:
        warnings.append(f"{unclassified} particles are in no class and have rlnClassNumber 0; --good leaves them out")
    return warnings


def write_given_rows(path: Path, exported: Exported) -> None:
    """Write the chosen particles as they came."""
    around, labels, lines, _ = _together(exported.given)
    put_together(path, around, labels, itertools.compress(lines, exported.chosen.tolist()))


def _together(given: Sequence[GivenTable]) -> tuple[TextTable, list[str], Iterator[bytes], list[str]]:
    """What stands around the rows of all particles, the labels and the rows (n,), and warnings."""
    parts = list(_files(given))
    first, warnings = parts[0][0], []
    common = [label for label in first.labels if all(label in table.labels for table, _ in parts)]
    left_out = sorted({label for table, _ in parts for label in table.labels} - set(common))
    if left_out:
        warnings.append(f"columns that not all particles have are left out: {', '.join(left_out)}")
    groups = OpticsGroups(first)
    pieces = [_in_order(tables, table, common, groups.numbers(table)) for table, tables in parts]
    return groups.extended(first), common, itertools.chain.from_iterable(pieces), warnings + groups.warnings


def _files(given: Sequence[GivenTable]) -> Iterator[tuple[TextTable, list[GivenTable]]]:
    """The tables that stand in the same file one after the other, with what is around them."""
    for _, group in itertools.groupby(given, key=lambda table: (table.path, table.block)):
        tables = list(group)
        yield tables[0].text(), tables


def _in_order(
    tables: Sequence[GivenTable], around: TextTable, labels: Sequence[str], number: dict[bytes, bytes]
) -> Iterator[bytes]:
    """The rows with their values in the order of ``labels``, and new numbers of optics groups where they need one."""
    lines = itertools.chain.from_iterable(table.lines() for table in tables)
    if list(labels) == list(around.labels) and not number:
        yield from lines
        return
    places = [around.labels.index(label) for label in labels]
    group = labels.index(GROUP) if number and GROUP in labels else None
    for line in lines:
        values = words(line, len(around.labels))
        chosen = [values[place] for place in places]
        if group is not None:
            chosen[group] = number.get(chosen[group], chosen[group])
        yield b" ".join(chosen)


def found_columns(labels: Sequence[str], exported: Exported) -> dict[str, NDArray[Any]]:
    """What was found of the n particles, under RELION's labels: origins in Å, or in pixels where the table has such."""
    rates, result = exported.metadata_pixel_sizes, exported.result
    psi, x, y = to_relion(result.poses, rates)
    used = result.assignments >= 0
    columns: dict[str, NDArray[Any]] = {"rlnAnglePsi": np.where(used, psi, 0.0)}
    in_pixels = "rlnOriginX" in labels or "rlnOriginY" in labels
    if "rlnOriginXAngst" in labels or (GROUP in labels and not in_pixels):
        columns |= {"rlnOriginXAngst": np.where(used, x, 0.0), "rlnOriginYAngst": np.where(used, y, 0.0)}
    if in_pixels or not (GROUP in labels or "rlnOriginXAngst" in labels):
        columns |= {"rlnOriginX": np.where(used, x / rates, 0.0), "rlnOriginY": np.where(used, y / rates, 0.0)}
    columns["rlnClassNumber"] = result.assignments + 1
    columns["rlnParticleFigureOfMerit"] = np.where(used, result.score, np.float32(0))
    if CERTAINTY in exported.particles.table:
        columns["rlnMaxValueProbDistribution"] = exported.particles.table[CERTAINTY]
    return columns


class OpticsGroups:
    """The optics groups of several files, beginning with those of the first.

    Parameters
    ----------
    first : TextTable
    """

    def __init__(self, first: TextTable) -> None:
        self.warnings: list[str] = []
        self._table = _optics(first.path)
        self._labels = list(self._table.labels) if self._table is not None else []
        self._rows = [] if self._table is None else [words(line, len(self._labels)) for line in self._table.lines()]
        self._known, self._path = len(self._rows), first.path
        place = self._labels.index(GROUP) if GROUP in self._labels else 0
        self._number_of = {_without(row, place): row[place] for row in self._rows}

    def numbers(self, table: TextTable) -> dict[bytes, bytes]:
        """The numbers of a file's groups that are to be others, after taking its groups in."""
        if self._table is None or table.path == self._path or GROUP not in self._labels:
            return {}
        optics, changed = _optics(table.path), {}
        if optics is None or set(optics.labels) != set(self._labels):
            self.warnings.append(f"{table.path.name}: its optics groups have other columns and are left out")
            return {}
        places, place = [optics.labels.index(label) for label in self._labels], self._labels.index(GROUP)
        for line in optics.lines():
            values = words(line, len(self._labels))
            row = [values[k] for k in places]
            own = row[place]
            rest = _without(row, place)
            if rest not in self._number_of:
                row[place] = self._number_of[rest] = self._free_number(own, place)
                self._rows.append(self._with_own_name(row))
            if self._number_of[rest] != own:
                changed[own] = self._number_of[rest]
        if changed:
            pairs = ", ".join(f"{old.decode()} is now {new.decode()}" for old, new in changed.items())
            self.warnings.append(f"optics groups of several files have the same number: {pairs}")
        return changed

    def _free_number(self, own: bytes, place: int) -> bytes:
        """The number of a group that is new, where no other has it, else a free one."""
        taken = {known[place] for known in self._rows}
        candidates = itertools.chain([own], (b"%d" % number for number in itertools.count(1)))
        return next(number for number in candidates if number not in taken)

    def _with_own_name(self, row: list[bytes]) -> list[bytes]:
        """The row, under a name that no other group has."""
        if NAME in self._labels:
            place = self._labels.index(NAME)
            taken = {known[place] for known in self._rows}
            tried = itertools.chain([row[place]], (b"%b_%d" % (row[place], k) for k in itertools.count(2)))
            row[place] = next(name for name in tried if name not in taken)
        return row

    def extended(self, first: TextTable) -> TextTable:
        """The first file around its particles, with the groups of the others too."""
        if self._table is None or len(self._rows) == self._known:
            return first
        new = b"".join(b"\n" + b" ".join(row) for row in self._rows[self._known :])
        at = self._table.stop
        if at <= len(first.prefix):
            prefix = first.prefix[:at] + new + first.prefix[at:]
            return TextTable(**{**vars(first), "prefix": prefix})
        at -= first.stop
        return TextTable(**{**vars(first), "suffix": first.suffix[:at] + new + first.suffix[at:]})


def _without(row: Sequence[bytes], place: int) -> tuple[bytes, ...]:
    return (*row[:place], *row[place + 1 :])


def _optics(path: Path) -> TextTable | None:
    """The table of optics groups in a file."""
    found = any(block.name == "optics" and block.labels for block in scan(path))
    return take_apart(path, "optics") if found else None
