"""Input that is wrong but would be classified without complaint: how it is noticed, and the remedy.

Before the classes are made: pixel sizes that contradict each other or the CTF.  After: a CTF that does not explain
what the averages show, a single view, distinct classes that are copies of each other, references given twice.
Divisions of one view are no copies: they are what fills the number of classes asked for, and only counted.
"""

from __future__ import annotations

from collections.abc import Sequence, Set

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..averaging.class_averages import Averages, average_mask, averages, shrunk
from ..averaging.model import Model
from ..classification.classifier import Classifier
from ..classification.discovery.duplicates import find_duplicates
from ..classification.initial_references import GivenClasses
from ..fourier.band import Band
from ..fourier.common_grid import PIXEL_SIZE_TOLERANCE
from ..preprocessing.ctf_check import CtfFit, sampled_fit
from ..preprocessing.prepared_run import Run
from .class_quality import GOOD, JUNK
from .result_files import Classification

UNSET_PIXEL_SIZE = 1.0
"""Å; what many programs write into the header of a stack when they do not know."""
CROWDED = 0.95
"""Share of the particles in one class above which all are said to be in it."""
LEAST_CLASSES, LEAST_PARTICLES = 3, 100
"""Below these one view is no wonder."""
SAME = 0.99999
"""Correlation above which two references are one image; divisions of a view stay below."""
MOST_NAMED = 5
"""Pairs of classes that a warning names."""


def warn_of_input(run: Run) -> CtfFit | None:
    """Say what contradicts itself in the input, and return how its CTF fits."""
    rate, header, metadata = run.sampling_rate, run.reader.pixel_size, run.particles.sampling_rate
    warn, given = run.progress.warn, run.settings.sampling_rate
    if given is not None and metadata is not None and _differ(given, metadata):
        warn(f"--sampling-rate {given:g}: the metadata says {metadata:g} Å/px; leave the option out to use that")
    if given is None and metadata is None and header == UNSET_PIXEL_SIZE:
        warn("the pixel size of 1 Å is the stack header's, where 1 often means unknown; give --sampling-rate")
    is_doubtful = header not in (None, UNSET_PIXEL_SIZE) and given is None and run.reader.grid is None
    if is_doubtful and _differ(rate, header):
        warn(f"the metadata says {rate:g} Å/px, the stack's header {header:g}: give the right one as --sampling-rate")
    found = sampled_fit(run.reader, run.particles, run.preparation(), rate)
    if found is not None and found.doubts_pixel_size:
        warn(
            f"the images' power follows the CTF far better with a pixel size of {rate * found.scale:.3g} Å than with "
            f"{rate:.3g}: check --sampling-rate, and the defocus"
        )
    return found


def _differ(first: float, second: float | None) -> bool:
    return second is not None and abs(first - second) > PIXEL_SIZE_TOLERANCE * second


def warn_of_classes(result: Classification, classifier: Classifier, run: Run, fit: CtfFit | None) -> None:
    """Say what is suspicious about the classes as a whole."""
    warn, average = run.progress.warn, classifier.model_.averages()
    views = distinct_views(classifier)
    if fit is not None and run.ctf == "model" and fit.doubts_ctf(signal_power(average, classifier.band)):
        warn(
            "the CTF does not fit the images: their power does not follow it as the averages predict. Check that "
            "metadata and stacks belong together, or run with --ctf none"
        )
    if len(result) >= LEAST_CLASSES and result.sizes.sum() >= LEAST_PARTICLES:
        if views == 1:
            warn(
                f"only one distinct view was found, and the {len(result)} classes are divisions of it: if there should "
                "be more, check contrast, CTF and --mask-diameter, or give more --initial-particles"
            )
        elif float(result.sizes.max()) > CROWDED * float(result.sizes.sum()):
            warn(
                f"class {int(result.sizes.argmax()) + 1} holds {result.sizes.max()} of {result.sizes.sum()} particles: "
                "check contrast, CTF, and that the references are of this specimen"
            )
    report_views(classifier, views, run, result)
    if isinstance(classifier, GivenClasses):
        pairs = same_images(classifier.given)
        if pairs:
            more = f" ({len(pairs)} such pairs)" if len(pairs) > 1 else ""
            warn(f"references {pairs[0][0] + 1} and {pairs[0][1] + 1} are the same image{more}: give each once")


def report_views(classifier: Classifier, views: int, run: Run, result: Classification) -> None:
    """Say how many classes only divide a view, and warn of those that were not meant to show the same."""
    model, place = classifier.model_, torch.argsort(classifier.order()).tolist()
    given = isinstance(classifier, GivenClasses)
    if not given:
        divisions = len(place) - torch.unique(model.view_of).numel()
        if divisions and views:
            run.progress.say(f"{views} distinct views; {divisions} of the classes only divide others")
    message = duplicates_message(model, place, junk_views(model.view_of, place, result))
    if message:
        # Averages of a run that divided its views are often given as they are, on purpose.
        (run.progress.say if given else run.progress.warn)(message)


def junk_views(view_of: Tensor, place: Sequence[int], result: Classification) -> set[int]:
    """The views of which every class is junk; that such look alike is no wonder and no fault.

    Parameters
    ----------
    view_of : Tensor
        The view that each of k classes is a division of, (k,).
    place : sequence of int
        Of each class among those that are delivered, from 0.
    result : Classification
    """
    said = result.verdicts.verdict if result.verdicts else (GOOD,) * len(result)
    views = view_of.tolist()
    return set(views) - {view for view, where in zip(views, place, strict=True) if said[where] != JUNK}


def duplicates_message(model: Model, place: Sequence[int], junk: Set[int] = frozenset()) -> str | None:
    """A line about distinct classes that show the same view; None where there are none.

    Parameters
    ----------
    model : Model
        Of k classes.
    place : sequence of int
        Of each class among those that are delivered, from 0; a view goes by its first.
    junk : set of int
        Views that do not count, as noise does not.
    """
    average = averages(model.sums.grouped(model.view_of), model.band, average_mask(model.band, model.mask_shape))
    found = [
        pair
        for pair in find_duplicates(average, model.band, model.schedule, model.basis)
        if not (junk | {model.noise}) & {pair.first, pair.second}
    ]
    if not found:
        return None
    numbered = ((view, where + 1) for view, where in zip(model.view_of.tolist(), place, strict=True))
    number = dict(sorted(numbered, reverse=True))
    named = [sorted((number[pair.first], number[pair.second])) for pair in found[:MOST_NAMED]]
    names = ", ".join(f"{one} and {other}" for one, other in named)
    left = len(found) - MOST_NAMED
    more = f" and {left} {'pair' if left == 1 else 'pairs'} more" if left > 0 else ""
    return (
        f"classes {names}{more} show the same view, as far as their noise lets one tell: count them as one, or ask "
        "for fewer classes (--classes); more particles would tell views apart that do differ"
    )


def distinct_views(classifier: Classifier) -> int:
    """Of how many distinct classes the classes are divisions; noise set aside is none."""
    views = torch.unique(classifier.model_.view_of).numel()
    return views - (classifier.separated_.noise_class is not None)


def signal_power(average: Averages, band: Band) -> Tensor:
    """|x|² of the averages, mean of each ring and of all particles, (rings,) float64 on the CPU."""
    power = band.ring_mean(shrunk(average, band).abs() ** 2) * average.sizes[:, None]
    return (power.sum(0) / average.sizes.sum().clamp_min(1)).double().cpu()


def same_images(images: NDArray[np.float32]) -> list[tuple[int, int]]:
    """Pairs of images (k, box, box) that are the same but for grey scale."""
    flat = images.reshape(len(images), -1).astype(np.float64)
    flat = flat - flat.mean(1, keepdims=True)
    flat /= np.linalg.norm(flat, axis=1, keepdims=True).clip(1e-30)
    return [(int(i), int(j)) for i, j in np.argwhere(np.triu(flat @ flat.T, 1) > SAME)]
