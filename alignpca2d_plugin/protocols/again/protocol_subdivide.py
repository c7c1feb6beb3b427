"""ProtAlignPCA2DSubdivide: chosen classes of an earlier run classified again on their own."""

import os
import shlex

import pyworkflow.protocol.params as params
from pwem.objects import SetOfClasses2D
from pyworkflow import NEW

from .. import checks, core_run, form, form_input
from ..bounds import within
from ..protocol_alignpca2d import ProtAlignPCA2D

POSES = ["searched", "kept"]
INHERITED = ("goodScore", "goodResolution")
"""Limits that the program takes from the earlier run where none are given, as it does not with ``goodCount``."""
MOST_STEPS = 20
"""Subsets of subsets that are followed back to the run that made the classes."""


class ProtAlignPCA2DSubdivide(ProtAlignPCA2D):
    """Classify the particles of some classes of AlignPCA-2D again, on their own.

    The input are the classes of an earlier run of *alignPCA-2D (standalone)*, or a subset of them that was made in
    *Analyze results*. Particles of all other classes are left out, and the earlier classes stay as they are. Use it to
    part a class that is mixed, to look for rare views, or to see whether there are particles in what was set aside.
    """

    _label = "alignPCA-2D subdivide classes"
    _devStatus = NEW
    OPTIONS = {"classes": "chosen", "into": "numberOfClasses", "poses": "poses"}
    """Options of the program that the form calls otherwise than the one of the earlier run."""

    # -------------------------- DEFINE param functions ----------------------
    def _defineParams(self, formToFill):
        formToFill.addSection(label="Input")
        form_input.define_gpu(formToFill)
        formToFill.addParam(
            "inputClasses",
            params.PointerParam,
            pointerClass="SetOfClasses2D",
            important=True,
            label="Classes",
            help="The classes of an earlier run, or a subset of them.",
        )
        formToFill.addParam(
            "chosen",
            params.StringParam,
            default="",
            label="Which of them (empty: all)",
            help="Numbers of classes such as *3,7-9*, or verdicts: *junk* for what was set aside, *good,doubtful*. "
            "Empty: all classes of the set, as of a subset that you have chosen in *Analyze results*.",
        )
        formToFill.addParam(
            "numberOfClasses",
            params.IntParam,
            default=10,
            important=True,
            validators=[within(1, 100_000)],
            label="Number of new classes",
            help="All of them are delivered and none is empty. Allow at least 50 particles for each.",
        )
        formToFill.addParam(
            "poses",
            params.EnumParam,
            choices=["Search again", "Keep"],
            default=0,
            display=params.EnumParam.DISPLAY_HLIST,
            label="Angles and shifts",
            help="*Search again*: particles may find another place.\n*Keep*: particles stay as they are aligned and "
            "only their classes are new. It shows whether an aligned class is mixed: conformations, a ligand.",
        )
        form.define_output(formToFill, INHERITED)
        form.define_coordinates(formToFill)
        form.define_parallel(formToFill)

    # -------------------------- STEPS functions -----------------------------
    def stepsGeneratorStep(self):
        """Classify, then deliver."""
        work = self._insertFunctionStep(self.subdivideStep, prerequisites=[], needsGPU=self.usesGpu())
        self._insertFunctionStep(self.createOutputStep, None, True, prerequisites=[work], needsGPU=False)

    def subdivideStep(self):
        """Let the core classify the particles of the chosen classes."""
        words = ["subdivide", self.earlier()._getExtraPath(), "-o", self._getExtraPath()]
        words += ["--classes", self.chosen.get().strip() or self._numbers()]
        words += ["--into", str(self.numberOfClasses.get()), "--poses", POSES[self.poses.get()]]
        words += core_run.common_options(self) + shlex.split(self.extraArguments.get() or "")
        core_run.run(self, words + (["--resume"] if os.path.isdir(self._getExtraPath("state")) else []))

    def sources(self):
        return [self.inputClasses]

    # -------------------------- INFO functions ------------------------------
    def _validate(self):
        if self.inputClasses.get() is None:
            return []
        if self.earlier() is None:
            return [
                "Choose classes of alignPCA-2D (standalone), or a subset of them: others keep no program's results."
            ]
        return checks.errors_of_any(self)

    def _warnings(self):
        return []

    def _methods(self):
        classes = getattr(self, "outputClasses", None)
        if classes is None:
            return []
        kept = ", with the alignment that they had" if POSES[self.poses.get()] == "kept" else ""
        return [
            f"The particles of some of the classes were classified again into {classes.getSize()} classes with "
            f"AlignPCA-2D [RamirezAportela2026]{kept}."
        ]

    # -------------------------- UTILS functions -----------------------------
    @property
    def inputParticles(self):
        """The pointer to the particles that the classes were made from."""
        return self.earlier().inputParticles

    def earlier(self):
        """The run that made the classes; None where it is none of ours."""
        pointer = self.inputClasses
        for _ in range(MOST_STEPS):
            found = pointer.getObjValue() if pointer is not None else None
            if isinstance(found, SetOfClasses2D):
                parent = found.getObjParentId()
                found = None if parent is None else self.getProject().getProtocol(parent)
            if isinstance(found, ProtAlignPCA2D):
                return found
            pointer = getattr(found, "inputObject", None)
        return None

    def _numbers(self):
        """The classes of the set, as the program wants them."""
        return ",".join(map(str, sorted(self.inputClasses.get().getIdSet())))
