"""The folder that a classification writes into: the names of its files, and making it."""

from __future__ import annotations

from pathlib import Path

from ..errors import InputError
from .particle_set import ParticleSet

PARTICLES, CLASSES, AVERAGES = "particles.xmd", "classes.xmd", "classes.mrcs"
GALLERY, REPORT, SUMMARY = "gallery.png", "report.html", "summary.json"
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
