"""The memory of a pretended GPU: what lives there, what the allocator keeps, and the end of it."""

from __future__ import annotations

import weakref
from collections import Counter

import torch
from pretended_tensor import OnGpu


class GpuMemory:
    """Counts the bytes of what wrappers hold.  Like PyTorch's own, the allocator keeps what was freed.

    Parameters
    ----------
    limit : int
        Bytes that the GPU has.
    """

    def __init__(self, limit: int) -> None:
        self.limit, self.allocated, self.reserved, self.peak, self.refusals = limit, 0, 0, 0, 0
        self._holders: Counter[int] = Counter()

    def hold(self, wrapper: OnGpu) -> None:
        """Count what a wrapper holds for as long as it lives.

        Raises
        ------
        torch.cuda.OutOfMemoryError
            Where that is more than there is.
        """
        storage = wrapper.held.untyped_storage()
        place, size = storage.data_ptr(), storage.nbytes()
        if not size:
            return
        if not self._holders[place]:
            if self.allocated + size > self.limit:
                self.refusals += 1
                del self._holders[place]
                raise torch.cuda.OutOfMemoryError(f"CUDA out of memory. Tried to allocate {size} bytes")
            self.allocated += size
            self.reserved, self.peak = max(self.reserved, self.allocated), max(self.peak, self.allocated)
        self._holders[place] += 1
        weakref.finalize(wrapper, self._release, place, size).atexit = False

    def _release(self, place: int, size: int) -> None:
        self._holders[place] -= 1
        if not self._holders[place]:
            del self._holders[place]
            self.allocated -= size

    def give_back(self) -> None:
        """What ``torch.cuda.empty_cache`` does."""
        self.reserved = self.allocated

    def free_and_whole(self) -> tuple[int, int]:
        """What ``torch.cuda.mem_get_info`` says."""
        return self.limit - self.reserved, self.limit
