"""``classify`` and ``assign`` from files to files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..classification.choose_method import make_classifier, with_given
from ..classification.classifier import Classifier
from ..classification.initial_references import FixedReferences
from ..errors import InputError
from ..io.output_folder import SUMMARY, check_references_stay, make_output_directory
from ..io.particle_reading import read_particles
from ..preprocessing.prepared_run import Run
from ..results.consistency_checks import warn_of_classes, warn_of_input
from ..results.from_classifier import as_classification, counts, summary, warn_of
from ..results.result_files import write_results
from ..runtime import distributed
from ..runtime.progress import Progress
from ..settings import Settings
from ..state.checkpoint import Checkpoint
from ..state.lock import sole_use
from ..state.tensor_store import State
from ..streaming.store.stream_store import StreamStore
from .pictures import draw
from .rounds import further_rounds

LEAST_PER_RANK = 50


def classify(path: Path, directory: Path, settings: Settings, progress: Progress) -> None:
    """Classify a whole set and write what the seam names into ``directory``."""
    check_output(directory, settings)
    if settings.rounds and settings.preset == "paper":
        raise InputError("--preset paper: sets nothing aside that --rounds could classify again; leave out one of them")
    run = Run(read_particles(path, settings.passthrough), settings, progress)
    run.check_number()
    carry_out(run, make_classifier(run, run.source()), directory)


def assign(path: Path, directory: Path, settings: Settings, progress: Progress) -> None:
    """Assign a set to fixed references, and write what the seam names into ``directory``."""
    if settings.references is None:
        raise InputError("assign: give --references (a folder of results, .xmd, .star or a stack)")
    if settings.resume:
        raise InputError(
            "--resume: assign is one pass, of which nothing is kept before its end; run it without --resume"
        )
    check_output(directory, settings)
    run = Run(read_particles(path, settings.passthrough), settings, progress)
    carry_out(run, with_given(FixedReferences, run, run.source()), directory)


def check_output(directory: Path, settings: Settings) -> None:
    """Whether the folder may be written to: neither a stream's, nor that of the references.

    Raises
    ------
    InputError
        When something would be lost that is in the folder.
    """
    if StreamStore.exists(directory):
        raise InputError(
            f"--output {directory}: holds a stream, which would be lost: choose another folder, or go on with update"
        )
    if settings.references is not None:
        check_references_stay(directory, Path(settings.references))


def carry_out(run: Run, classifier: Classifier, directory: Path, more: Mapping[str, Any] | None = None) -> None:
    """Run or resume, and write the results; with several ranks the first of them writes.

    Parameters
    ----------
    run : Run
    classifier : Classifier
    directory : Path
    more : mapping, optional
        What else the summary says.
    """
    _check_ranks(run)
    if not distributed.is_first():
        classifier.fit(Checkpoint(State(directory, run.fingerprint()), run.settings.resume))
        return
    make_output_directory(directory, run.particles)
    with sole_use(directory, run.progress.warn):
        run.particles.keep_origin(directory)
        state = State(directory, run.fingerprint())
        if not run.settings.resume:
            state.clear()
            # What an earlier run left here has other metadata from now on.
            (directory / SUMMARY).unlink(missing_ok=True)
        ctf_fit = warn_of_input(run)
        classifier.fit(Checkpoint(state, run.settings.resume))
        rounds = further_rounds(classifier, run)
        result = as_classification(classifier, run)
        warn_of(result, classifier, run)
        warn_of_classes(result, classifier, run, ctf_fit)
        said = {**summary(run, counts(run, result, classifier)), **rounds, **(more or {})}
        write_results(directory, run.particles, result, run.sampling_rate, said, draw)
        run.progress.say(f"{len(result)} classes of {int(result.sizes.sum())} particles in {directory}")


def _check_ranks(run: Run) -> None:
    """Whether this run can be divided over the ranks that torchrun started."""
    count = distributed.count()
    if count > 1 and run.settings.preset == "paper":
        raise InputError("--preset paper: runs as one process; start it without torchrun")
    if count > 1 and run.settings.rounds:
        raise InputError("--rounds: runs as one process; start it without torchrun")
    if count > 1 and int(run.particles.enabled.sum()) < LEAST_PER_RANK * count:
        raise InputError(f"{run.particles.source}: too few particles for {count} processes; start fewer")
