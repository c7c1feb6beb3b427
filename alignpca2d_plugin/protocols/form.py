"""The form of ProtAlignPCA2D: one function per section, help in a microscopist's words; ``form_input`` is the first.

Defaults and bounds are those of ``alignpca2d_core.settings``; a test holds one against the other.
"""

import pyworkflow.protocol.params as params
from pyworkflow.protocol.constants import LEVEL_ADVANCED

from ..constants import AUTOMATIC, MODE_CREATE, NO_PARTICLES, PRESETS
from .bounds import AutomaticOr, within

SCIPION_THREADS = 3

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
NO_LIMIT = "no limit", " beside what the program finds usual among the classes"
AS_BEFORE = "as in the earlier run", ", if it had a limit"
"""What -1 means in the label, and what the help adds."""


def define_classification(form):
    """How the classes are found."""
    form.addSection(label="Classification")
    _method(form)
    _repetition(form)


def _method(form):
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


def _repetition(form):
    form.addParam(
        "rounds",
        params.IntParam,
        default=0,
        condition=f"mode == {MODE_CREATE}",
        validators=[within(0, 100)],
        label="Rounds on what is set aside",
        help="How often, at most, what lies in junk classes is classified again on its own. Classes of particles that "
        "are found join the others; it ends when none is found. It helps where the classes are too few for all views, "
        "as more classes from the start do. There are no rounds while the input is still growing.",
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


def define_poses(form):
    """What is known of the particles' poses, and what must not decide them."""
    form.addSection(label="Alignment")
    form.addParam(
        "keepAlignment",
        params.BooleanParam,
        default=False,
        label="Keep the alignment of the input?",
        help="Yes: rotation, shift and mirror of each particle stay as they are in the input, which must be aligned in "
        "two dimensions; particles are only sorted into classes. No: particles are aligned.",
    )
    form.addParam(
        "psiRange",
        params.FloatParam,
        default=AUTOMATIC,
        validators=[AutomaticOr(0.0, 90.0)],
        condition="not keepAlignment",
        label="Filaments: range about the known angle (degrees, -1: all angles)",
        help="For segments of filaments: rotations are searched within so much of the in-plane angle of the input "
        "(RELION's prior, or the alignment of the particles), and of that turned by 180. 6 is usual. "
        f"{AUTOMATIC}: all angles.",
    )
    form.addParam(
        "tubeDiameter",
        params.FloatParam,
        default=AUTOMATIC,
        validators=[AutomaticOr(1.0)],
        label="Filaments: diameter of the tube (Å, -1: none)",
        help="The mask is cut to a soft tube along the filament, slightly wider than the filament. It needs the range "
        f"about the known angle, or an alignment that is kept. {AUTOMATIC}: no tube.",
    )
    form.addParam(
        "lowResolution",
        params.FloatParam,
        default=AUTOMATIC,
        validators=[AutomaticOr(1.0, 1000.0)],
        expertLevel=LEVEL_ADVANCED,
        label="Coarsest resolution compared (Å, -1: all)",
        help="What is coarser does not count when particles are aligned and sorted: 60 Å for a small protein in a "
        f"micelle that outshines it. The averages keep it. {AUTOMATIC}: all counts.",
    )


def define_output(form, inherited=()):
    """What is delivered beside the classes, and which of them are called good.

    Parameters
    ----------
    form : Form
    inherited : iterable of str
        Limits that are those of an earlier run where none are given.
    """
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
        unset, more = AS_BEFORE if name in inherited else NO_LIMIT
        form.addParam(
            name,
            kind,
            default=AUTOMATIC,
            expertLevel=LEVEL_ADVANCED,
            validators=[AutomaticOr(low)],
            label=f"{label} ({AUTOMATIC}: {unset})",
            help=f"{what} Good classes that miss it are called doubtful. {AUTOMATIC}: {unset}{more}. It may be "
            "changed before *Continue*.",
        )


def define_coordinates(form):
    """Where outputCoordinates come from, in the section that is open."""
    form.addParam(
        "inputMicrographs",
        params.PointerParam,
        pointerClass="SetOfMicrographs",
        allowsNull=True,
        label="Micrographs for centred coordinates",
        help="The micrographs that the particles come from. When they are given, and the particles have coordinates, "
        "these are delivered moved to the centres that were found, so that particles can be extracted again: those of "
        "the classes whose particles are delivered as a set, otherwise those of all. An input that grows must have "
        "ended first, since extraction takes each micrograph once.",
    )
    form.addParam(
        "minimumDistance",
        params.FloatParam,
        default=AUTOMATIC,
        validators=[AutomaticOr(0.0)],
        label="Least distance of coordinates (Å, -1: any)",
        help="Of particles that lie nearer to each other once they are centred, the one that fits its class best is "
        f"kept. {AUTOMATIC}: all are kept.",
    )


def define_streaming(form):
    """How particles that come while the input grows are added."""
    form.addSection(label="Streaming")
    _batches(form)
    _waiting(form)


def _batches(form):
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
        help="The particles after the first ones are added as soon as so many are new: all that have come by then, at "
        f"most ten times as many. Each batch improves the classes. {AUTOMATIC}: 1000 while the input is still growing, "
        "otherwise as many as the memory serves well.",
    )


def _waiting(form):
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
        help="When the classes have improved, particles that came earlier are assigned again: at most so many for each "
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
    """Threads, and what the form does not have."""
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
