"""Why ranks cannot go on together: one has gone, one has no memory left, or what carries their data has failed."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Protocol

import torch
import torch.distributed as dist

GONE = ("closed", "reset by peer", "broken pipe", "refused", "timed out", "timeout", "remote process exited")
"""How gloo and NCCL say that another rank does not answer."""
NO_MEMORY = "out of memory"


class LostRank(RuntimeError):
    """Another rank has gone: nothing can be finished together any more."""


class BackendFault(RuntimeError):
    """NCCL or gloo has failed, with all ranks still there as far as is known."""


class Store(Protocol):
    """What is asked of torch.distributed's stores."""

    def set(self, key: str, value: str) -> None: ...

    def get(self, key: str) -> bytes: ...

    def check(self, keys: list[str]) -> bool: ...


class RankErrors:
    """The last error of ranks that fail, for the other ranks, which see only that a connection is closed.

    Parameters
    ----------
    store : Store
        That of torchrun, which outlives its ranks.
    rank, ranks : int
    """

    def __init__(self, store: Store, rank: int, ranks: int) -> None:
        self.store, self.rank, self.ranks = store, rank, ranks

    def leave(self, error: Exception) -> None:
        """Say what this rank ends with, unless that only follows from another's end."""
        if not isinstance(error, LostRank):
            said = "no memory is left on its device" if is_no_memory(error) else _in_one_line(error)
            with suppress(RuntimeError):
                self.store.set(self._key(self.rank), said)

    def of_others(self) -> str | None:
        """The first rank that has left a word, and the word."""
        with suppress(RuntimeError):
            for rank in range(self.ranks):
                if rank != self.rank and self.store.check([self._key(rank)]):
                    return f"rank {rank}: {self.store.get(self._key(rank)).decode(errors='replace')}"
        return None

    def _key(self, rank: int) -> str:
        return f"alignpca2d/fault/{rank}"


def is_no_memory(error: Exception) -> bool:
    """Whether memory has ended, which NCCL says in its own way."""
    return isinstance(error, torch.cuda.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and NO_MEMORY in str(error).lower()
    )


def fault_behind(error: RuntimeError, words: RankErrors | None) -> RuntimeError:
    """What a collective's error means for this rank."""
    said, left = _in_one_line(error), words.of_others() if words else None
    if left is not None:
        return LostRank(f"another rank has ended ({left}); --resume continues")
    if is_no_memory(error):
        return torch.cuda.OutOfMemoryError(said)
    if any(one in said.lower() for one in GONE):
        return LostRank(f"another rank has gone ({said}); --resume continues")
    return BackendFault(f"{'NCCL' if isinstance(error, dist.DistBackendError) else 'gloo'} has failed ({said})")


def _in_one_line(error: Exception) -> str:
    # The backend puts the place in its own source before what happened.
    return re.sub(r"^\[[^]]*\] ", "", " ".join(str(error).split()))[:200]
