"""The form of ProtAlignPCA2D: one function per section, help in a microscopist's words.

Defaults and bounds are those of ``alignpca2d_core.settings``; a test holds one against the other.
"""

import pyworkflow.protocol.params as params
from pyworkflow.protocol.constants import GPU_LIST, LEVEL_ADVANCED, USE_GPU

from ..constants import AUTOMATIC, MODE_CREATE, MODE_UPDATE, NO_PARTICLES, PRESETS

SCIPION_THREADS = 3


class AutomaticOr(params.Validator):
    """Accepts -1, which means automatic, and whatever lies within bounds."""

    def __init__(self, low, high=None):
        self.low, self.high = low, high

    def __call__(self, value):
        if value is None or value == AUTOMATIC:
            return []
        if value < self.low or (self.high is not None and value > self.high):
            to = "" if self.high is None else f" and at most {self.high}"
            return [f"must be at least {self.low}{to}, or {AUTOMATIC} to let the program choose"]
        return []


LIMITS = (
    (
        "goodScore",
        params.FloatParam,
        0.0,
        "Least score of a good class",
        "The least mean score of the members: by how many standard deviations they fit their class better than noise.",
    ),
    (
        "goodResolution",
        params.FloatParam,
        1.0,
        "Coarsest resolution of a good class (Å)",
        "The resolution to which the two halves of a class must agree.",
    ),
    (
        "goodCount",
        params.IntParam,
        1,
        "Fewest particles of a good class",
        "How many particles a class must have.",
    ),
)
"""Limits of the verdict: parameter, its kind, the least value, label and help."""


def within(low, high):
    return params.Range(low, high, error=f"must lie between {low} and {high}")


def define_input(form):
    form.addSection(label="Input")
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
        "input that is complete. While the input is still growing, and with the preset *paper*, the first of them is "
        "used.",
    )
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


def define_classification(form):
    form.addSection(label="Classification")
    form.addParam(
        "variance",
        params.FloatParam,
        default=0.75,
        expertLevel=LEVEL_ADVANCED,
        validators=[within(0.05, 1.0)],
        label="Share of the variance kept",
        help="How much of the particles' variance the principal components must explain. Fewer components are "
        "faster; 0.75 is what the method's authors recommend.",
    )
    form.addParam(
        "iterations",
        params.IntParam,
        default=AUTOMATIC,
        expertLevel=LEVEL_ADVANCED,
        validators=[AutomaticOr(1, 1000)],
        label="Iterations of the first stage (-1: until the classes are stable)",
        help=f"Rounds of assigning and averaging the first particles. {AUTOMATIC}: until hardly a particle changes its "
        "class.",
    )
    form.addParam(
        "seed",
        params.IntParam,
        default=0,
        expertLevel=LEVEL_ADVANCED,
        validators=[params.GE(0, error="must not be negative")],
        label="Random seed",
        help="The same seed gives the same classes; another seed shows how far they depend on chance.",
    )
    form.addParam(
        "preset",
        params.EnumParam,
        choices=PRESETS,
        default=0,
        expertLevel=LEVEL_ADVANCED,
        label="Preset",
        help="*default*: what gave the best classes in our tests.\n*paper*: the Wiener filter, the search schedule "
        "and the updates as printed in the paper, to repeat its experiments.",
    )


def define_output(form):
    form.addSection(label="Output")
    form.addParam(
        "goodParticles",
        params.EnumParam,
        choices=["No", "Of good classes", "Of good and doubtful classes"],
        default=NO_PARTICLES,
        display=params.EnumParam.DISPLAY_HLIST,
        label="Output particles?",
        help="Besides the classes, deliver the particles of those that the program finds good as a set of its own, "
        "with their alignment and CTF. While the input is still growing, this set grows with it: at every moment it "
        "holds the particles of the classes that are good by then. A particle whose class turns out to be junk "
        "leaves it again.\nThe verdict of each class (good, doubtful or junk) is shown in *Analyze results*, where you "
        "can choose otherwise and make a subset yourself.",
    )
    for name, kind, low, label, what in LIMITS:
        form.addParam(
            name,
            kind,
            default=AUTOMATIC,
            expertLevel=LEVEL_ADVANCED,
            validators=[AutomaticOr(low)],
            label=f"{label} ({AUTOMATIC}: no limit)",
            help=f"{what} Good classes that miss it are called doubtful. {AUTOMATIC}: no limit beside what the program "
            "finds usual among the classes. It may be changed before *Continue*.",
        )


def define_streaming(form):
    form.addSection(label="Streaming")
    form.addParam(
        "initialParticles",
        params.IntParam,
        default=AUTOMATIC,
        validators=[AutomaticOr(1)],
        label="Particles that start the classes (-1: 100 per class)",
        help="How many particles make the first classes. While the input is still growing, these appear as soon as "
        f"so many have come. {AUTOMATIC}: 100 per class; of an input that is complete at least 3000.",
    )
    form.addParam(
        "batchSize",
        params.IntParam,
        default=AUTOMATIC,
        validators=[AutomaticOr(1)],
        label="Particles per batch (-1: automatic)",
        help="The particles after the first ones are added in batches of this size, and each improves the classes. "
        f"{AUTOMATIC}: 1000 while the input is still growing, otherwise as many as the memory serves well.",
    )
    form.addParam(
        "maxWait",
        params.IntParam,
        default=120,
        expertLevel=LEVEL_ADVANCED,
        validators=[params.GE(0, error="must not be negative")],
        label="Longest wait for a batch (s)",
        help="New particles of an input that is still growing are added after this time even when they are fewer "
        "than a batch.",
    )
    form.addParam(
        "revisit",
        params.FloatParam,
        default=1.0,
        expertLevel=LEVEL_ADVANCED,
        validators=[within(0.0, 100.0)],
        label="Earlier particles looked at again",
        help="When the classes have improved, particles that came earlier are assigned anew: at most so many for each "
        "particle that has come. 0: never.",
    )
    form.addParam(
        "streamingSleepOnWait",
        params.IntParam,
        default=10,
        expertLevel=LEVEL_ADVANCED,
        validators=[params.GE(1, error="must be at least one second")],
        label="Seconds between looks at the input",
        help="While the input is still growing, how long to wait before looking for new particles.",
    )


def define_parallel(form):
    form.addParallelSection(threads=SCIPION_THREADS, mpi=0)
    form.addParam(
        "binThreads",
        params.IntParam,
        default=0,
        validators=[within(0, 1024)],
        label="Threads (0: all)",
        help="CPU threads of the program. 0: all that the machine or the queue gives to this run.",
    )
    form.addParam(
        "extraArguments",
        params.StringParam,
        default="",
        expertLevel=LEVEL_ADVANCED,
        label="Extra arguments",
        help="Options of the program that the form does not have, as on a command line, for instance *--ctf wiener*. "
        "They come last and so win over the form. *alignpca2d classify --help* lists them.",
    )
