"""ProtAlignPCA2D: 2D classification by AlignPCA-2D."""

import json
import os
import shlex
import subprocess
import time

import pyworkflow.utils as pwutils
from pwem.constants import ALIGN_NONE
from pwem.objects import SetOfAverages, SetOfClasses2D
from pwem.protocols import ProtClassify2D
from pyworkflow import NEW
from pyworkflow.protocol import ProtStreamingBase
from pyworkflow.utils.retry_streaming import safeIsStreamOpen

from .. import Plugin, core_job
from ..constants import AUTOMATIC, GALLERY_PNG, MODE_UPDATE, PRESETS
from ..convert import write_averages, write_particles
from ..results import fill_averages, fill_classes, read_summary
from . import checks, form, report

INPUT_XMD = "input.xmd"
REFERENCES = "references.mrcs"
VERDICT = "verdict.json"


class CoreError(Exception):
    """The core failed; the message is its own line."""


class ProtAlignPCA2D(ProtStreamingBase, ProtClassify2D):
    """Sort particles into 2D classes by AlignPCA-2D.

    Particles and class averages are compared by their Euclidean distance in a space of principal components of the
    Fourier transform, over all in-plane rotations and shifts, from coarse to fine. The averages are corrected for the
    CTF, centred and sorted: the largest class comes first. Each class is given the resolution to which its two halves
    agree, and each particle a score.
    """

    _label = "alignPCA-2D"
    _devStatus = NEW
    _possibleOutputs = {"outputClasses": SetOfClasses2D, "outputAverages": SetOfAverages}

    # -------------------------- DEFINE param functions ----------------------
    def _defineParams(self, formToFill):
        form.define_input(formToFill)
        form.define_pca(formToFill)
        form.define_classification(formToFill)
        form.define_streaming(formToFill)
        form.define_parallel(formToFill)

    # -------------------------- STEPS functions -----------------------------
    def stepsGeneratorStep(self):
        """Wait until the input is complete, then classify it in one go."""
        if safeIsStreamOpen(self.inputParticles.get()):
            self.info("Waiting until the input is complete")
        while safeIsStreamOpen(self.inputParticles.get()):
            if not self._waitSeconds(self.streamingSleepOnWait.get()):
                return
        convert = self._insertFunctionStep(self.convertInputStep, prerequisites=[], needsGPU=False)
        classify = self._insertFunctionStep(self.classifyStep, prerequisites=[convert], needsGPU=self.usesGpu())
        self._insertFunctionStep(self.createOutputStep, prerequisites=[classify], needsGPU=False)

    def convertInputStep(self):
        """Write what the core reads: the particles' metadata and, in update mode, the averages to start from."""
        particles = self.inputParticles.get()
        count = write_particles(particles, self._getExtraPath(INPUT_XMD), checks.uses_ctf(self))
        self.info(f"{count} particles to classify")
        if self.mode.get() == MODE_UPDATE:
            write_averages(self._initialAverages(), self._getExtraPath(REFERENCES))

    def classifyStep(self):
        """Run the core."""
        self._runCore(["classify", self._getExtraPath(INPUT_XMD), "-o", self._getExtraPath(), *self._coreOptions()])

    def createOutputStep(self):
        """Make the sets of classes and of averages from the core's tables."""
        particles = self.inputParticles.get()
        with self._lock:
            classes = self._createSetOfClasses2D(self.inputParticles)
            fill_classes(classes, self._getExtraPath())
            averages = self._createSetOfAverages()
            averages.copyInfo(particles)
            averages.setAlignment(ALIGN_NONE)
            averages.setHasCTF(False)
            averages.setIsPhaseFlipped(False)
            fill_averages(averages, self._getExtraPath())
            self._defineOutputs(outputClasses=classes, outputAverages=averages)
            inputs = [self.inputParticles]
            if self.mode.get() == MODE_UPDATE:
                inputs.append(self.initialClasses)
            for source in inputs:
                self._defineSourceRelation(source, classes)
                self._defineSourceRelation(source, averages)

    # -------------------------- INFO functions ------------------------------
    def _validate(self):
        return checks.errors(self)

    def _warnings(self):
        return checks.warnings(self)

    def _summary(self):
        return report.summary(self, read_summary(self._getExtraPath()), self._readVerdict().get("progress", ""))

    def _methods(self):
        return report.methods(self)

    def _citations(self):
        return ["RamirezAportela2026"]

    # -------------------------- UTILS functions -----------------------------
    def getGallery(self):
        """The picture of all class averages."""
        return self._getExtraPath(GALLERY_PNG)

    def _waitSeconds(self, seconds):
        """Sleep, and say whether the protocol is still to go on: it is not when a step has failed."""
        end = time.monotonic() + seconds
        while not self.isFailed() and time.monotonic() < end:
            time.sleep(min(1.0, seconds))
        return not self.isFailed()

    def _initialAverages(self):
        initial = self.initialClasses.get()
        return initial.iterRepresentatives() if isinstance(initial, SetOfClasses2D) else initial.iterItems()

    def _coreOptions(self):
        """The form's parameters as the core's options; what is automatic is left to the core."""
        particles = self.inputParticles.get()
        options = {
            "--resolution": self.resolution.get(),
            "--variance": self.variance.get(),
            "--sampling-rate": particles.getSamplingRate(),
            "--mask-diameter": _unless_automatic(self.maskDiameter),
            "--initial-particles": _unless_automatic(self.initialParticles),
            "--batch-size": _unless_automatic(self.batchSize),
            "--iterations": _unless_automatic(self.iterations),
            "--seed": self.seed.get(),
            "--preset": PRESETS[self.preset.get()],
            "--ctf": self._ctfOption(),
            "--device": "auto" if self.usesGpu() else "cpu",
            "--threads": self.binThreads.get() or None,
        }
        if self.mode.get() == MODE_UPDATE:
            options["--references"] = self._getExtraPath(REFERENCES)
        else:
            options["--classes"] = self.numberOfClasses.get()
        words = [str(word) for pair in options.items() if pair[1] is not None for word in pair]
        words += ["--phase-flipped"] if particles.isPhaseFlipped() else []
        words += ["--invert"] if self.invertContrast else []
        return words + (["--resume"] if os.path.isdir(self._getExtraPath("state")) else [])

    def _ctfOption(self):
        if not checks.uses_ctf(self):
            return "none"
        return "auto" if PRESETS[self.preset.get()] == "default" else None

    def _runCore(self, words):
        """Run the core with these arguments; raise CoreError with its own words when it fails."""
        verdict = self._getExtraPath(VERDICT)
        pwutils.cleanPath(verdict)
        job = [os.path.abspath(core_job.__file__), "--verdict", verdict]
        if not self.useQueueForSteps():
            job += ["--while-alive", str(os.getpid())]
        program, arguments = shlex.quote(Plugin.getPython()), " ".join(map(shlex.quote, [*job, "--", *words]))
        if self.usesGpu():
            program, arguments = f"CUDA_VISIBLE_DEVICES=%(GPU)s {program}", arguments.replace("%", "%%")
        failure = ""
        try:
            self.runJob(program, arguments, numberOfThreads=self.getBinThreads() or 1)
        except subprocess.CalledProcessError as error:
            failure = f"the program ended with exit code {error.returncode}"
        outcome = self._readVerdict()
        if failure or outcome.get("exit_code") != 0:
            raise CoreError(outcome.get("message") or failure or "the program ended without a result: see its log")

    def _readVerdict(self):
        try:
            with open(self._getExtraPath(VERDICT), encoding="utf-8") as stream:
                return json.load(stream)
        except (OSError, ValueError):
            return {}


def _unless_automatic(parameter):
    return None if parameter.get() == AUTOMATIC else parameter.get()
