"""What a stream keeps in DIR/state: ``stream_store`` commits it, the others are what is committed.

=====================  =======================================================================
``stream_store``       batches, assignments and classes; one commit at a time
``stream_records``     what is written down of a stream and of each batch
``particle_identity``  whether a particle has come before, and its image is still what it was
``given_rows``         the rows of the input, as they came
``delivery_log``       figures of each delivery
``batch_compaction``   many small batches become one
=====================  =======================================================================
"""

from .batch_compaction import merge
from .stream_records import Assignments, Batch, Record
from .stream_store import StreamStore

__all__ = ["Assignments", "Batch", "Record", "StreamStore", "merge"]
