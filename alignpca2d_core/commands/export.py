"""``export``: a folder of results in the formats of other programs."""

from __future__ import annotations

from pathlib import Path

from ..choosing.selection import selection_of
from ..errors import InputError
from ..results.coordinates_export import write_coordinates
from ..results.cryosparc_export import write_cryosparc
from ..results.exported import read_exported
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
    exported = read_exported(directory, settings.good)
    if settings.select is not None:
        exported = exported.of_classes(selection_of(settings.select).mask(len(exported.result)))
    paths, warnings = write_relion(exported)
    if settings.cs:
        more, said = write_cryosparc(exported)
        paths, warnings = [*paths, *more], [*warnings, *said]
    if settings.coordinates:
        more, said = write_coordinates(exported, settings.minimum_distance, settings.micrograph_sampling_rate)
        paths, warnings = [*paths, *more], [*warnings, *said]
    return paths, warnings
