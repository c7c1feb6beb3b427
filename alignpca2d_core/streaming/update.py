"""``update``: the next particles of a stream, from a file into a folder."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..errors import InputError, NoParticles
from ..fourier.common_grid import PIXEL_SIZE_TOLERANCE, Grid, is_like
from ..io.given_poses import with_poses
from ..io.output_folder import CLASSES, make_output_directory
from ..io.particle_reading import read_particles
from ..io.particle_set import ParticleSet
from ..io.stacks import AbsentStacks, StackReader, readable_rows
from ..preprocessing.prepared_run import Run
from ..results.consistency_checks import warn_of_input
from ..runtime.progress import Progress
from ..settings import SAID_AFTERWARDS, Settings
from ..state.lock import sole_use
from .delivery import deliver
from .store.stream_store import REMEDY, StreamStore
from .update_schedule import UpdateSchedule

MAY_CHANGE = (
    *("device", "threads", "quiet", "resume", "batch_size", "revisit", "initial_particles", "iterations"),
    *("rounds", "passthrough"),
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
        run = _of_new(journal, new, settings, progress) if fresh and new else _earlier(journal, settings, progress)
        if new is not None and not fresh:
            for line in new.warnings:
                progress.warn(line)
        journal.begin(fingerprint(run, journal))
        if first and new is not None:
            warn_of_input(run)
        if new is not None:
            journal.record.warnings = list(dict.fromkeys([*journal.record.warnings, *progress.warnings]))
        progress.history["batches"] = []
        stream = UpdateSchedule(journal, run)
        stream.take(new, last)
        deliver(directory, stream, time.perf_counter() - began)


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
    return with_poses(found, settings)


def _of(journal: StreamStore, particles: ParticleSet, settings: Settings, progress: Progress) -> Run:
    """A run of particles on the grid of the stream, where it has one."""
    grid = journal.grid
    return Run(particles, settings, progress, None if grid is None else StackReader(particles, grid))


def _of_new(journal: StreamStore, particles: ParticleSet, settings: Settings, progress: Progress) -> Run:
    """The same of particles that have just come: other sizes than the stream's are brought to its grid.

    Raises
    ------
    InputError
        When they cannot be, without inventing pixels or frequencies.
    """
    stream = journal.grid or journal.size
    if stream is not None and settings.sampling_rate is None and particles.sampling_rate is not None:
        others = [size for size in StackReader(particles).sizes if not is_like(size, stream)]
        finest_needed = max(settings.resolution, 2 * stream.pixel_size) / 2
        for size in others:
            _refuse_what_cannot_be_brought(particles.source, size, stream, finest_needed)
        if others:
            said = " and ".join(f"{size.box} px of {size.pixel_size:.4g} Å" for size in others)
            progress.warn(
                f"{particles.source}: particles of {said} are brought to the stream's {stream.box} px of "
                f"{stream.pixel_size:.4g} Å"
            )
            # A stream that began with several sizes has its common grid already.
            journal.record.several_sizes = journal.record.several_sizes or journal.grid is None
    return _of(journal, particles, settings, progress)


def _refuse_what_cannot_be_brought(source: Path, size: Grid, stream: Grid, finest_needed: float) -> None:
    """Raise InputError where images lack the border, or the frequencies, that those of the stream have."""
    least = 1 - PIXEL_SIZE_TOLERANCE
    side, needed = size.box * size.pixel_size, stream.box * stream.pixel_size
    if side < least * needed:
        raise InputError(
            f"{source}: images of {size.box} px of {size.pixel_size:.4g} Å are {side:.0f} Å wide, those of the stream "
            f"{needed:.0f}; extract them with a larger box, or {REMEDY}"
        )
    if least * size.pixel_size > finest_needed:
        raise InputError(
            f"{source}: pixels of {size.pixel_size:.4g} Å hold nothing finer than {2 * size.pixel_size:.3g} Å, and the "
            f"stream is compared to {2 * finest_needed:.3g}; extract them with finer pixels, or {REMEDY}"
        )


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


def fingerprint(run: Run, journal: StreamStore) -> dict[str, Any]:
    """What must stay the same through a stream; its grid is that of the first particles, where they needed one."""
    settings = {key: value for key, value in asdict(run.settings).items() if key not in MAY_CHANGE}
    grid = journal.grid or run.reader.grid
    size = {"box": run.reader.box, "pixel size": round(run.sampling_rate if grid is None else grid.pixel_size, 3)}
    common = None if grid is None or journal.record.several_sizes else [grid.box, grid.pixel_size]
    return {**settings, **size, "common grid": common, "CTF": run.ctf}
