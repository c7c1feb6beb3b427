"""``subdivide``: some classes of a folder of results classified again on their own, into a folder of their own."""

from __future__ import annotations

import argparse
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..choosing.selection import selection_of
from ..classification.choose_method import make_classifier
from ..errors import InputError
from ..io.given_poses import GivenPoses
from ..io.output_folder import SUMMARY
from ..preprocessing.prepared_run import Run
from ..results.exported import Exported, read_exported
from ..results.part_of_results import chosen_particles
from ..runtime.progress import Progress
from ..settings import SubdivisionSettings
from ..state.lock import check_not_in_use
from .classify import carry_out, check_output
from .options import settings_after

LONGEST_NAME = 60
"""Letters of the name of a folder that is made of the classes."""


def output_folder(directory: Path, classes: str | None) -> Path:
    """Where the results go if nothing else is said: beside those that they come from, named after the classes.

    Raises
    ------
    InputError
        When the classes are too many for a name.
    """
    name = Path(classes or "").stem if str(classes).endswith(".json") else re.sub(r"\s", "", classes or "")
    name = re.sub(r"[^\w.-]+", "_", name)
    if len(name) > LONGEST_NAME:
        raise InputError("subdivide: the classes are too many to name a folder after them; give --output")
    return directory.parent / f"{directory.resolve().name}-classes-{name}"


def subdivide(arguments: argparse.Namespace, directory: Path, wanted: SubdivisionSettings, progress: Progress) -> None:
    """Classify the particles of some classes again, and write what the seam names into ``directory``.

    Parameters
    ----------
    arguments : Namespace
        The words of the command line: ``arguments.directory`` holds the earlier results.
    directory : Path
    wanted : SubdivisionSettings
    progress : Progress

    Raises
    ------
    InputError
        When there are no such results or classes, or they hold fewer particles than classes are asked for.
    """
    earlier = Path(arguments.directory)
    exported, classes = chosen(earlier, wanted)
    count = int(exported.chosen.sum())
    if count < wanted.into:
        raise InputError(f"--into {wanted.into}: the classes of --classes {wanted.classes} hold {count} particles")
    settings = settings_after(arguments, exported.summary["settings"], classes=wanted.into)
    if wanted.poses == "kept" and settings.preset == "paper":
        raise InputError("--poses kept: the preset paper searches for poses; give --preset default")
    check_output(directory, settings)
    said = {"of": str(earlier), "classes": classes, "poses": wanted.poses}
    progress.say(f"{count:,} particles of {len(classes)} classes of {earlier}, into {wanted.into}")
    with tempfile.TemporaryDirectory(prefix="alignpca2d-") as folder:
        particles = chosen_particles(exported, Path(folder))
        if wanted.poses == "kept":
            settings = replace(settings, no_align=True, psi_range=None)
            particles = found_poses(exported).given_to(particles)
        run = Run(particles, settings, progress)
        carry_out(run, make_classifier(run, run.source()), directory, {"subdivided": said})


def found_poses(exported: Exported) -> GivenPoses:
    """The poses of the chosen particles as they are in the results."""
    poses, flip = exported.result.poses[exported.chosen], exported.result.flip
    mirrored = np.zeros(len(poses), dtype=bool) if flip is None else flip[exported.chosen]
    return GivenPoses(poses, mirrored, True)


def chosen(directory: Path, wanted: SubdivisionSettings) -> tuple[Exported, list[int]]:
    """The results with the particles of the classes that are asked for, and the numbers of these.

    Raises
    ------
    InputError
        When there are none, or the folder is being written.
    """
    if wanted.classes is None:
        raise InputError("subdivide: say which classes, such as --classes 3,7-9 or --classes junk")
    check_not_in_use(directory)
    with unchanged(directory):
        exported = read_exported(directory, good_only=False)
    selection = selection_of(wanted.classes, exported.verdicts, "--classes")
    mask = selection.mask(len(exported.result))
    if not (mask[exported.result.assignments] & exported.chosen).any():
        raise InputError(f"--classes {wanted.classes}: no particle is in them")
    return exported.of_classes(mask), sorted(selection.classes)


@contextmanager
def unchanged(directory: Path) -> Iterator[None]:
    """See to it that results are those of one run while they are read.

    Raises
    ------
    InputError
        When they were replaced meanwhile.
    """
    before = written_at(directory)
    yield
    if written_at(directory) != before:
        raise InputError(f"{directory}: has changed while it was read; run the same again")


def written_at(directory: Path) -> tuple[int, int]:
    """Which summary lies there; zeros where there is none."""
    try:
        found = (directory / SUMMARY).stat()
    except OSError:
        return 0, 0
    return found.st_ino, found.st_mtime_ns
