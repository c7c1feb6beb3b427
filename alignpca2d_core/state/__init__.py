"""What a run leaves on disk to be continued: tensors with schema and checksum, checkpoints, the lock of a folder."""

from .lock import sole_use
from .tensor_schema import Entry
from .tensor_store import State

__all__ = [
    "Entry",
    "State",
    "sole_use",
]
