"""ProtAlignPCA2D: 2D classification by AlignPCA-2D."""

import os
import time

import pyworkflow.utils as pwutils
from pwem.objects import SetOfAverages, SetOfClasses2D, SetOfCoordinates, SetOfParticles
from pwem.protocols import ProtClassify2D
from pyworkflow import NEW
from pyworkflow.object import Set
from pyworkflow.protocol import ProtStreamingBase
from pyworkflow.utils.retry_streaming import retry_on_sqlite_lock

from ..class_members import OtherColumns
from ..class_sets import update_classes, write_averages, write_classes
from ..constants import GALLERY_PNG, MODE_UPDATE, REPORT_HTML
from ..convert import write_averages as write_stack_of_averages
from ..convert import write_particles
from ..growing_input import is_open, refresh
from ..results import read_ids, read_summary
from . import checks, coordinate_output, core_run, form, form_input, report
from .particle_output import ParticleOutput
from .selection_files import read_selection, write_selection
from .stream_folder import StreamFolder
from .streaming import Feeder, initial_particles

INPUT_XMD = "input.xmd"
STREAM = "stream"


class ProtAlignPCA2D(ProtStreamingBase, ProtClassify2D):
    """Sort particles into 2D classes by AlignPCA-2D.

    Particles and class averages are compared by their Euclidean distance in a space of principal components of the
    Fourier transform, over all in-plane rotations and shifts, from coarse to fine. The averages are corrected for the
    CTF, centred and sorted: the largest class comes first. Each class is given the resolution to which its two halves
    agree, and each particle a score.

    The input may still be growing: the first classes are made as soon as there are enough particles, later particles
    improve them, and the earlier ones are looked at again.
    """

    _label = "alignPCA-2D (standalone)"  # Xmipp's plugin has a protocol that is called alignPCA-2D
    _devStatus = NEW
    _possibleOutputs = {
        "outputClasses": SetOfClasses2D,
        "outputAverages": SetOfAverages,
        "outputParticles": SetOfParticles,
        "outputCoordinates": SetOfCoordinates,
    }
    _delivered = None, (0, frozenset())
    """The core's count of the delivery that this process has put into the output sets, and the choice."""

    # -------------------------- DEFINE param functions ----------------------
    def _defineParams(self, formToFill):
        form_input.define_input(formToFill)
        form.define_classification(formToFill)
        form.define_poses(formToFill)
        form.define_streaming(formToFill)
        form.define_output(formToFill)
        form.define_coordinates(formToFill)
        form.define_parallel(formToFill)

    # -------------------------- STEPS functions -----------------------------
    def stepsGeneratorStep(self):
        """Classify a closed input in one go, and an open one, or what was begun as one, in batches."""
        folder = self.getStream()
        if folder.exists() or is_open(self.inputParticles.get()):
            if not folder.exists():
                pwutils.cleanPath(self._getExtraPath())
                pwutils.makePath(self._getExtraPath())
                folder.make()
            Feeder(self, folder).run()
        else:
            convert = self._insertFunctionStep(self.convertInputStep, prerequisites=[], needsGPU=False)
            classify = self._insertFunctionStep(self.classifyStep, prerequisites=[convert], needsGPU=self.usesGpu())
            self._insertFunctionStep(self.createOutputStep, None, True, prerequisites=[classify], needsGPU=False)

    def insertDelivery(self, number, last):
        """Insert the steps that let the core take a batch and then bring the outputs up to date; return the last one.

        Without a number there is no batch; the core is then called only to end the stream.
        """
        before, gpu = [], self.usesGpu()
        if number is not None or last:
            before = [self._insertFunctionStep(self.updateStep, number, last, prerequisites=[], needsGPU=gpu)]
        index = self._insertFunctionStep(self.createOutputStep, number, last, prerequisites=before, needsGPU=False)
        return self._steps[index - 1]

    def convertInputStep(self):
        """Write what the core reads: the particles' metadata and, in update mode, the averages to start from."""
        particles = self.inputParticles.get()
        path, pose_of = self._getExtraPath(INPUT_XMD), checks.pose_of(self)
        count = write_particles(particles, path, checks.uses_ctf(self), pose_of=pose_of)
        self.info(f"{count} particles to classify")
        pwutils.cleanPath(self._getExtraPath(core_run.REFERENCES))  # a run that goes on may have been given others
        self._writeReferences()

    def classifyStep(self):
        """Let the core classify all particles."""
        words = ["classify", self._getExtraPath(INPUT_XMD), "-o", self._getExtraPath(), *core_run.options(self)]
        core_run.run(self, words + (["--resume"] if os.path.isdir(self._getExtraPath("state")) else []))

    def updateStep(self, number, last):
        """Let the core take a batch of a stream."""
        refresh(self.inputParticles.get())
        self._writeReferences()
        folder = self.getStream()
        path = folder.nothing() if number is None else folder.batch(number)
        given = core_run.options(self, initial_particles(self), streaming=True)
        words = ["update", path, "-o", self._getExtraPath(), *given]
        core_run.run(self, words + (["--last"] if last else []))
        if number is not None:
            folder.taken(number)

    def createOutputStep(self, number, last):
        """Make the sets of classes and of averages from the core's tables, or bring them up to date.

        Parameters
        ----------
        number : int or None
            Of the batch; Scipion shows it with the step.
        last : bool
            Whether the sets are complete.
        """
        stream = read_summary(self._getExtraPath()).get("stream", {})
        if stream and not stream.get("batch"):
            return
        with self._lock:
            particleOutput = ParticleOutput(self)
            if not stream or last or self._delivered != (stream["batch"], particleOutput.selection):
                self._writeOutputs(stream, Set.STREAM_CLOSED if last else Set.STREAM_OPEN, particleOutput)
        if last and stream:
            self._checkThatAllAreThere()

    @retry_on_sqlite_lock()
    def _writeOutputs(self, stream, state, particleOutput):
        classes, averages = self._getPath("classes2D.sqlite"), self._getPath("averages.sqlite")
        folder, particles = self._getExtraPath(), self.inputParticles.get()
        refresh(particles)
        upToDate = bool(stream) and self._bringUpToDate(classes, stream["batch"], state)
        if not upToDate:
            write_classes(classes, self.inputParticles, folder, state)
        write_averages(averages, particles, folder, state)
        self._output("outputClasses", SetOfClasses2D(filename=classes), state)
        self._output("outputAverages", SetOfAverages(filename=averages), state)
        particleOutput.deliver(upToDate, state)
        if state == Set.STREAM_CLOSED:
            for coordinates in coordinate_output.deliver(self, particleOutput):
                self._relate(coordinates)
        self._delivered = stream.get("batch"), particleOutput.selection

    def sources(self):
        """Pointers to what the outputs are made of."""
        return [self.inputParticles] + ([self.initialClasses] if self.mode.get() == MODE_UPDATE else [])

    def _bringUpToDate(self, path, batch, state):
        """Apply the core's table of changes; say whether that could be done."""
        delivered = self._delivered[0]
        if batch == delivered:
            return True
        if delivered is None or batch != delivered + 1:
            return False
        try:
            update_classes(path, self.inputParticles, self._getExtraPath(), state)
        except OtherColumns as problem:
            self.warning(f"All classes are rewritten: {problem}")
            return False
        return True

    def _output(self, name, output, state):
        """Make a set that lies in its file an output, or renew it as one."""
        if isinstance(output, SetOfClasses2D):
            output.setImages(self.inputParticles)
            output._representatives.set(True)
        else:
            output.loadAllProperties()
        self._updateOutputSet(name, output, state)
        self._relate(getattr(self, name))

    def _relate(self, output):
        """Say what an output is made of, where that was not said: a lock or a kill may have come between."""
        rows = [row for row in self.getRelations() if row["object_child_id"] == output.getObjId()]
        known = {(row["object_parent_id"], row["object_parent_extended"] or "") for row in rows}
        for source in self.sources():
            if (source.getObjValue().getObjId(), source.getExtended() or "") not in known:
                self._defineSourceRelation(source, output)
        self.mapper.commit()

    def _checkThatAllAreThere(self):
        missing = self.getStream().ids() - read_ids(self._getExtraPath())
        if missing:
            self.addSummaryWarning(f"{len(missing)} particles are not in the results, such as {min(missing)}.")

    # -------------------------- INFO functions ------------------------------
    def _validate(self):
        return checks.errors(self)

    def _warnings(self):
        return checks.warnings(self)

    def _summary(self):
        progress = core_run.read_verdict(self).get("progress", "")
        lines = report.summary(self, read_summary(self._getExtraPath()), self.getStream().progress(), progress)
        return lines + ParticleOutput(self).lines()

    def _methods(self):
        return report.methods(self)

    def _citations(self):
        return ["RamirezAportela2026"]

    # -------------------------- UTILS functions -----------------------------
    def getGallery(self):
        """The picture of all class averages."""
        return self._getExtraPath(GALLERY_PNG)

    def getReport(self):
        """The core's report, to be opened in a browser."""
        return self._getExtraPath(REPORT_HTML)

    def progressLines(self):
        """What the monitor says above its charts, from files alone: it may be asked by another process at any time."""
        return report.progress_lines(read_summary(self._getExtraPath()), self.getStream().progress())

    def hasNewChoice(self):
        """Whether other classes were chosen since the outputs were brought up to date."""
        return self._delivered[0] is not None and read_selection(self._getExtraPath()) != self._delivered[1]

    def choose(self, numbers):
        """Deliver the particles of these classes from now on; asked for by another process."""
        write_selection(self._getExtraPath(), numbers)

    def getStream(self):
        """The memory of a growing input."""
        return StreamFolder(self._getExtraPath(STREAM))

    def waitSeconds(self, seconds):
        """Sleep, or less when a step has failed."""
        end = time.monotonic() + seconds
        while not self.isFailed() and time.monotonic() < end:
            time.sleep(min(1.0, seconds))

    def _writeReferences(self):
        path = self._getExtraPath(core_run.REFERENCES)
        if self.mode.get() == MODE_UPDATE and not os.path.exists(path):
            initial = self.initialClasses.get()
            isClasses = isinstance(initial, SetOfClasses2D)
            write_stack_of_averages(initial.iterRepresentatives() if isClasses else initial.iterItems(), path)
