"""What a classifier found, in the units and conventions of the files, and what is to be said of it."""

from __future__ import annotations

import platform
from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from . import __version__
from .classes import Averages
from .classifier import Classifier
from .given import GivenClasses
from .preprocess import soft_mask
from .resolution import resolution_angstrom
from .results import Classification
from .run import Run
from .source import Source
from .transforms import Poses


def warn_of(result: Classification, classifier: Classifier, run: Run) -> None:
    """Say what is odd about a result, with the remedy."""
    warn, wanted = run.progress.warn, classifier.settings.classes
    unusable = int((run.particles.enabled & ~classifier.source.usable).sum())
    if unusable:
        warn(f"{unusable} particles set aside: constant, or with NaN")
    if len(result) < wanted:
        warn(f"--classes {wanted}: only {len(result)} particles could be used, one class each")
    if looks_inverted(result):
        warn("the averages are darker than their background: if these are particles, run with --invert")


def grey_averages(average: Averages, classifier: Classifier) -> torch.Tensor:
    """Class averages (k, box, box) in grey values: background deviation 1, CTF corrected, masked."""
    whitening = classifier.source.whitening
    scale = whitening.noise / whitening.ctf_square.sqrt()
    return classifier.band.to_images(average.mean * scale[classifier.band.ring])


def as_classification(classifier: Classifier, run: Run) -> Classification:
    """The classifier's result in the conventions of the files; largest class first, or in the order given."""
    average = classifier.model_.averages()
    order = torch.argsort(average.sizes, descending=True, stable=True)
    if isinstance(classifier, GivenClasses):
        order = torch.arange(len(order), device=order.device)
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order), device=order.device)
    count = len(run.particles)
    rows, best = classifier.rows_, classifier.matches_
    assignments = np.full(count, -1, dtype=np.int64)
    assignments[rows] = rank[best.classes[:, 0]].cpu().numpy()
    angle, x, y = (v[:, 0].double().cpu().numpy() for v in (best.angle, best.shift_x, best.shift_y))
    columns = np.zeros((4, count))
    cosine, sine = np.cos(angle), np.sin(angle)
    columns[:, rows] = (
        (np.rad2deg(angle) + 180.0) % 360.0 - 180.0,
        -(cosine * x + sine * y),
        -(cosine * y - sine * x),
        best.score[:, 0].double().cpu().numpy(),
    )
    frc = average.frc[order].double().cpu()
    curves = np.zeros((len(order), run.reader.box // 2 + 1))
    width = min(frc.shape[1], curves.shape[1])
    curves[:, :width] = frc[:, :width].numpy()
    return Classification(
        assignments=assignments,
        poses=Poses(columns[0], columns[1], columns[2]),
        score=columns[3].astype(np.float32),
        averages=grey_averages(average, classifier)[order].cpu().numpy(),
        sizes=average.sizes[order].long().cpu().numpy(),
        resolution_angstrom=resolution_angstrom(frc, run.reader.box, run.sampling_rate).numpy(),
        quality=frc[:, 1:].clamp_min(0).mean(1).numpy(),
        frc=curves,
    )


def looks_inverted(result: Classification) -> bool:
    """Whether most particles lie in averages whose middle is darker than the background around it."""
    box = result.averages.shape[-1]
    middle = soft_mask(box, box / 5).numpy()
    density = (result.averages * middle).sum((1, 2)) / middle.sum()
    deviation = result.averages.std((1, 2)).clip(1e-12)
    return float(result.sizes @ (density < -0.25 * deviation)) > 0.75 * float(result.sizes.sum())


def summary(run: Run, result: Classification, source: Source) -> dict[str, Any]:
    """What summary.json says of a run, beside the figures per class."""
    enabled = int(run.particles.enabled.sum())
    return {
        "program": {
            "alignpca2d": __version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "settings": asdict(run.settings),
        "seed": run.settings.seed,
        "device": str(run.device),
        "input": {
            "file": str(run.particles.source),
            "box": run.reader.box,
            "sampling_rate": run.sampling_rate,
            "ctf": run.ctf,
        },
        "counts": {
            "particles": len(run.particles),
            "classified": int((result.assignments >= 0).sum()),
            "disabled": len(run.particles) - enabled,
            "unusable": int((run.particles.enabled & ~source.usable).sum()),
            "classes": len(result),
        },
        "times": run.progress.times,
        "history": run.progress.history,
        "warnings": run.progress.warnings,
    }
