"""What an update hands over: tables, averages, summary, report, and the state that goes with them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..io.atomic_files import write_json
from ..io.concatenation import concatenate
from ..io.output_folder import AVERAGES, CHANGED, CLASSES, GALLERY, PARTICLES, SUMMARY
from ..io.stacks import write_stack
from ..results.class_quality import GOOD, VERDICTS
from ..results.consistency_checks import duplicates_message, junk_views
from ..results.contrast_check import BY_THEMSELVES, has_both_contrasts, opposite_contrasts
from ..results.from_classifier import Curves, grey_averages, judged_classes, looks_inverted, summary
from ..results.result_files import Classification, class_figures, low_passed
from ..runtime.progress import Progress
from .final_figures import shown_at_the_end
from .row_files import RowFiles
from .store.batch_compaction import merge
from .update_schedule import UpdateSchedule

REPORT_GROWTH = 1.1
"""A report is made when the stream has grown this many times."""


def deliver(directory: Path, stream: UpdateSchedule, seconds: float) -> None:
    """Bring the files up to date, if there is anything new to say, and commit the state that says so.

    Parameters
    ----------
    directory : Path
    stream : UpdateSchedule
        After it has taken the particles in.
    seconds : float
        How long that took.
    """
    record, progress = stream.record, stream.progress
    if not stream.has_classes:
        _say_what_is_missing(directory, stream)
        return
    if not stream.has_news:
        progress.say(f"Nothing new: {record.count} particles in {len(stream.members.classes)} classes")
        return
    delivery = record.delivered + 1
    history = stream.journal.history()
    result = classes_of(stream)
    with progress.stage("Writing results"):
        _write_tables(directory, stream, result, delivery)
        _draw(directory, stream, result)
    _warn_of(result, stream)
    history.add(_figures(stream, result, delivery, seconds))
    record.history = history.length
    record.warnings = list(dict.fromkeys([*record.warnings, *progress.warnings]))
    content = {**_summary(stream, delivery), "classes": class_figures(result)}
    content["history"] = {**progress.history, "batches": history.laid()}
    write_json(directory / SUMMARY, {**content, "warnings": record.warnings})
    record.delivered, record.delivered_frame, record.delivered_closed = delivery, record.frame, record.closed
    merge(stream.journal)
    stream.journal.commit()
    progress.say(f"{len(result)} classes of {int(result.sizes.sum())} particles in {directory}")
    if record.closed or report_is_due(history.particles()):
        _report(directory, progress)


def _say_what_is_missing(directory: Path, stream: UpdateSchedule) -> None:
    """Before there are classes: how many particles have come, and how many more are needed."""
    count, missing = stream.record.count, stream.missing
    stream.progress.say(
        f"{count} particles so far, {missing} more until the classes start ({stream.initial_particles})"
    )
    said = {"batch": 0, "missing": missing, "closed": False, "particles": count}
    write_json(directory / SUMMARY, {**summary(stream.run, {"particles": count}), "stream": said})


def _write_tables(directory: Path, stream: UpdateSchedule, result: Classification, delivery: int) -> None:
    """Averages, classes, particles, and the particles that have changed since the last delivery."""
    record, rows = stream.record, RowFiles(stream.journal, stream.members.classes)
    write_stack(directory / AVERAGES, result.averages, stream.run.sampling_rate)
    rows.write_classes(directory / CLASSES, record.batches, result)
    rows.write_particles(directory / PARTICLES, record.batches)
    moved = record.frame != record.delivered_frame
    rows.write_changed(directory / CHANGED, record.batches, delivery, everything=moved)


def _summary(stream: UpdateSchedule, delivery: int) -> dict[str, Any]:
    """Settings and counts of the run, and where the stream stands."""
    said = {
        "batch": delivery,
        "missing": 0,
        "closed": stream.record.closed,
        "particles": stream.record.count,
        "revisited": stream.members.tally.revisited,
        "changed": stream.members.tally.changed,
        "due": sum(batch.count for batch in stream.due),
    }
    return {**summary(stream.run, _counts(stream)), "stream": said}


def classes_of(stream: UpdateSchedule) -> Classification:
    """The classes as they are now, without their particles, in the conventions of the files."""
    classes, run = stream.members.classes, stream.run
    average = classes.method.average(classes.delivered())
    frc = average.frc.double().cpu()
    sizes = average.sizes.round().long().cpu().numpy()
    images, curves = grey_averages(average, classes.whitening, classes.band), Curves(frc, frc)
    shown = shown_at_the_end(stream.members) if stream.record.closed and run.settings.revisit else None
    if shown is not None:
        images, curves = images + shown.finer, Curves(frc, shown.frc.double().cpu())
    return judged_classes(
        run, images.cpu().numpy(), curves, sizes, classes.moments, classes.model().is_aside.cpu().numpy()
    )


def _figures(stream: UpdateSchedule, result: Classification, delivery: int, seconds: float) -> dict[str, Any]:
    tally, said = stream.members.tally, np.array(result.verdicts.verdict if result.verdicts else ())
    return {
        "batch": delivery,
        "particles": stream.record.count,
        "new": tally.new,
        "revisited": tally.revisited,
        "changed": tally.changed,
        "classes": len(result),
        "resolution": np.round(result.resolution_angstrom, 2).tolist(),
        "sizes": result.sizes.tolist(),
        "verdicts": {verdict: int((said == verdict).sum()) for verdict in VERDICTS},
        "good": int(result.sizes[said == GOOD].sum()),
        "seconds": round(seconds, 3),
        "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def _counts(stream: UpdateSchedule) -> dict[str, int]:
    """What became of the particles."""
    record, classes = stream.record, stream.members.classes
    classified = int(classes.sums.sizes.sum().round())
    return {
        "particles": record.count,
        "classified": classified,
        "disabled": record.disabled,
        "unusable": record.count - record.disabled - classified,
        "classes": len(classes),
        "views": torch.unique(classes.view_of).numel() - (classes.noise is not None),
    }


def _opposite_contrasts(result: Classification, stream: UpdateSchedule) -> str | None:
    """The same line as of a whole run; particles are read only where there are classes of both contrasts."""
    if not has_both_contrasts(result, result.sizes):
        return None
    journal, batches = stream.journal, stream.record.batches
    assignments = np.concatenate([journal.assignments(batch).classes.numpy() for batch in batches])
    everything = concatenate([journal.particles(batch) for batch in batches])
    return opposite_contrasts(replace(result, assignments=assignments), everything)


def _warn_of(result: Classification, stream: UpdateSchedule) -> None:
    message = _opposite_contrasts(result, stream)
    if message:
        said = stream.record.warnings
        stream.record.warnings = [line for line in said if not line.endswith(BY_THEMSELVES)]
        stream.progress.warn(message)
    if looks_inverted(result):
        stream.progress.warn(
            "the averages are darker than their background: if these are particles, start again with --invert"
        )
    if stream.record.closed or not stream.record.delivered:
        classes = stream.members.classes
        place = range(len(classes))
        message = duplicates_message(classes.model(), place, junk_views(classes.view_of, place, result))
        if message and stream.settings.references is None:
            stream.progress.warn(f"after {stream.record.count} particles {message}")


def _draw(directory: Path, stream: UpdateSchedule, result: Classification) -> None:
    """The gallery; what keeps it from being drawn is a warning, for the classes are there."""
    try:
        from ..report.gallery import captions_of, write_gallery

        shown = low_passed(result.averages, result.frc)
        write_gallery(directory / GALLERY, shown, captions_of(result, stream.run.sampling_rate))
    except Exception as error:
        stream.progress.warn(f"{GALLERY} is not made: {type(error).__name__}: {error}")


def report_is_due(particles: Sequence[int]) -> bool:
    """Whether the last delivery makes a report, by the particles (deliveries,) after each: it reads them all.

    The first does, and each that passes a step of a tenth more than the step before, so that all reports of a
    stream together cost what eleven of its end do.
    """
    before, now = (particles[-2] if len(particles) > 1 else 0), particles[-1]
    return before == 0 or math.floor(math.log(now, REPORT_GROWTH)) > math.floor(math.log(before, REPORT_GROWTH))


def _report(directory: Path, progress: Progress) -> None:
    """The report, with the best and worst of all particles."""
    try:
        from ..report import report_on

        report_on(directory)
    except Exception as error:
        progress.say(f"The report is not made: {type(error).__name__}: {error}")
