"""outputParticles: the particles of good classes, or of those that were chosen while the protocol runs.

A choice is a file that the windows write.  Each new choice makes a set of its own, since others may work with the one
before: this is closed as it is.
"""

import os

from pwem.objects import SetOfParticles
from pyworkflow.object import Set

from ..chosen_particles import has_number, has_verdict, update_particles_of, write_particles_of
from ..class_members import OtherColumns
from ..constants import CHANGED_XMD, NO_PARTICLES, VERDICTS
from ..results import read_assignments
from .selection_files import read_selection


class ParticleOutput:
    """The set of particles that a protocol delivers at the moment.

    Parameters
    ----------
    protocol : ProtAlignPCA2D
    """

    def __init__(self, protocol):
        self._protocol = protocol
        self.selection = self.version, self._numbers = read_selection(protocol._getExtraPath())
        self._verdicts = VERDICTS[: protocol.goodParticles.get()]
        byVerdict = protocol.goodParticles.get() != NO_PARTICLES
        self.place = self.version + 1 if byVerdict else self.version
        """Which of the protocol's sets of particles it is, from 1; 0: none was asked for."""

    @staticmethod
    def name(place):
        """The output's name."""
        return "outputParticles" + (str(place) if place > 1 else "")

    def path(self, place):
        """The file of a set."""
        return self._protocol._getPath(f"particles{place if place > 1 else ''}.sqlite")

    def is_chosen(self, item):
        """Whether a class belongs to it."""
        return (has_number(self._numbers) if self.version else has_verdict(self._verdicts))(item)

    def lines(self):
        """Which classes were chosen while the protocol ran, for the summary."""
        if not self.version:
            return []
        return [f"*{self.name(self.place)}*: the particles of classes {', '.join(map(str, sorted(self._numbers)))}."]

    def deliver(self, upToDate, state):
        """Make the set, or renew it, and close those of earlier choices.

        Parameters
        ----------
        upToDate : bool
            Whether the set of classes was changed by the core's table of changes alone.
        state : int
            Whether more particles may come.
        """
        for place in range(1, self.place):
            self._close(place)
        if not self.place:
            return
        protocol, name, path = self._protocol, self.name(self.place), self.path(self.place)
        if not hasattr(protocol, name) or not upToDate or not self._bring_up_to_date(path, state):
            particles = protocol.inputParticles.get()
            count = write_particles_of(path, particles, protocol.outputClasses, self.is_chosen, state)
            if not count and state == Set.STREAM_CLOSED:
                protocol.warning("There are no particles in the classes that were asked for")
        if os.path.exists(path):
            protocol._output(name, SetOfParticles(filename=path), state)

    def _bring_up_to_date(self, path, state):
        changed = read_assignments(self._protocol._getExtraPath(), CHANGED_XMD)
        try:
            update_particles_of(path, self._protocol.outputClasses, self.is_chosen, changed, state)
        except OtherColumns as problem:
            self._protocol.info(f"The set of particles is rewritten: {problem}")
            return False
        return True

    def _close(self, place):
        output = getattr(self._protocol, self.name(place), None)
        if output is not None and output.isStreamOpen():
            self._protocol._output(self.name(place), SetOfParticles(filename=self.path(place)), Set.STREAM_CLOSED)
