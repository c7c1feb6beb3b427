"""``update``: the next particles of a stream, from a file into a folder."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import InputError, NoParticles
from ..fourier.common_grid import Grid
from ..fourier.rigid_transforms import Poses
from ..fourier.ring_correlation import resolution_angstrom
from ..io.atomic_files import write_json
from ..io.output_folder import AVERAGES, CHANGED, CLASSES, GALLERY, PARTICLES, SUMMARY, make_output_directory
from ..io.particle_set import ParticleSet, read_particles
from ..io.stacks import AbsentStacks, StackReader, readable_rows, write_stack
from ..preprocessing.prepared_run import Run
from ..results.class_quality import GOOD, VERDICTS, judge
from ..results.consistency_checks import duplicates_message, junk_views, warn_of_input
from ..results.from_classifier import grey_averages, looks_inverted, summary, whole_curves
from ..results.result_files import Classification, class_figures, low_passed
from ..runtime.progress import Progress
from ..settings import SAID_AFTERWARDS, Settings
from ..state.lock import sole_use
from .row_files import RowFiles
from .store.batch_compaction import merge
from .store.stream_store import StreamStore
from .update_schedule import UpdateSchedule

REPORT_GROWTH = 1.1
MAY_CHANGE = (
    *("device", "threads", "quiet", "resume", "batch_size", "revisit", "initial_particles", "iterations"),
    *SAID_AFTERWARDS,
)
"""Settings that another update of the same stream may have."""


def update(path: Path | None, directory: Path, settings: Settings, progress: Progress, last: bool = False) -> None:
    """Take the next particles of a stream in, and bring the files of ``directory`` up to date.

    Parameters
    ----------
    path : Path, optional
        The next particles; those that came before are left alone.  None only with ``last``.
    directory : Path
    settings : Settings
    progress : Progress
    last : bool
        No more particles will come: classify what is there, however few, and assign all once more.

    Raises
    ------
    InputError
        When the particles cannot be used, or do not go with those before them; nothing is changed then.
    """
    began = time.perf_counter()
    particles = _read(path, last, settings)
    if particles is not None:
        make_output_directory(directory, particles)
    elif not StreamStore.exists(directory):
        raise InputError(f"--output {directory}: no stream was begun here, and there are no particles to begin one")
    with sole_use(directory, progress.warn):
        journal = StreamStore(directory)
        if not journal.record.batches and (directory / CLASSES).exists():
            raise InputError(
                f"--output {directory}: holds classes that are no stream's; choose another folder, "
                f"and --references {directory} to start from them"
            )
        new = None if particles is None else journal.new_among(particles)
        first = not journal.record.batches
        fresh = new is not None and (first or new.enabled.any())
        run = _of(journal, new, settings, progress) if fresh and new else _earlier(journal, settings, progress)
        if new is not None and not fresh:
            for line in new.warnings:
                progress.warn(line)
        journal.begin(fingerprint(run, journal.grid or run.reader.grid))
        if first and new is not None:
            warn_of_input(run)
            journal.record.warnings = list(dict.fromkeys([*journal.record.warnings, *progress.warnings]))
        progress.history["batches"] = []
        stream = UpdateSchedule(journal, run)
        stream.take(new, last)
        _deliver(directory, stream, time.perf_counter() - began)


def _read(path: Path | None, last: bool, settings: Settings) -> ParticleSet | None:
    """The particles of a file; at the end of a stream there may be none."""
    if path is None:
        if not last:
            raise InputError("update: give the particles, or --last to end the stream")
        return None
    try:
        found = read_particles(path, settings.passthrough)
    except NoParticles:
        if last:
            return None
        raise
    if settings.ctf == "none":
        found.do_without_ctf()
    return found


def _of(journal: StreamStore, particles: ParticleSet, settings: Settings, progress: Progress) -> Run:
    """A run of particles on the grid of the stream, where it has one."""
    reader = None if journal.grid is None else StackReader(particles, journal.grid)
    return Run(particles, settings, progress, reader)


def _earlier(journal: StreamStore, settings: Settings, progress: Progress) -> Run:
    """A run of particles that stand for the stream when no new ones have come: the first that can still be read."""
    box, enabled = int(journal.state.fingerprint.get("box", 0)), None
    for batch in journal.record.batches:
        particles = journal.particles(batch)
        if particles.enabled.any():
            enabled = enabled or particles
            readable, _ = readable_rows(particles, None if journal.grid else box)
            if readable.any():
                particles.enabled = readable
                return _of(journal, particles, settings, progress)
    if enabled is None:
        raise InputError(f"{journal.directory}: none of the particles of the stream is enabled")
    absent = AbsentStacks(enabled, box)
    absent.pixel_size = journal.state.fingerprint.get("pixel size")
    return Run(enabled, settings, progress, absent)


def fingerprint(run: Run, grid: Grid | None) -> dict[str, Any]:
    """What must stay the same through a stream; its grid is that of the first particles, where they needed one."""
    settings = {key: value for key, value in asdict(run.settings).items() if key not in MAY_CHANGE}
    size = {"box": run.reader.box, "pixel size": round(run.sampling_rate if grid is None else grid.pixel_size, 3)}
    common = None if grid is None else [grid.box, grid.pixel_size]
    return {**settings, **size, "common grid": common, "CTF": run.ctf}


def _deliver(directory: Path, stream: UpdateSchedule, seconds: float) -> None:
    """Bring the files up to date, if there is anything new to say."""
    record, progress = stream.record, stream.progress
    if not stream.has_classes:
        enough = stream.initial_particles
        progress.say(f"{record.count} particles so far, {stream.missing} more until the classes start ({enough})")
        said = {"batch": 0, "missing": stream.missing, "closed": False, "particles": record.count}
        write_json(directory / SUMMARY, {**summary(stream.run, {"particles": record.count}), "stream": said})
        return
    delivery = record.delivered + 1
    if not stream.has_news:
        progress.say(f"Nothing new: {record.count} particles in {len(stream.members.classes)} classes")
        return
    history = stream.journal.history()
    with progress.stage("Writing results"):
        result = classes_of(stream)
        rows = RowFiles(stream.journal, stream.members.classes)
        write_stack(directory / AVERAGES, result.averages, stream.run.sampling_rate)
        rows.write_classes(directory / CLASSES, record.batches, result)
        rows.write_particles(directory / PARTICLES, record.batches)
        moved = record.frame != record.delivered_frame
        rows.write_changed(directory / CHANGED, record.batches, delivery, everything=moved)
        _draw(directory, stream, result)
    _warn_of(result, stream)
    history.add(_figures(stream, result, delivery, seconds))
    record.history = history.length
    record.warnings = list(dict.fromkeys([*record.warnings, *progress.warnings]))
    said = {
        "batch": delivery,
        "missing": 0,
        "closed": record.closed,
        "particles": record.count,
        "revisited": stream.members.tally.revisited,
        "changed": stream.members.tally.changed,
        "due": sum(batch.count for batch in stream.due),
    }
    content = {**summary(stream.run, _counts(stream)), "stream": said, "classes": class_figures(result)}
    content["history"] = {**progress.history, "batches": history.laid()}
    write_json(directory / SUMMARY, {**content, "warnings": record.warnings})
    record.delivered, record.delivered_frame, record.delivered_closed = delivery, record.frame, record.closed
    merge(stream.journal)
    stream.journal.commit()
    progress.say(f"{len(result)} classes of {int(result.sizes.sum())} particles in {directory}")
    if record.closed or report_is_due(history.particles()):
        _report(directory, progress)


def classes_of(stream: UpdateSchedule) -> Classification:
    """The classes as they are now, without their particles, in the conventions of the files."""
    classes, run = stream.members.classes, stream.run
    average = classes.method.average(classes.delivered())
    frc = average.frc.double().cpu()
    sizes = average.sizes.round().long().cpu().numpy()
    resolution = resolution_angstrom(frc, run.reader.box, run.sampling_rate).numpy()
    images = grey_averages(average, classes.whitening, classes.band).cpu().numpy()
    verdicts = judge(frc.numpy(), sizes, classes.moments, images).within(run.settings, resolution, sizes)
    none = np.zeros(0)
    return Classification(
        assignments=none.astype(np.int64),
        poses=Poses(none, none, none),
        score=none.astype(np.float32),
        averages=images,
        sizes=sizes,
        resolution_angstrom=resolution,
        quality=verdicts.quality,
        frc=whole_curves(frc.numpy(), run.reader.box),
        verdicts=verdicts,
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


def _warn_of(result: Classification, stream: UpdateSchedule) -> None:
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
