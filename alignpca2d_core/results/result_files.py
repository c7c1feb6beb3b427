"""The files that a classification leaves in its directory, and reading them back.

=================  =====================================================================================
``particles.xmd``  the input's columns and rows, with class, alignment and score of each particle
``classes.xmd``    a row per class, then a block of particles per class, as Xmipp's and Scipion's readers
                   of classes want them
``classes.mrcs``   the class averages
``gallery.png``    the same to look at
``report.html``    everything to look at: averages, curves, the best and worst particles, the run
``summary.json``   what was done, and figures per class
=================  =====================================================================================

The labels are ones that xmippLib knows: ``ref`` is the class from 1 (0: none), ``scoreByAlignability`` the score of a
particle, ``pMax`` how certain its class is, ``zScoreResVar`` (variance of the residual) its misfit, ``resolutionFRC``
the resolution of a class in Å, ``fom`` (figure of merit) its quality.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import InputError
from ..fourier.rigid_transforms import Poses
from ..fourier.ring_correlation import wiener_shrinkage
from ..io.atomic_files import write_json
from ..io.output_folder import AVERAGES, CLASSES, PARTICLES, SUMMARY
from ..io.particle_reading import read_particles
from ..io.particle_set import ParticleSet, particle_table, write_particles
from ..io.stacks import StackReader, write_stack
from ..io.star.star_reader import Table, parse, scan
from ..io.star.star_writer import write_blocks
from .class_quality import ClassVerdicts

CLASS, SCORE, CERTAINTY, MISFIT = "ref", "scoreByAlignability", "pMax", "zScoreResVar"
RESOLUTION, QUALITY = "resolutionFRC", "fom"
LEAST_SHOWN_RINGS = 5.0
"""Fourier pixels that the gallery shows of any average."""
RESULT_LABELS = (CLASS, "anglePsi", "shiftX", "shiftY", "flip", SCORE, CERTAINTY, MISFIT, "enabled")
"""What a classification says of each particle."""
EARLIER_ALIGNMENT = ("angleRot", "angleTilt", "shiftZ")
"""Labels of the input that readers would take for a part of our alignment."""


@dataclass(frozen=True)
class Classification:
    """Classes of n particles, k of them, the largest first.

    Parameters
    ----------
    assignments : (n,) int64 array
        Class of each particle from 0; −1 for a particle that could not be used.
    poses : Poses
        The n transforms that align the particles to their class averages.
    score : (n,) float32 array
        How much better a particle fits its class than noise would, in standard deviations (:mod:`.noise_scores`).
    averages : (k, box, box) float32 array
    sizes : (k,) int64 array
    resolution_angstrom : (k,) float64 array
    quality : (k,) float64 array
    frc : (k, box // 2 + 1) float64 array
        Fourier ring correlation between the halves of each class, by ring.
    certainty : (n,) float32 array or None
        Posterior of a particle's class among those that it fits best (:mod:`.averaging.certainty`); 0 for what was set
        aside.
    misfit : (n,) float32 array or None
        Variance of what a particle's fit leaves, in units of the noise; 0 where nothing was fitted.
    verdicts : ClassVerdicts or None
        What the classes are worth, and why.
    flip : (n,) bool array or None
        Particles that are mirrored along x after their rotation and before their shift; None is none.
    """

    assignments: NDArray[np.int64]
    poses: Poses
    score: NDArray[np.float32]
    averages: NDArray[np.float32]
    sizes: NDArray[np.int64]
    resolution_angstrom: NDArray[np.float64]
    quality: NDArray[np.float64]
    frc: NDArray[np.float64]
    certainty: NDArray[np.float32] | None = None
    misfit: NDArray[np.float32] | None = None
    verdicts: ClassVerdicts | None = None
    flip: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.averages)


Draw = Callable[[Path, ParticleSet, Classification, Mapping[str, Any]], list[str]]
"""What makes the pictures of a result: its folder, particles, classification and summary -> what is missing."""


def write_results(
    directory: str | Path,
    particles: ParticleSet,
    classification: Classification,
    pixel_size: float | None,
    summary: Mapping[str, Any],
    draw: Draw | None = None,
) -> None:
    """Write the files of a classification, each atomically, ``summary.json`` last.

    Parameters
    ----------
    directory : str or Path
        Made where it does not exist.
    particles : ParticleSet
        The n particles of the classification, in its order.
    classification : Classification
    pixel_size : float, Å
        For the header of ``classes.mrcs``.
    summary : mapping
        Goes into ``summary.json``, with figures per class added as ``classes``.
    draw : callable, optional
        Makes the pictures once the classes are written; returns lines on what it could not make.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    table = _assigned(particles, classification)
    write_stack(directory / AVERAGES, classification.averages, pixel_size)
    write_blocks(directory / CLASSES, _class_blocks(table, classification))
    write_particles(directory / PARTICLES, particles, _found(particles, classification))
    complete = {**summary, "classes": class_figures(classification)}
    not_drawn = draw(directory, particles, classification, complete) if draw is not None else ()
    warnings = [*summary.get("warnings", ()), *not_drawn]
    write_json(directory / SUMMARY, {**complete, "warnings": warnings})


def low_passed(averages: NDArray[np.float32], frc: NDArray[np.float64]) -> NDArray[np.float32]:
    """Averages (k, box, box) as they are shown: each ring as strong as its FRC (k, rings) says it is signal."""
    box = averages.shape[-1]
    rows, columns = np.fft.fftfreq(box) * box, np.fft.rfftfreq(box) * box
    ring = np.hypot(rows[:, None], columns).round().astype(np.int64).clip(max=frc.shape[1] - 1)
    share = wiener_shrinkage(torch.from_numpy(frc.astype(np.float32))).numpy()
    # An average without any reproducible ring still shows whether there is something, and how large.
    share = np.maximum(share, np.exp(-((np.arange(share.shape[1]) / LEAST_SHOWN_RINGS) ** 2)))
    spectrum = np.fft.rfft2(averages) * share[:, ring]
    return np.fft.irfft2(spectrum, s=(box, box)).astype(np.float32)


def read_results(directory: str | Path) -> tuple[ParticleSet, Classification]:
    """The particles and the classification that :func:`write_results` left in a directory.

    Raises
    ------
    InputError
        When a file is missing or does not fit the others.
    """
    directory = Path(directory)
    particles = read_particles(directory / PARTICLES)
    per_particle = _required(particles.table, directory / PARTICLES, (CLASS, "anglePsi", "shiftX", "shiftY", SCORE))
    classes = next((parse(block) for block in scan(directory / CLASSES) if block.name == "classes"), Table())
    per_class = _required(classes, directory / CLASSES, ("classCount", RESOLUTION, QUALITY))
    with StackReader(read_particles(directory / AVERAGES)) as reader:
        averages = reader.read(np.arange(len(reader)))
    reference = per_particle[CLASS].astype(np.int64)
    particles.enabled = reference > 0
    if len(averages) != len(classes) or reference.max() > len(averages):
        raise InputError(f"{directory}: {CLASSES}, {AVERAGES} and {PARTICLES} do not belong together")
    return particles, Classification(
        assignments=reference - 1,
        poses=Poses(per_particle["anglePsi"], per_particle["shiftX"], per_particle["shiftY"]),
        score=per_particle[SCORE].astype(np.float32),
        averages=averages,
        sizes=per_class["classCount"].astype(np.int64),
        resolution_angstrom=per_class[RESOLUTION],
        quality=per_class[QUALITY],
        frc=_read_frc(directory / SUMMARY, averages),
        certainty=_figure(particles.table, CERTAINTY),
        misfit=_figure(particles.table, MISFIT),
        flip=particles.table["flip"] > 0 if "flip" in particles.table else None,
    )


def _assigned(particles: ParticleSet, classification: Classification) -> Table:
    """The particles' table with class, alignment and score; what could not be used is disabled, class 0."""
    return particle_table(particles, _found(particles, classification))


def _found(particles: ParticleSet, classification: Classification) -> dict[str, NDArray[Any]]:
    """What is to be written of each particle, by label."""
    one = classification
    figures = {SCORE: one.score, CERTAINTY: one.certainty, MISFIT: one.misfit}
    found = result_columns(one.assignments, one.poses, figures, one.flip)
    return {**found, **no_earlier_alignment(particles)}


def no_earlier_alignment(particles: ParticleSet) -> dict[str, NDArray[Any]]:
    """Zeros in the place of what readers of the particles' own columns would add to our alignment."""
    if particles.dialect != "xmipp":
        return {}
    return {label: np.zeros(len(particles), dtype=np.int64) for label in EARLIER_ALIGNMENT if label in particles.table}


def result_columns(
    assignments: NDArray[np.int64],
    poses: Poses,
    figures: Mapping[str, NDArray[np.float32] | None],
    flip: NDArray[np.bool_] | None = None,
) -> dict[str, NDArray[Any]]:
    """The columns RESULT_LABELS of n particles; those of no class (-1) get zeros and are disabled.

    ``figures`` are score, certainty and misfit (n,) by their labels; zeros where there is none.
    """
    used = assignments >= 0
    columns: dict[str, NDArray[Any]] = {CLASS: np.where(used, assignments + 1, 0)}
    for label, values in (("anglePsi", poses.psi_deg), ("shiftX", poses.shift_x_px), ("shiftY", poses.shift_y_px)):
        columns[label] = np.where(used, values, 0.0)
    columns["flip"] = np.zeros(len(assignments), dtype=np.int64) if flip is None else (used & flip).astype(np.int64)
    for label, figure in figures.items():
        columns[label] = np.where(used, np.float32(0) if figure is None else figure, np.float32(0))
    columns["enabled"] = np.where(used, 1, -1)
    return columns


def _class_blocks(table: Table, classification: Classification) -> Iterator[tuple[str, Table]]:
    """The block of classes, then each class's block of particles."""
    numbers = np.arange(1, len(classification) + 1)
    yield "classes", class_table(classification)
    members = np.argsort(table[CLASS], kind="stable")
    edges = np.searchsorted(table[CLASS][members], np.arange(1, len(classification) + 2))
    for number in numbers:
        yield f"class{number:06d}_images", table.subset(members[edges[number - 1] : edges[number]])


def class_figures(classification: Classification) -> dict[str, list[Any]]:
    """What ``summary.json`` says of each class."""
    figures: dict[str, list[Any]] = {
        "size": classification.sizes.tolist(),
        "resolution_angstrom": np.round(classification.resolution_angstrom, 3).tolist(),
        "quality": np.round(classification.quality, 5).tolist(),
        "frc": np.round(classification.frc, 4).tolist(),
    }
    if classification.verdicts is not None:
        figures |= {"verdict": list(classification.verdicts.verdict), **classification.verdicts.features()}
    return figures


def class_table(classification: Classification) -> Table:
    """The table of classes."""
    numbers = np.arange(1, len(classification) + 1)
    columns: dict[str, NDArray[Any]] = {
        CLASS: numbers,
        "image": np.array([f"{number:06d}@{AVERAGES}" for number in numbers], dtype=object),
        "classCount": classification.sizes,
        RESOLUTION: classification.resolution_angstrom.astype(np.float32),
        QUALITY: classification.quality.astype(np.float32),
    }
    return Table("classes", columns)


def _figure(table: Table, label: str) -> NDArray[np.float32] | None:
    """A column of what was found of each particle; ``None`` where an earlier version has not written it."""
    return table[label].astype(np.float32) if label in table else None


def _required(table: Table, path: Path, labels: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    for label in labels:
        if label not in table or table[label].dtype == object:
            raise InputError(f"{path}: has no column _{label} of numbers, so it is no result of alignpca2d")
    return {label: table[label] for label in labels}


def _read_frc(path: Path, averages: NDArray[Any]) -> NDArray[np.float64]:
    try:
        curves = json.loads(path.read_text(encoding="utf-8"))["classes"]["frc"]
        frc = np.array(curves, dtype=np.float64).reshape(len(averages), averages.shape[1] // 2 + 1)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: has no FRC curves of the classes in {path.with_name(AVERAGES)}") from error
    return frc
