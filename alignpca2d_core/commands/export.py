"""``export``: a folder of results in the formats of other programs."""

from __future__ import annotations

from pathlib import Path

from ..choosing.selection import selection_of
from ..choosing.shares import best_of_each
from ..choosing.superclasses import superclasses_of
from ..errors import InputError
from ..results.coordinates_export import write_coordinates
from ..results.cryosparc_export import write_cryosparc
from ..results.exported import Exported, read_exported
from ..results.relion_export import write_relion
from ..settings import ExportSettings


def export(directory: Path, settings: ExportSettings) -> tuple[list[Path], list[str]]:
    """Write what the settings ask for into a folder of results; returns the files, and warnings.

    Raises
    ------
    InputError
        When the folder holds no results, or the particles lack what is asked for.
    """
    for name in ("minimum_distance", "micrograph_sampling_rate"):
        if getattr(settings, name) is not None and not settings.coordinates:
            raise InputError(f"--{name.replace('_', '-')}: goes with --coordinates")
    exported, said = chosen(read_exported(directory, settings.good), settings)
    paths, warnings = write_relion(exported)
    warnings = [*said, *warnings]
    if settings.cs:
        more, said = write_cryosparc(exported)
        paths, warnings = [*paths, *more], [*warnings, *said]
    if settings.coordinates:
        more, said = write_coordinates(exported, settings.minimum_distance, settings.micrograph_sampling_rate)
        paths, warnings = [*paths, *more], [*warnings, *said]
    return paths, warnings


def chosen(exported: Exported, settings: ExportSettings) -> tuple[Exported, list[str]]:
    """The particles that the settings ask for, by class, then by their number; and what is to be said of that."""
    said: list[str] = []
    if settings.select is not None:
        exported = exported.of_classes(selection_of(settings.select, exported.verdicts).mask(len(exported.result)))
    result, before = exported.result, int(exported.chosen.sum())
    if settings.cap is not None:
        exported = exported.only(best_of_each(result.assignments, result.score, settings.cap, exported.chosen))
        said.append(f"--cap {settings.cap}: {int(exported.chosen.sum()):,} of {before:,} particles are kept")
    if settings.balance is not None:
        before = int(exported.chosen.sum())
        found = superclasses_of(result, settings.mirror)
        group = found.label[result.assignments]
        exported = exported.only(best_of_each(group, result.score, settings.balance, exported.chosen))
        views = len(set(group[exported.chosen].tolist()))
        kept = f"{int(exported.chosen.sum()):,} of {before:,} particles of {views} superclasses are kept"
        said.append(f"--balance {settings.balance}: {kept}")
    return exported, said
