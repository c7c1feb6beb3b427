"""Streams of a pretended GPU: what is copied beside the computing is there when it has been waited for, not before."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import torch


class PretendedEvent:
    """The end of what a stream had been given when the event was recorded."""

    def __init__(self, stream: PretendedStream) -> None:
        self._stream, self._last = stream, stream.given

    def synchronize(self) -> None:
        """Wait for it; any thread may."""
        self._stream.go_on_to(self._last)


class PretendedStream:
    """Copies in the order in which they were asked for, each made when something waits for it and no sooner.

    Until then the copy is not a number, and what is written over its source is what will be copied: forgetting to wait
    comes out as wrong results.
    """

    def __init__(self) -> None:
        self.given = 0
        self._done = 0
        self._copies: deque[tuple[torch.Tensor, torch.Tensor]] = deque()
        self._lock = threading.Lock()

    def copy_later(self, held: torch.Tensor, source: torch.Tensor) -> None:
        """Copy, once it is waited for."""
        held.fill_(torch.nan)
        self._copies.append((held, source))
        self.given += 1

    def record_event(self) -> PretendedEvent:
        return PretendedEvent(self)

    def wait_event(self, event: PretendedEvent) -> None:
        event.synchronize()

    def go_on_to(self, number: int) -> None:
        """Make all copies up to that number."""
        with self._lock:
            while self._done < number:
                held, source = self._copies.popleft()
                held.copy_(source)
                self._done += 1


class PretendedStreams:
    """The stream that work is given to now, and memory that a GPU may copy from by itself."""

    def __init__(self) -> None:
        self.main = self.current = PretendedStream()
        self.pinned: set[int] = set()

    @contextmanager
    def on(self, stream: PretendedStream) -> Iterator[None]:
        before, self.current = self.current, stream
        try:
            yield
        finally:
            self.current = before

    def pin(self, tensor: torch.Tensor) -> torch.Tensor:
        """A copy in pinned memory."""
        copy = tensor.clone()
        self.pinned.add(copy.untyped_storage().data_ptr())
        return copy

    def is_pinned(self, tensor: torch.Tensor) -> bool:
        return tensor.untyped_storage().data_ptr() in self.pinned

    @property
    def beside(self) -> bool:
        """Whether work goes on beside the main stream now."""
        return self.current is not self.main
