"""Pictures of a result, where Pillow is installed; where they fail, the classes are written all the same."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..io.output_folder import GALLERY, REPORT
from ..io.particle_set import ParticleSet
from ..results.result_files import Classification


def draw(
    directory: Path, particles: ParticleSet, classification: Classification, summary: Mapping[str, Any]
) -> list[str]:
    """Make gallery and report in a folder of results; returns warnings about what could not be made."""
    try:
        from ..report import write_pictures
    except ImportError as error:
        return [f"{GALLERY} and {REPORT} are not made: {error}"]
    try:
        return write_pictures(directory, particles, classification, summary)
    except Exception as error:
        return [f"{GALLERY} or {REPORT} is not made: {type(error).__name__}: {error}"]
