"""What a classifier found, in the units and conventions of the files, and what is to be said of it."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .. import __version__
from ..alignment.matches import Matches
from ..averaging.class_averages import Averages
from ..classification.classifier import Classifier
from ..fourier.band import Band
from ..fourier.rigid_transforms import Poses
from ..fourier.ring_correlation import resolution_angstrom
from ..io.given_poses import given_poses, poses_wanted
from ..preprocessing.defect_warnings import warnings_of_defects
from ..preprocessing.prepared_run import Run
from ..preprocessing.preprocess import Whitening
from .class_quality import ScoreMoments, judge
from .consistency_checks import distinct_views
from .contrast_check import CLEARLY, MOSTLY_DARK, densities, opposite_contrasts
from .result_files import Classification


@dataclass(frozen=True)
class Curves:
    """FRC of the halves of k classes, (k, rings) float64 each, on the CPU.

    Attributes
    ----------
    delivered : Tensor
        At the poses that are delivered, within the band; verdicts rest on it.
    stated : Tensor
        What the resolution is read from, within the band or up to Nyquist.
    """

    delivered: Tensor
    stated: Tensor


def warn_of(result: Classification, classifier: Classifier, run: Run) -> None:
    """Say what is odd about a result, with the remedy."""
    warn, wanted = run.progress.warn, classifier.settings.classes
    source = classifier.source
    repaired, damaged = int((source.repaired & source.usable).sum()), int(source.damaged.sum())
    for line in warnings_of_defects(repaired, damaged):
        warn(line)
    unusable = int((run.particles.enabled & ~source.usable & ~source.damaged).sum())
    if unusable:
        warn(f"{unusable} particles set aside: constant, or with NaN")
    sieved = classifier.separated_.sieved
    if sieved:
        where = f"class {int(result.assignments[classifier.source.sieved_rows[0]]) + 1}"
        run.progress.say(
            f"{sieved:,} images look like contaminants, ice or the edge of the film: set aside in {where}; "
            "--no-sieve classifies them like the others"
        )
    left_out = int((run.particles.enabled & source.usable & (result.assignments < 0)).sum())
    if left_out:
        more = "give one more with --classes, or --no-sieve"
        warn(f"{left_out:,} images look like contaminants, ice or the edge of the film and are in no class: {more}")
    if len(result) < wanted:
        warn(f"--classes {wanted}: only {len(result)} particles could be used, one class each")
    message = opposite_contrasts(result, run.particles)
    if message:
        warn(message)
    if looks_inverted(result):
        warn("the averages are darker than their background: if these are particles, run with --invert")


def grey_averages(average: Averages, whitening: Whitening, band: Band) -> torch.Tensor:
    """Class averages (k, box, box) in grey values: background deviation 1, CTF corrected, masked."""
    scale = whitening.noise / whitening.ctf_square.sqrt()
    return band.to_images(average.mean * scale[band.ring])


def poses_of(best: Matches) -> Poses:
    """The poses of the best matches (n, 1) as Xmipp's transforms of the particles."""
    angle, x, y = (v[:, 0].double().cpu().numpy() for v in (best.angle, best.shift_x, best.shift_y))
    cosine, sine = np.cos(angle), np.sin(angle)
    return Poses((np.rad2deg(angle) + 180.0) % 360.0 - 180.0, -(cosine * x + sine * y), -(cosine * y - sine * x))


def whole_curves(frc: NDArray[np.float64], box: int) -> NDArray[np.float64]:
    """FRC curves (k, rings of the band) up to Nyquist, (k, box // 2 + 1): zero where nothing was compared."""
    curves = np.zeros((len(frc), box // 2 + 1))
    width = min(frc.shape[1], curves.shape[1])
    curves[:, :width] = frc[:, :width]
    return curves


def as_classification(classifier: Classifier, run: Run) -> Classification:
    """The classifier's result in the conventions of the files; largest class first, or in the order given."""
    average, order = classifier.model_.averages(), classifier.order()
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order), device=order.device)
    count = len(run.particles)
    rows, best = classifier.members_.rows, classifier.placement_.matches
    assignments = np.full(count, -1, dtype=np.int64)
    assignments[rows] = rank[best.classes[:, 0]].cpu().numpy()
    columns = np.zeros((6, count))
    found, placement = poses_of(best), classifier.placement_
    figures = (placement.score, placement.certainty, placement.misfit)
    score, certainty, misfit = (figure.double().cpu().numpy() for figure in figures)
    columns[:, rows] = (found.psi_deg, found.shift_x_px, found.shift_y_px, score, certainty, misfit)
    poses = Poses(columns[0], columns[1], columns[2]).scaled(run.reader.pixels_per_grid_pixel)
    given = given_poses(run.particles, poses_wanted(run.settings), run.sampling_rate)
    curves = Curves(*(frc[order].double().cpu() for frc in (average.frc, classifier.shown_.frc)))
    sizes = average.sizes[order].long().cpu().numpy()
    moments, aside = ScoreMoments.of(score, assignments[rows], len(order)), classifier.model_.is_aside
    images = grey_averages(average, classifier.source.whitening, classifier.band) + classifier.shown_.finer
    return replace(
        judged_classes(run, images[order].cpu().numpy(), curves, sizes, moments, aside[order].cpu().numpy()),
        assignments=assignments,
        poses=poses if given is None else given.delivered(poses),
        flip=None if given is None else given.flip,
        score=columns[3].astype(np.float32),
        certainty=columns[4].astype(np.float32),
        misfit=columns[5].astype(np.float32),
    )


def judged_classes(
    run: Run,
    images: NDArray[np.float32],
    curves: Curves,
    sizes: NDArray[np.int64],
    moments: ScoreMoments,
    aside: NDArray[np.bool_],
) -> Classification:
    """Classes by themselves, without their particles, in the conventions of the files.

    Parameters
    ----------
    run : Run
    images : (k, box, box)
        Averages in grey values.
    curves : Curves
    sizes : (k,)
    moments : ScoreMoments
    aside : (k,)
        Which are of images that were set aside.
    """
    resolution = resolution_angstrom(curves.stated, run.reader.box, run.sampling_rate).numpy()
    verdicts = judge(curves.delivered.numpy(), sizes, moments, images, aside).within(run.settings, resolution, sizes)
    none = np.zeros(0)
    return Classification(
        assignments=none.astype(np.int64),
        poses=Poses(none, none, none),
        score=none.astype(np.float32),
        averages=images,
        sizes=sizes,
        resolution_angstrom=resolution,
        quality=verdicts.quality,
        frc=whole_curves(curves.stated.numpy(), run.reader.box),
        verdicts=verdicts,
    )


def looks_inverted(result: Classification) -> bool:
    """Whether most particles lie in averages whose middle is darker than the background around it."""
    density = densities(result.averages)
    return float(result.sizes @ (density < -CLEARLY)) > MOSTLY_DARK * float(result.sizes.sum())


def counts(run: Run, result: Classification, classifier: Classifier) -> dict[str, int]:
    """What became of the particles."""
    enabled, source, failed = int(run.particles.enabled.sum()), classifier.source, int(run.particles.failed.sum())
    return {
        "particles": len(run.particles),
        "classified": int((result.assignments >= 0).sum()),
        "disabled": len(run.particles) - enabled - failed,
        "unusable": int((run.particles.enabled & ~source.usable).sum()) + failed,
        "classes": len(result),
        "views": distinct_views(classifier),
        "failed_ctf": failed,
        "damaged": int(source.damaged.sum()),
        "repaired": int((source.repaired & source.usable).sum()),
        "recovered": classifier.separated_.recovered,
        "set_aside": classifier.separated_.set_aside,
        "sieved": classifier.separated_.sieved,
    }


def described(run: Run) -> dict[str, Any]:
    """What else summary.json says of the input: the table that was read, and what images were brought to."""
    origin, grid = run.particles.origin, run.reader.grid
    found: dict[str, Any] = {} if grid is None else {"grid": [grid.box, grid.pixel_size]}
    if origin is not None:
        found |= {"metadata": origin.path.name, "block": origin.block, "dialect": run.particles.dialect}
    return found


def summary(run: Run, counts: dict[str, int]) -> dict[str, Any]:
    """What summary.json says of a run, beside the figures per class."""
    return {
        "program": {
            "alignpca2d": __version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "command": run.progress.command,
        "working_directory": str(Path.cwd()),
        "settings": asdict(run.settings),
        "seed": run.settings.seed,
        "device": str(run.device),
        "input": {
            "file": str(run.particles.source),
            "box": run.reader.box,
            "sampling_rate": run.sampling_rate,
            "ctf": run.ctf,
            **described(run),
        },
        "counts": counts,
        "times": run.progress.times,
        "history": run.progress.history,
        "warnings": run.progress.warnings,
    }
