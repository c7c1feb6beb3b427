"""``gallery.png`` and ``report.html``, written into a folder of results, at the end of a run or later."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..io.atomic_files import atomic_path
from ..io.output_folder import GALLERY, REPORT, SUMMARY, require_results
from ..io.particle_set import ParticleSet
from ..maps.map_views import compare_with_map, write_map_views
from ..results.result_files import Classification, low_passed, read_results
from ..settings import ReportSettings
from .content import Subject, content
from .gallery import captions_of, write_gallery
from .page import page


def write_pictures(
    directory: str | Path, particles: ParticleSet, classification: Classification, summary: Mapping[str, Any]
) -> list[str]:
    """Write ``gallery.png`` and ``report.html`` into a folder of results; returns what could not be shown.

    Parameters
    ----------
    directory : str or Path
        Also where the state is looked for.
    particles : ParticleSet
    classification : Classification
        Of these particles.
    summary : mapping
        What ``summary.json`` says.
    """
    directory = Path(directory)
    shown = low_passed(classification.averages, classification.frc)
    subject = Subject(directory, particles, classification, summary)
    write_gallery(directory / GALLERY, shown, captions_of(classification, subject.sampling_rate, subject.verdicts))
    found, missing = content(subject)
    with atomic_path(directory / REPORT) as temporary:
        temporary.write_text(page(found), encoding="utf-8", errors="replace")
    return missing


def report_on(directory: str | Path, settings: ReportSettings | None = None) -> tuple[Path, list[str]]:
    """Make the pictures of a folder of results again; returns the report's path and what could not be shown.

    With a map the averages are compared with its projections first; that is kept for later reports.

    Raises
    ------
    InputError
        When the folder holds no classification, or there is something wrong with the map.
    """
    directory = Path(directory)
    require_results(directory)
    summary = _read_summary(directory)
    particles, classification = read_results(directory)
    if settings is not None and settings.map is not None:
        rate = Subject(directory, particles, classification, summary).sampling_rate
        if rate is None:
            raise InputError(f"--map {settings.map}: the pixel size of the averages in {directory} is not known")
        views = compare_with_map(classification, rate, Path(settings.map), settings.symmetry)
        write_map_views(directory, views, classification.averages, rate)
    return directory / REPORT, write_pictures(directory, particles, classification, summary)


def _read_summary(directory: Path) -> dict[str, Any]:
    path = directory / SUMMARY
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}), so {directory} holds no finished result") from error
    if not isinstance(summary, dict):
        raise InputError(f"{path}: is no summary of alignpca2d")
    return summary
