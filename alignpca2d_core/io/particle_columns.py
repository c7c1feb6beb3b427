"""What the columns of a particle table, and of RELION's optics groups beside it, say of each particle."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..fourier.common_grid import PIXEL_SIZE_TOLERANCE
from ..fourier.ctf import CtfParameters
from .diagnosis.ctf_faults import CtfFaults, faults_of
from .star import column_labels
from .star.star_reader import Table

MICROMETRE_IN_ANGSTROM = 1e4
MOST_RATIO = 8.0
"""Of a particle's pixel size to the usual one: no microscope's particles are extracted at such different scales."""


class ParticleColumns:
    """The meaning of the n rows of a table, whichever program's labels it has.

    Parameters
    ----------
    where : str
        File and block, for messages.
    table : Table
        n rows, one a particle.
    optics : Table
        RELION's optics groups; empty where there are none.
    warnings : list of str
        Corrections that were made are appended here.
    """

    def __init__(self, where: str, table: Table, optics: Table, warnings: list[str]) -> None:
        self._where, self._table, self._optics, self._warnings = where, table, optics, warnings
        self._group = self._optics_rows()

    def enabled(self) -> NDArray[Any]:
        """(n,) bool: False where Xmipp's ``enabled`` is not positive."""
        column = self._numbers(("enabled",))
        return np.ones(len(self._table), dtype=bool) if column is None else column > 0

    def identifiers(self) -> NDArray[Any]:
        """(n,) int64, unique: as given, or 1 to n where none are given or they cannot serve."""
        given = next((self._table[label] for label in column_labels.IDENTIFIER if label in self._table), None)
        sequence = np.arange(1, len(self._table) + 1, dtype=np.int64)
        if given is None:
            return sequence
        if given.dtype.kind == "i" and given.min() > 0 and len(np.unique(given)) == len(given):
            return given
        self._warnings.append(f"{self._where}: identifiers are not unique positive integers; numbered from 1 instead")
        return sequence

    def ctf(self) -> CtfParameters | None:
        """The CTF of each particle, ``None`` where the table has no defocus or something else is missing."""
        found = {name: self._numbers(names) for name, names in column_labels.CTF.items()}
        columns = {name: column for name, column in found.items() if column is not None}
        if "defocus_u" not in columns:
            return None
        columns.setdefault("defocus_v", columns["defocus_u"])
        for optional in ("defocus_angle", "phase_shift"):
            columns.setdefault(optional, np.zeros(len(self._table)))
        missing = ["_{} or _{}".format(*names) for name, names in column_labels.CTF.items() if name not in columns]
        if missing:
            self._warnings.append(f"{self._where}: the CTF is not used, the metadata lacks {', '.join(missing)}")
            return None
        flags = {name: self._numbers(names) for name, names in column_labels.CTF_FLAGS.items()}
        are_set = {name: None if flag is None else flag > 0 for name, flag in flags.items()}
        return CtfParameters(**columns, **are_set)  # type: ignore[arg-type]

    def ctf_faults(self, ctf: CtfParameters | None) -> CtfFaults:
        """The rows whose CTF cannot be used."""
        if ctf is None:
            return CtfFaults(np.zeros(len(self._table), dtype=bool))
        known = (self._table, self._optics)
        labels = {
            field: next(
                label for label in (*names, names[0]) if label == names[-1] or any(label in one for one in known)
            )
            for field, names in column_labels.CTF.items()
        }
        return faults_of(ctf, labels)

    def image_size(self) -> NDArray[Any] | None:
        """(n,) the side of the images as the optics groups state it, pixels."""
        return self._numbers(("rlnImageSize",))

    def pixel_sizes(self) -> NDArray[Any] | None:
        """(n,) Å per pixel of each particle; sizes that differ by no more than 2 % are one, their mean, with a warning.

        Raises
        ------
        InputError
            When a particle's is so far from the others' that it must be a mistake.
        """
        found = self._pixel_size_column()
        if found is None:
            return None
        label, column = found
        good = np.isfinite(column) & (column > 0)
        if not good.any():
            self._warnings.append(f"{self._where}: the pixel size is not a positive number and is not used")
            return None
        low, high, mean, usual = (
            float(figure) for figure in (column.min(), column.max(), column.mean(), _median(column[good]))
        )
        odd = np.flatnonzero(~good | (column > MOST_RATIO * usual) | (column < usual / MOST_RATIO))
        if len(odd):
            row = int(odd[0])
            raise InputError(
                f"{self._where}, row {row + 1}: _{label} {self._value(label, row):g} makes pixels of {column[row]:g} "
                f"Å, where most particles have {usual:g} Å; correct it or leave it out"
            )
        if high - low > PIXEL_SIZE_TOLERANCE * mean:
            return column
        if high - low > 1e-4 * mean:
            self._warnings.append(f"{self._where}: pixel sizes from {low:g} to {high:g} Å taken as {mean:g} Å")
        return np.full(len(column), mean if high > low else low)

    def _pixel_size_column(self) -> tuple[str, NDArray[Any]] | None:
        """The label that tells the pixel size, and Å per pixel, (n,)."""
        for label in column_labels.SAMPLING_RATE:
            column = self._numbers((label,))
            if column is not None:
                return label, column
        detector, magnification = self._numbers(("rlnDetectorPixelSize",)), self._numbers(("rlnMagnification",))
        if detector is None or magnification is None or not (magnification > 0).any():
            return None
        with np.errstate(divide="ignore", invalid="ignore"):
            return "rlnMagnification", MICROMETRE_IN_ANGSTROM * detector / magnification

    def _value(self, label: str, row: int) -> float:
        column = self._numbers((label,))
        assert column is not None
        return float(column[row])

    def _numbers(self, names: Iterable[str]) -> NDArray[Any] | None:
        """(n,) float64: the first of the labels that the table or its optics groups have."""
        for label in names:
            if label in self._table:
                column = self._table[label]
            elif label in self._optics and self._group is not None:
                column = self._optics[label][self._group]
            else:
                continue
            return self._as_float(label, column)
        return None

    def _as_float(self, label: str, column: NDArray[Any]) -> NDArray[Any]:
        try:
            return column.astype(np.float64, copy=False)
        except ValueError:
            row = next(number for number, value in enumerate(column) if not _is_number(value))
            raise InputError(f"{self._where}, row {row + 1}: {label} '{column[row]}' is not a number") from None

    def _optics_rows(self) -> NDArray[Any] | None:
        """(n,) row of each particle's optics group, ``None`` without groups."""
        if not len(self._optics):
            return None
        label = "rlnOpticsGroup"
        if label not in self._table or label not in self._optics:
            if len(self._optics) == 1:
                return np.zeros(len(self._table), dtype=np.intp)
            lacking = "the particles lack" if label not in self._table else "data_optics lacks"
            raise InputError(
                f"{self._where}: there are {len(self._optics)} optics groups, but {lacking} the column _{label} that "
                "says which particle is of which; add it"
            )
        groups = self._as_float(label, self._optics[label])
        members = self._as_float(label, self._table[label])
        order = np.argsort(groups, kind="stable")
        place = np.minimum(np.searchsorted(groups[order], members), len(groups) - 1)
        rows: NDArray[np.intp] = order[place]
        unknown = np.flatnonzero(groups[rows] != members)
        if len(unknown):
            row = int(unknown[0])
            raise InputError(f"{self._where}, row {row + 1}: optics group {members[row]:g} is not in data_optics")
        return rows


def _median(column: NDArray[Any]) -> float:
    """The middle one of the values, not the mean of two."""
    return float(np.sort(column)[len(column) // 2])


def _is_number(value: object) -> bool:
    try:
        float(str(value))
    except ValueError:
        return False
    return True
