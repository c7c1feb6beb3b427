"""Host memory that images are read into, and their way to a GPU beside what is computed there.

A GPU copies by itself from pinned memory, which is slow to get and is therefore used again; on a stream of its own
such a copy does not wait for what is computed.  On a CPU the memory is plain, and nothing is copied.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass
class HostImages:
    """Room for images in the host's memory, (count, box, box) float32.

    Attributes
    ----------
    images : Tensor
    copied : torch.cuda.Event or None
        When the last copy from here to the GPU will be done.
    """

    images: Tensor
    copied: torch.cuda.Event | None = None

    def to_fill(self, count: int) -> NDArray[np.float32]:
        """Room for so many images, as soon as what was there before has been copied."""
        if self.copied is not None:
            self.copied.synchronize()
        return self.images[:count].numpy()


@dataclass
class Upload:
    """Images on their way to a device."""

    images: Tensor
    copied: torch.cuda.Event | None = None

    def arrived(self) -> Tensor:
        """The images, for what is computed from here on."""
        if self.copied is not None:
            stream = torch.cuda.current_stream(self.images.device)
            stream.wait_event(self.copied)
            self.images.record_stream(stream)
        return self.images


class Uploads:
    """Allocates buffers in the host's memory for images of one device, and sends them there.

    Parameters
    ----------
    device : torch.device
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    def buffer(self, count: int, box: int) -> HostImages:
        """A buffer for so many images; pinned where there is a GPU."""
        images = torch.empty(count, box, box)
        return HostImages(images if self._stream is None else images.pin_memory())

    def send(self, held: HostImages, count: int) -> Upload:
        """The first images on the device; on a CPU these are the ones in ``held``."""
        if self._stream is None:
            return Upload(held.images[:count])
        with torch.cuda.stream(self._stream):
            images = held.images[:count].to(self.device, non_blocking=True)
            held.copied = self._stream.record_event()
        return Upload(images, held.copied)
