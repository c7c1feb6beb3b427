"""What an export is about: the particles of a folder of results, and which of them are asked for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..io.output_folder import PARTICLES, SUMMARY, require_results
from ..io.particle_set import ParticleSet
from .class_quality import GOOD
from .given_tables import GivenTable, given_tables
from .result_files import Classification, read_results


@dataclass(frozen=True)
class Exported:
    """n particles of a folder of results.

    Parameters
    ----------
    directory : Path
    particles : ParticleSet
    result : Classification
    summary : mapping
    chosen : (n,) bool array
        The particles in the classes that are asked for; in any class where none are asked for in particular.
    is_selection : bool
        Whether classes were asked for, so that all other particles are left out everywhere.
    given : list of GivenTable
        The metadata that the particles come from.
    """

    directory: Path
    particles: ParticleSet
    result: Classification
    summary: Mapping[str, Any]
    chosen: NDArray[np.bool_]
    is_selection: bool
    given: list[GivenTable]

    @property
    def sampling_rate(self) -> float:
        """Å/px of the class averages."""
        return float(self.summary["input"]["sampling_rate"])

    @property
    def pixel_sizes(self) -> NDArray[np.float64]:
        """Å/px that the particles' shifts are in, (n,)."""
        if self.particles.pixel_sizes is None or self.summary["settings"].get("sampling_rate") is not None:
            return np.full(len(self.particles), self.sampling_rate)
        return np.asarray(self.particles.pixel_sizes)

    @property
    def metadata_pixel_sizes(self) -> NDArray[np.float64]:
        """The same as the particles' own metadata has them, where it does: by these an origin in Å is read, (n,)."""
        if self.particles.pixel_sizes is not None:
            return np.asarray(self.particles.pixel_sizes)
        return np.full(len(self.particles), self.particles.sampling_rate or self.sampling_rate)

    @property
    def verdicts(self) -> Sequence[str]:
        """Of the classes, in their order; none where an older version has given none."""
        return self.summary["classes"].get("verdict") or ()

    def only(self, wanted: NDArray[np.bool_]) -> Exported:
        """The same with no other particles than these (n,) chosen.

        Raises
        ------
        InputError
            When none of them was.
        """
        chosen = self.chosen & wanted
        if not chosen.any():
            raise InputError(f"{self.directory}: no particle is left to export")
        return replace(self, chosen=chosen, is_selection=True)

    def of_classes(self, wanted: NDArray[np.bool_]) -> Exported:
        """The same with no other particles chosen than those of some of the k classes, (k,)."""
        return self.only(wanted[self.result.assignments])

    def is_from(self, dialect: str) -> bool:
        """Whether all particles came as metadata of one program."""
        return bool(self.given) and all(table.dialect == dialect for table in self.given)

    def refuse_mirrored(self) -> None:
        """Raise InputError where particles are mirrored, which no label of other programs says."""
        flip = self.result.flip
        if flip is not None and flip.any():
            raise InputError(
                f"{self.directory / PARTICLES}: {int(flip.sum())} particles are mirrored (flip 1), which labels of "
                "RELION and cryoSPARC cannot say"
            )

    def refuse_to_overwrite(self, path: Path) -> None:
        """Raise InputError where a file to be written is the input."""
        source = Path(self.summary.get("working_directory", "")) / self.summary["input"]["file"]
        if path.exists() and source.exists() and path.samefile(source):
            raise InputError(f"{path}: is what was classified, and would be overwritten; move it away first")


def read_exported(directory: Path, good_only: bool) -> Exported:
    """Read a folder of results for an export.

    Raises
    ------
    InputError
        When the folder holds no results, or has no verdicts where they are needed, or no particle is left.
    """
    require_results(directory)
    particles, result = read_results(directory)
    summary = json.loads((directory / SUMMARY).read_text(encoding="utf-8"))
    chosen = result.assignments >= 0
    if good_only:
        verdicts = summary["classes"].get("verdict")
        if verdicts is None:
            raise InputError(f"{directory / SUMMARY}: has no verdicts on the classes")
        chosen &= (np.array(verdicts) == GOOD)[result.assignments]
    if not chosen.any():
        raise InputError(f"{directory}: no particle is left to export")
    return Exported(directory, particles, result, summary, chosen, good_only, given_tables(directory, summary))
