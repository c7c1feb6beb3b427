"""What is wrong with the CTF of particles: values that programs write where an estimation failed, and wrong units."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ...fourier.ctf import FLAGS, CtfParameters

Rows = NDArray[np.bool_]

ABSURD_DEFOCUS = 1e6
"""Å; a tenth of a millimetre."""
ABSURD_VOLTAGE, ABSURD_ABERRATION = 3e3, 100.0
"""kV and mm; no microscope comes near."""
TINY_DEFOCUS = 100.0
"""Å; with less, and no phase plate, nothing would be seen: the estimation failed, or the unit is another."""
FAILED_DEFOCUS = (-999.0, -1.0, 0.0)
"""What is written where there is no defocus: Xmipp and Scipion -999, others -1 and 0."""


@dataclass(frozen=True)
class CtfFaults:
    """Rows whose CTF cannot be used.

    Parameters
    ----------
    rows : (n,) bool array
    what : str
        Column and value of the first of them, and what is wrong with it.
    doubt : str
        What else is odd about the CTF; empty where nothing is.
    """

    rows: Rows
    what: str = ""
    doubt: str = ""

    def among(self, enabled: Rows) -> CtfFaults:
        """Those of the rows that would be used."""
        return replace(self, rows=self.rows & enabled)

    def warnings(self, where: object) -> list[str]:
        """Lines about the rows that are set aside, and about what is odd."""
        found = [f"{where}: {self.doubt}"] if self.doubt else []
        if self.rows.any():
            rows = f"{self.rows.sum()} rows (the first is {self.rows.argmax() + 1})"
            found.append(
                f"{where}: the CTF of {rows} makes no sense: {self.what}; they are set aside, --ctf none would use them"
            )
        return found

    def refusal(self, where: object) -> InputError:
        """The error that nothing else is left."""
        count, first = int(self.rows.sum()), int(self.rows.argmax())
        others = f", and the CTF of all {count} rows fails" if count > 1 else ""
        return InputError(f"{where}, row {first + 1}: {self.what}{others}; put it right, or run with --ctf none")


def faults_of(ctf: CtfParameters, labels: Mapping[str, str]) -> CtfFaults:
    """The faults of n CTFs; ``labels`` are the columns that the parameters stand in, by field."""
    rows, first = np.zeros(len(ctf), dtype=bool), (len(ctf), "")
    for name, found, why in _kinds(ctf):
        rows |= found
        if found.any() and int(found.argmax()) < first[0]:
            row = int(found.argmax())
            value = getattr(ctf, name)[row]
            first = row, f"_{labels.get(name, name)} {value:g} {_reason(name, value, why)}"
    return CtfFaults(rows, first[1], _odd_unit(ctf, ~rows))


def _kinds(ctf: CtfParameters) -> Iterator[tuple[str, Rows, str]]:
    """Field, the rows (n,) that it is wrong in, and why."""
    for item in fields(ctf):
        if item.name not in FLAGS:
            yield item.name, ~np.isfinite(getattr(ctf, item.name)), "is no number"
    yield "voltage", ~((ctf.voltage > 0) & (ctf.voltage < ABSURD_VOLTAGE)), "is no voltage in kV"
    yield "spherical_aberration", ~(np.abs(ctf.spherical_aberration) < ABSURD_ABERRATION), "is no aberration in mm"
    yield "amplitude_contrast", ~(np.abs(ctf.amplitude_contrast) <= 1), "is no share from 0 to 1"
    usual = max(np.abs(ctf.defocus_u).max(initial=0.0), np.abs(ctf.defocus_v).max(initial=0.0)) >= TINY_DEFOCUS
    for name in ("defocus_u", "defocus_v"):
        defocus = getattr(ctf, name)
        yield name, np.abs(defocus) >= ABSURD_DEFOCUS, "is no defocus in Å"
        failed = np.isin(defocus, FAILED_DEFOCUS) & ((defocus < 0) | (ctf.phase_shift == 0))
        # Others that are as small may be in micrometres, unless there are large ones beside them.
        failed |= usual & (np.abs(defocus) < TINY_DEFOCUS) & (ctf.phase_shift == 0)
        yield name, failed, "says that the estimation failed"


def _reason(name: str, value: float, why: str) -> str:
    if name == "voltage" and ABSURD_VOLTAGE <= value / 10 < 1e3 * ABSURD_VOLTAGE:
        return f"{why} (in volts? then it is {value / 1000:g})"
    return why


def _odd_unit(ctf: CtfParameters, usable: Rows) -> str:
    """That all of the defocus is too small to be in Å."""
    largest = float(np.abs(ctf.defocus_u[usable]).max(initial=0.0))
    if not usable.any() or largest >= TINY_DEFOCUS or bool((ctf.phase_shift[usable] != 0).any()):
        return ""
    return (
        f"no defocus is above {largest:g} Å: if they are not in Å, the CTF is wrong; put them right, or run with "
        "--ctf none"
    )
