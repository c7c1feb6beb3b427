"""``classify`` and ``assign`` from files to files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from . import ranks
from .checkpoint import FIRST_STATE, Checkpoint
from .classifier import Classifier
from .delivery import as_classification, counts, summary, warn_of
from .diagnosis import warn_of_classes, warn_of_input
from .errors import InputError
from .given import FixedReferences, GivenClasses, read_references
from .imprint import newer_stacks
from .lock import sole_use
from .metadata import ParticleSet, read_particles
from .paper import PaperClassifier
from .progress import Progress
from .results import AVERAGES, CLASSES, PARTICLES, write_results
from .run import Run
from .settings import Settings
from .source import Source
from .state import State

LEAST_PER_RANK = 50


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


def classify(path: Path, directory: Path, settings: Settings, progress: Progress) -> None:
    """Classify a whole set and write what the seam names into ``directory``."""
    run = Run(read_particles(path), settings, progress)
    run.check_number()
    _carry_out(run, make_classifier(run, run.source()), directory)


def assign(path: Path, directory: Path, settings: Settings, progress: Progress) -> None:
    """Assign a set to fixed references, and write what the seam names into ``directory``."""
    if settings.references is None:
        raise InputError("assign: give --references (a folder of results, .xmd, .star or a stack)")
    run = Run(read_particles(path), settings, progress)
    _carry_out(run, _with_given(FixedReferences, run, run.source()), directory)


def make_classifier(run: Run, source: Source) -> Classifier:
    """The way of classifying that the settings ask for."""
    if run.settings.references is not None:
        return _with_given(GivenClasses, run, source)
    kind = PaperClassifier if run.settings.preset == "paper" else Classifier
    return kind(run.settings, source, run.band, run.mask_radius, run.progress)


def _with_given(kind: type[GivenClasses], run: Run, source: Source) -> GivenClasses:
    """The classes are as many as the averages that are given, and keep their order."""
    given = read_references(Path(str(run.settings.references)), run.reader.box)
    if run.settings.classes != len(given):
        run.progress.say(f"{len(given)} classes are given")
    classifier = kind(replace(run.settings, classes=len(given)), source, run.band, run.mask_radius, run.progress)
    classifier.given = given
    return classifier


def _carry_out(run: Run, classifier: Classifier, directory: Path) -> None:
    """Run or resume, and write the results; with several ranks the first of them writes."""
    _check_ranks(run)
    if not ranks.is_first():
        classifier.fit(Checkpoint(State(directory, run.fingerprint()), run.settings.resume))
        return
    make_output_directory(directory, run.particles)
    with sole_use(directory, run.progress.warn):
        state = State(directory, run.fingerprint())
        if run.settings.resume:
            warn_of_newer_stacks(run, state)
        else:
            state.clear()
        ctf_fit = warn_of_input(run)
        classifier.fit(Checkpoint(state, run.settings.resume))
        result = as_classification(classifier, run)
        warn_of(result, classifier, run)
        warn_of_classes(result, classifier, run, ctf_fit)
        said = summary(run, counts(run, result, classifier))
        write_results(directory, run.particles, result, run.sampling_rate, said)
        run.progress.say(f"{len(result)} classes of {int(result.sizes.sum())} particles in {directory}")


def _check_ranks(run: Run) -> None:
    """Whether this run can be divided over the ranks that torchrun started."""
    count = ranks.count()
    if count > 1 and run.settings.preset == "paper":
        raise InputError("--preset paper: runs as one process; start it without torchrun")
    if count > 1 and int(run.particles.enabled.sum()) < LEAST_PER_RANK * count:
        raise InputError(f"{run.particles.source}: too few particles for {count} processes; start fewer")


def warn_of_newer_stacks(run: Run, state: State) -> None:
    """A run goes on with stacks whose sampled images are as before; that they were written to is said."""
    newer = newer_stacks(run.particles, state.path(FIRST_STATE))
    if newer:
        more = f" and {len(newer) - 1} more were" if len(newer) > 1 else " was"
        run.progress.warn(
            f"{newer[0]}{more} written to after this run was begun, the images sampled are the same: "
            "if others have changed, run without --resume"
        )
