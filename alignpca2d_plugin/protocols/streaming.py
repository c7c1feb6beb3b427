"""When a growing input's particles go to the core: the steps of a protocol whose input is still open.

Batches are handed over one at a time, and a batch that the core was busy with when the protocol ended is handed over
again, which the core takes for what it is.
"""

import time

from ..constants import AUTOMATIC, MODE_UPDATE
from ..growing_input import look, refresh
from ..results import read_summary
from . import checks

INITIAL_PER_CLASS = 100
"""As in the core's `update`."""
AUTOMATIC_BATCH = 1000
MOST_BATCHES_AT_ONCE = 10
"""A backlog is worked off in larger portions, which are quicker than as many small ones."""


def initial_particles(protocol):
    """How many particles start the classes."""
    if protocol.initialParticles.get() != AUTOMATIC:
        return protocol.initialParticles.get()
    classes = protocol.numberOfClasses.get()
    if protocol.mode.get() == MODE_UPDATE:
        classes = protocol.initialClasses.get().getSize()
    return INITIAL_PER_CLASS * classes


class Feeder:
    """Hands the input's particles over until it is closed and all have been taken.

    Parameters
    ----------
    protocol : ProtAlignPCA2D
    folder : StreamFolder
    """

    def __init__(self, protocol, folder):
        self._protocol, self._folder = protocol, folder
        self._known = folder.ids()
        self._batch = protocol.batchSize.get() if protocol.batchSize.get() != AUTOMATIC else AUTOMATIC_BATCH
        self._waiting_since = None

    def run(self):
        """Insert steps as there is work for them; return when the last ones are inserted, or when a step failed."""
        protocol, busy = self._protocol, None
        if self._started() and self._folder.pending() is None:
            busy = protocol.insertDelivery(None, False)
        while not protocol.isFailed():
            if busy is None or busy.isFinished():
                growing, ids = look(protocol.inputParticles.get())
                number, last = self._next_batch(growing, ids - self._known)
                if number is not None or last or protocol.hasNewChoice():
                    busy = protocol.insertDelivery(number, last)
                if last:
                    return
            protocol.waitSeconds(protocol.streamingSleepOnWait.get())

    def _next_batch(self, growing, new):
        """The number of the batch to hand over now, or None, and whether it is the last."""
        number = self._folder.pending()
        missing = self._missing(len(new))
        self._folder.note(found=len(self._known) + len(new), initial=initial_particles(self._protocol), missing=missing)
        if number is not None:
            return number, not growing and not new
        if not new:
            self._waiting_since = None
            return None, not growing
        if growing and not self._is_time(len(new), missing):
            return None, False
        most = self._wanted() if not self._started() and growing else MOST_BATCHES_AT_ONCE * self._batch
        chosen = sorted(new)[: max(most, 1)]
        particles = self._protocol.inputParticles.get()
        refresh(particles)
        number = self._folder.write(particles, chosen, checks.uses_ctf(self._protocol), checks.pose_of(self._protocol))
        particles.close()
        # Without those that have left the input meanwhile, as they leave the particles of good classes.
        self._known.update(self._folder.ids_of_batch(number))
        self._waiting_since = None
        return number, not growing and len(chosen) == len(new)

    def _is_time(self, new, missing):
        """Whether there are enough new particles, or some have waited for long enough."""
        if not self._started():
            return missing == 0
        if self._waiting_since is None:
            self._waiting_since = time.monotonic()
        return new >= self._batch or time.monotonic() - self._waiting_since >= self._protocol.maxWait.get()

    def _wanted(self):
        """How many particles are to be handed over for the first classes, above those that were already."""
        stream = read_summary(self._protocol._getExtraPath()).get("stream", {})
        return max(initial_particles(self._protocol) - len(self._known), stream.get("missing", 0))

    def _missing(self, new):
        """How many particles must still come before there are classes."""
        return 0 if self._started() else max(self._wanted() - new, 0)

    def _started(self):
        """Whether the core has made classes."""
        return read_summary(self._protocol._getExtraPath()).get("stream", {}).get("batch", 0) > 0
