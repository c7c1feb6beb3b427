"""ProtEmitParticles: hands on the particles of another protocol in portions, as extraction does during a session."""

import os
import time

from pwem.objects import SetOfParticles
from pwem.protocols import EMProtocol
from pyworkflow import NEW
from pyworkflow.object import Set
from pyworkflow.protocol import params

from ..convert import items_by_id

HOLD = "hold"


class ProtEmitParticles(EMProtocol):
    """Deliver particles in portions, to try what a streaming protocol makes of them.

    It is for tests and demonstrations and is not offered in Scipion's windows. The particles keep their ids and come
    in an order that is not that of the ids. While a file *hold* lies in the protocol's extra folder, no portion comes.
    """

    _label = "emit particles"
    _devStatus = NEW
    _possibleOutputs = {"outputParticles": SetOfParticles}

    @classmethod
    def isDisabled(cls):
        return True

    def _defineParams(self, form):
        form.addSection(label="Input")
        form.addParam("inputParticles", params.PointerParam, pointerClass="SetOfParticles", label="Input particles")
        form.addParam("portions", params.IntParam, default=15, label="Portions")
        form.addParam("pause", params.FloatParam, default=1.0, label="Seconds between portions")

    def _insertAllSteps(self):
        self._insertFunctionStep(self.emitStep, needsGPU=False)

    def emitStep(self):
        """Append portion after portion; after Continue, those that had not come."""
        source = self.inputParticles.get()
        ids = sorted(source.getIdSet(), key=lambda i: (i * 7919) % 10007)
        source.close()
        number = self.portions.get()
        for portion in (ids[k * len(ids) // number : (k + 1) * len(ids) // number] for k in range(number)):
            while os.path.exists(self._getExtraPath(HOLD)):
                time.sleep(0.2)
            self._append(source, portion)
            time.sleep(self.pause.get())
        self._closeOutputSet()

    def _append(self, source, portion):
        known = hasattr(self, "outputParticles")
        particles = SetOfParticles(filename=self._getPath("particles.sqlite"))
        particles.copyInfo(source)
        there = set(particles.getIdSet()) if known else set()
        if known:
            particles.enableAppend()
        for item in items_by_id(source, set(portion) - there):
            particles.append(item)
        source.close()
        self._updateOutputSet("outputParticles", particles, Set.STREAM_OPEN)
        if not known:
            self._defineSourceRelation(self.inputParticles, particles)
