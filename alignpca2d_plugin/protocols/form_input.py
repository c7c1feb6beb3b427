"""The first page of the form: what is classified, and into how many classes."""

import pyworkflow.protocol.params as params
from pyworkflow.protocol.constants import GPU_LIST, USE_GPU

from ..constants import AUTOMATIC, MODE_CREATE, MODE_UPDATE
from .bounds import AutomaticOr, within


def define_input(form):
    """Particles, how many classes, to what resolution, and how the particles look."""
    form.addSection(label="Input")
    define_gpu(form)
    _particles(form)
    _classes(form)
    _images(form)


def define_gpu(form):
    """Whether, and which, in the section that is open."""
    form.addHidden(
        USE_GPU,
        params.BooleanParam,
        default=True,
        label="Use GPU for execution",
        help="Yes: classify on the GPU chosen below. Where there is none that the program can use, it works on the "
        "CPU. No: work on the CPU.",
    )
    form.addHidden(
        GPU_LIST,
        params.StringParam,
        default="0",
        label="Choose GPU ID",
        help="The number of the GPU, as nvidia-smi lists them; several as 0,1 or 0-3. They share the particles of an "
        "input that is complete. While the input is still growing, with rounds on what is set aside, when classes are "
        "classified again, and with the preset *paper*, the first of them is used.",
    )


def _particles(form):
    form.addParam(
        "inputParticles",
        params.PointerParam,
        pointerClass="SetOfParticles",
        important=True,
        label="Input particles",
        help="The extracted particles. They may be the output of a protocol that is still running. Their box should "
        "leave room around the particle (1.5 to 2 times its longest axis). Disabled particles are left out.",
    )
    form.addParam(
        "mode",
        params.EnumParam,
        choices=["Create classes", "Update given classes"],
        default=MODE_CREATE,
        display=params.EnumParam.DISPLAY_HLIST,
        label="Mode",
        help="*Create classes*: start from the particles alone.\n*Update given classes*: start from averages that "
        "you have already, and refine them with these particles, for instance those of the next day of a session.",
    )
    form.addParam(
        "initialClasses",
        params.PointerParam,
        pointerClass="SetOfClasses2D,SetOfAverages",
        condition=f"mode == {MODE_UPDATE}",
        allowsNull=True,
        label="Initial classes",
        help="Classes or averages to start from, of the same box and pixel size as the particles. As many classes "
        "are made as there are here.",
    )


def _classes(form):
    form.addParam(
        "numberOfClasses",
        params.IntParam,
        default=50,
        important=True,
        condition=f"mode == {MODE_CREATE}",
        validators=[within(1, 100_000)],
        label="Number of classes",
        help="All of them are delivered and none is empty. 50 to 200 for a first cleaning of the particles; allow at "
        "least 50 to 100 particles for each class.",
    )
    form.addParam(
        "resolution",
        params.FloatParam,
        default=8.0,
        important=True,
        validators=[within(1.0, 200.0)],
        label="Resolution limit (Å)",
        help="The finest detail that is compared. 8 Å suits most particles; a coarser limit is faster and more robust "
        "for very noisy or very small ones.",
    )


def _images(form):
    form.addParam(
        "correctCtf",
        params.BooleanParam,
        default=True,
        label="Correct the CTF?",
        help="Yes: each particle is compared with the averages as its own CTF would show them, and the averages are "
        "corrected. Particles without a CTF estimate, and those corrected in amplitude already, are taken as they "
        "are. Whether the phases were flipped before is known from the set.\nNo: ignore the CTF.",
    )
    form.addParam(
        "invertContrast",
        params.BooleanParam,
        default=False,
        label="Invert contrast?",
        help="Particles must be brighter than the background. Say Yes when yours are dark on a bright background, as "
        "they come from a micrograph in ice that was not inverted.",
    )
    form.addParam(
        "maskDiameter",
        params.FloatParam,
        default=AUTOMATIC,
        validators=[AutomaticOr(1.0)],
        label="Mask diameter (Å; -1: whole box)",
        help="Diameter of the soft circular mask. It should hold the particle and little else: 10 to 20 % more than "
        f"its longest axis; the wizard draws it over an average. {AUTOMATIC} takes the largest circle that fits in the "
        "box.",
    )
