"""Ctrl-C and SIGTERM: either one ends the work, wherever it lands."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

AGAIN_S = 0.01
"""After an interruption that Python dropped: the finalizer that it landed in has ended by then."""


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """SIGTERM raises KeyboardInterrupt as Ctrl-C does, and none is lost.

    Python drops what is raised while it finalizes an object, a generator that is left early for one: it prints
    "Exception ignored" and goes on.  An interruption that lands there is raised again by a timer.  Outside the main
    thread nothing is done: the caller handles signals there.
    """
    usual = sys.unraisablehook

    def raise_later(dropped: Any) -> None:
        if issubclass(dropped.exc_type, KeyboardInterrupt):
            signal.setitimer(signal.ITIMER_REAL, AGAIN_S)
        else:
            usual(dropped)

    try:
        signal.signal(signal.SIGTERM, _interrupt)
        signal.signal(signal.SIGALRM, _interrupt)
    except ValueError:
        yield
        return
    sys.unraisablehook = raise_later
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.unraisablehook = usual


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
