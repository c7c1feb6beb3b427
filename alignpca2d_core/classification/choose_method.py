"""Which way of classifying the settings ask for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..errors import InputError
from ..io.references import read_references
from ..preprocessing.particle_source import Source
from ..preprocessing.prepared_run import Run
from ..settings import Settings
from .classifier import Classifier
from .initial_references import GivenClasses
from .paper_preset import PaperClassifier


def make_classifier(run: Run, source: Source, settings: Settings | None = None) -> Classifier:
    """The way of classifying that settings ask for, by default those of the run."""
    settings = settings or run.settings
    if settings.references is not None:
        return with_given(GivenClasses, run, source)
    kind = PaperClassifier if settings.preset == "paper" else Classifier
    return kind(settings, source, run.band, run.mask, run.progress)


def with_given(kind: type[GivenClasses], run: Run, source: Source) -> GivenClasses:
    """The classes are as many as the averages that are given, and keep their order."""
    if run.settings.preset == "paper":
        raise InputError("--preset paper: makes its own classes by k-means; leave out --references, or the preset")
    given = read_references(Path(str(run.settings.references)), run.reader.box)
    if run.settings.classes != len(given):
        run.progress.say(f"{len(given)} classes are given")
    if run.settings.iterations is not None:
        run.progress.say("--iterations: no effect with --references, which take the place of stage 1")
    settings = replace(run.settings, classes=len(given))
    return kind(settings, source, run.band, run.mask, run.progress, given)
