"""What a run tells its user while it works, and how long each stage took.

On a terminal one line is rewritten with a bar and the time left; elsewhere (a log, Scipion) a plain line
comes every few seconds.  Everything goes to standard error, so that standard output stays free.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

BAR_WIDTH = 24
SECONDS_BETWEEN_FRAMES = 0.1
SECONDS_BETWEEN_LINES = 5.0
SECONDS_BEFORE_ESTIMATE = 1.0
_CLEAR_LINE = "\r\x1b[K"


class Progress:
    """Stages of a run, its messages and its warnings.

    Parameters
    ----------
    quiet : bool
        Print warnings only.
    stream : text stream
        Where to print; standard error by default.

    Attributes
    ----------
    times : dict of stage to {"wall_s", "cpu_s"}
        Seconds spent in each stage that has ended, by the clock and by all threads of this process; a
        stage that is entered again adds to its time.
    warnings : list of str
        Every line given to :meth:`warn`.
    history : dict of name to list of dict
        Figures given to :meth:`record`, for curves: "rounds" on the sample, "batches" of a stream.
    command : str
        The command line that this run is; empty where there was none.
    """

    def __init__(self, quiet: bool = False, stream: TextIO | None = None, command: str = "") -> None:
        self.times: dict[str, dict[str, float]] = {}
        self.warnings: list[str] = []
        self.history: dict[str, list[dict[str, Any]]] = {}
        self.command = command
        self._quiet = quiet
        self._stream = sys.stderr if stream is None else stream
        self._rewrites = not quiet and self._stream.isatty() and os.environ.get("TERM") != "dumb"
        self._frame = ""

    def say(self, line: str) -> None:
        """Print a line, unless quiet."""
        if not self._quiet:
            self._print(line)

    def warn(self, line: str) -> None:
        """Print a warning, even when quiet, and keep it for the summary; the same warning only once."""
        if line not in self.warnings:
            self.warnings.append(line)
            self._print(f"Warning: {line}")

    def record(self, name: str, **figures: Any) -> None:
        """Keep figures of one round or batch for the summary and its curves."""
        self.history.setdefault(name, []).append(figures)

    @contextmanager
    def stage(self, name: str, total: int | None = None, unit: str = "") -> Iterator[Stage]:
        """Measure and show a stage of the run.

        Parameters
        ----------
        name : str
        total : int, optional
            How many steps :meth:`Stage.advance` will count; without it there is no estimate.
        unit : str
            What a step is, in the plural.
        """
        stage = Stage(self, name, total, unit)
        wall, cpu = time.perf_counter(), time.process_time()
        try:
            stage.advance(0)
            yield stage
        finally:
            elapsed = time.perf_counter() - wall
            spent = self.times.setdefault(name, {"wall_s": 0.0, "cpu_s": 0.0})
            spent["wall_s"] += elapsed
            spent["cpu_s"] += time.process_time() - cpu
            self._draw("")
            self.say(stage.epilogue(elapsed))

    def show(self, line: str) -> None:
        """The state of the stage at work: in place on a terminal, as one more line elsewhere."""
        if self._quiet:
            return
        if self._rewrites:
            self._draw(line[: shutil.get_terminal_size().columns - 1])
        else:
            self._print(line)

    @property
    def seconds_between(self) -> float:
        """How long a stage waits before it shows its state again."""
        return SECONDS_BETWEEN_FRAMES if self._rewrites else SECONDS_BETWEEN_LINES

    @property
    def has_bar(self) -> bool:
        """Whether a bar makes sense where the lines go."""
        return self._rewrites

    def _print(self, line: str) -> None:
        frame = self._frame
        self._draw("")
        self._write(line + "\n")
        self._draw(frame)

    def _draw(self, frame: str) -> None:
        if frame != self._frame:
            self._write(_CLEAR_LINE + frame)
            self._frame = frame

    def _write(self, text: str) -> None:
        """Print what the stream can take; a run does not end because the reader of its output is gone."""
        encoding = self._stream.encoding or "utf-8"
        try:
            self._stream.write(text.encode(encoding, "replace").decode(encoding))
            self._stream.flush()
        except (OSError, ValueError):
            self._quiet, self._rewrites = True, False


class Stage:
    """One stage at work; made by :meth:`Progress.stage`."""

    def __init__(self, progress: Progress, name: str, total: int | None, unit: str = "") -> None:
        self._progress, self._name, self._total, self._unit = progress, name, total, unit
        self._done, self._note = 0, ""
        self._begun = time.perf_counter()
        self._shown = self._begun if not progress.has_bar else 0.0

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Count steps that are done; ``note`` stays in view until the next one."""
        self._done += steps
        self._note = note or self._note
        now = time.perf_counter()
        if now - self._shown >= self._progress.seconds_between:
            self._shown = now
            self._progress.show(self._line(now - self._begun))

    def record(self, name: str, **figures: Any) -> None:
        """Keep figures of one step; see :meth:`Progress.record`."""
        self._progress.record(name, **figures)

    def recorded(self, name: str) -> int:
        """How many figures have been kept under this name in the whole run."""
        return len(self._progress.history.get(name, []))

    def epilogue(self, elapsed: float) -> str:
        """The line that stays when the stage has ended after ``elapsed`` seconds."""
        parts = [f"{self._name}: {spoken(elapsed)}", self._count() if self._done else "", self._note]
        return ", ".join(part for part in parts if part)

    def _count(self) -> str:
        complete = self._total is None or (self._unit and self._done == self._total)
        unit = self._unit[:-1] if self._done == 1 and complete else self._unit
        return f"{self._done} {unit}".rstrip() if complete else f"{self._done} of {self._total} {unit}".rstrip()

    def _line(self, elapsed: float) -> str:
        share = min(self._done / self._total, 1.0) if self._total else 0.0
        parts = [self._name]
        if self._total:
            filled = round(share * BAR_WIDTH)
            bar = f"[{'#' * filled}{'.' * (BAR_WIDTH - filled)}] " if self._progress.has_bar else ""
            parts.append(f"{bar}{share:4.0%}")
        if self._done:
            parts.append(self._count())
        if 0 < share < 1 and elapsed >= SECONDS_BEFORE_ESTIMATE:
            parts.append(f"{spoken(elapsed * (1.0 / share - 1.0))} left")
        return "  ".join([*parts, self._note]).rstrip()


def spoken(seconds: float) -> str:
    """A duration as one says it: ``0.4 s``, ``12 s``, ``3 min 05 s``, ``1 h 02 min``."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
