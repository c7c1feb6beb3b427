"""Images of stacks on a device, batch by batch: several threads read what comes next while the caller works."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..runtime.uploads import HostImages, Upload, Uploads

READERS, READERS_FOR_GPU = 2, 4
AHEAD_BYTES = 512 * 2**20
"""Read for a GPU before it is asked for: what comes from a fast disk while some thousand particles are searched."""
SENT, SENT_TO_GPU = 1, 2
"""Batches on the device at once: the one that is worked on, and the one that is being copied beside it."""

Rows = NDArray[np.int64]


class ImageReader(Protocol):
    """What images are read from."""

    box: int

    @property
    def pixels_per_grid_pixel(self) -> NDArray[np.float64]:
        """How many pixels of its own a pixel of the images that are read is to each particle, (n,)."""

    def read(self, rows: Rows, out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Images of these rows, in ``out`` if given."""


@dataclass
class _Coming:
    """A batch that is being read."""

    rows: Rows
    held: HostImages
    read: Future[None]


class ImageFeed:
    """Reads images for a device.

    Parameters
    ----------
    reader : ImageReader
        Is asked from several threads at once.
    device : torch.device
    """

    def __init__(self, reader: ImageReader, device: torch.device) -> None:
        self._reader, self._uploads = reader, Uploads(device)
        on_gpu = device.type == "cuda"
        self._readers, self._sent = (READERS_FOR_GPU, SENT_TO_GPU) if on_gpu else (READERS, SENT)
        self._ahead_bytes = AHEAD_BYTES if on_gpu else 0
        self._free: list[HostImages] = []

    def batches(self, batches: Sequence[Rows]) -> Iterator[tuple[Rows, Tensor]]:
        """Rows and their images (b, box, box), in the order asked for; valid until the next are asked for."""
        if not batches:
            return
        waiting, coming = deque(batches), deque[_Coming]()
        sent = deque[tuple[_Coming, Upload]]()
        free = deque(self._taken(len(batches), max(map(len, batches))))
        threads = ThreadPoolExecutor(self._readers)
        try:
            while waiting or coming or sent:
                while waiting and free:
                    rows, held = waiting.popleft(), free.popleft()
                    coming.append(_Coming(rows, held, threads.submit(self._fill, rows, held)))
                while coming and (not sent or (len(sent) < self._sent and coming[0].read.done())):
                    one = coming.popleft()
                    one.read.result()
                    sent.append((one, self._uploads.send(one.held, len(one.rows))))
                one, upload = sent.popleft()
                yield one.rows, upload.arrived()
                free.append(one.held)
        finally:
            threads.shutdown(cancel_futures=True)
            self._free += [*free, *(one.held for one in coming), *(one.held for one, _ in sent)]

    def _fill(self, rows: Rows, held: HostImages) -> None:
        self._reader.read(rows, held.to_fill(len(rows)))

    def _taken(self, batches: int, count: int) -> list[HostImages]:
        """Room for as many batches of ``count`` images as are on their way at once, that of earlier ones first."""
        box = self._reader.box
        most = max(self._readers + self._sent, self._ahead_bytes // (4 * box**2 * count))
        fitting = [held for held in self._free if len(held.images) >= count]
        # What another iteration, which goes on at the same time, has taken is not here.
        self._free = fitting[most:]
        missing = min(most, batches) - len(fitting)
        return fitting[:most] + [self._uploads.buffer(count, box) for _ in range(missing)]
