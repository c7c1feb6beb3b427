"""The folder that a classification writes into: the names of its files, and making it."""

from __future__ import annotations

import json
from pathlib import Path

from ..errors import InputError
from .particle_set import ParticleSet

PARTICLES, CLASSES, AVERAGES = "particles.xmd", "classes.xmd", "classes.mrcs"
GALLERY, REPORT, SUMMARY = "gallery.png", "report.html", "summary.json"
PROJECTIONS, MAP_VIEWS = "projections.mrcs", "map_views.json"
"""What ``report --map`` adds: projections of the map beside the averages, and which views of it these are."""
STATE = "state"
CHANGED = "changed.xmd"
"""The rows of ``particles.xmd`` that the last ``update`` brought or changed."""


def make_output_directory(directory: Path, particles: ParticleSet) -> None:
    """Make the folder for the results, which must not be where the input would be overwritten."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--output {directory}: {error.strerror or error}") from error
    for name in (PARTICLES, CLASSES, AVERAGES):
        for used in (particles.source, *particles.stacks):
            if (directory / name).exists() and used.exists() and (directory / name).samefile(used):
                raise InputError(f"--output {directory}: {used} is the input and would be overwritten")


def check_references_stay(directory: Path, references: Path) -> None:
    """Whether class averages that are given, a file or a folder of results, are not what the results will replace.

    Raises
    ------
    InputError
        When they are.
    """
    for name in (PARTICLES, CLASSES, AVERAGES):
        written = directory / name
        given = references / name if references.is_dir() else references
        if written.exists() and given.exists() and written.samefile(given):
            raise InputError(
                f"--references {references}: lies in --output {directory} and would be overwritten; "
                "choose another folder for the results"
            )


def require_results(directory: Path) -> None:
    """Whether a folder holds a finished classification.

    Raises
    ------
    InputError
        When it does not: the line says what was given instead, or what is missing.
    """
    if not directory.exists():
        raise InputError(f"{directory}: there is no such folder")
    if not directory.is_dir():
        raise InputError(f"{directory}: is a file; give the folder of results that classify, update or assign wrote")
    absent = [name for name in (PARTICLES, CLASSES, AVERAGES, SUMMARY) if not (directory / name).exists()]
    if not absent:
        return
    if SUMMARY not in absent:
        missing = _missing_of_stream(directory / SUMMARY)
        if missing is not None:
            raise InputError(f"{directory}: no classes yet, {missing} particles are missing")
    if SUMMARY in absent and (directory / STATE).is_dir():
        raise InputError(f"{directory}: holds a run that has not ended; end it first (the same command with --resume)")
    below = sorted(one.parent.name for one in directory.glob(f"*/{SUMMARY}"))
    hint = f"; {directory / below[0]} has" if below else ""
    raise InputError(f"{directory}: holds no results of classify, update or assign (no {', '.join(absent)}){hint}")


def _missing_of_stream(path: Path) -> object:
    """How many particles a stream waits for before its classes start; None where it is none, or has them."""
    try:
        stream = json.loads(path.read_text(encoding="utf-8")).get("stream")
    except (OSError, ValueError, AttributeError):
        return None
    return stream.get("missing", "some") if isinstance(stream, dict) and not stream.get("batch") else None
