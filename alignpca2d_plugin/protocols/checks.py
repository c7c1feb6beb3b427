"""What can be known to be wrong, or doubtful, before the core is started: messages for the form."""

import math
import shlex

from ..constants import AUTOMATIC, MODE_UPDATE, PRESETS
from ..convert import angle_along, whole_pose
from ..growing_input import is_open
from .form import SCIPION_THREADS

SMALLEST_BOX_PX = 16
SMALLEST_MASK_PX = 6
FEWEST_RINGS = 4
FEWEST_PER_CLASS = 20
NOT_EXTRA = (
    "-o",
    "--output",
    "--last",
    "--resume",
    "--quiet",
    "--sampling-rate",
    "--references",
    "--no-align",
    "--psi-range",
)
"""Options that the protocol and its outputs depend on."""
LARGEST_BOX_PX = 400
USUAL_SAMPLING = 0.4
"""Pixel size over the resolution limit that keeps what is compared, with some room before Nyquist."""
WIDEST_BOX = 3.0
"""Over the mask's diameter; 1.5 to 2 are usual."""
SAMPLING_TOLERANCE = 0.01


def errors(protocol):
    """Reasons why the protocol cannot run."""
    found = errors_of_any(protocol) + _preset_errors(protocol)
    particles = protocol.inputParticles.get()
    if particles is None or particles.getDim() is None:
        return found
    found += _particle_errors(particles)
    if not found:
        for check in (_scale_errors, _ctf_errors, _class_errors, _pose_errors):
            found += check(protocol, particles)
    return found


def errors_of_any(protocol):
    """The same, of what every protocol has that classifies: threads, GPUs and extra arguments."""
    found = []
    if protocol.numberOfThreads.get() < SCIPION_THREADS:
        found.append(
            f"At least {SCIPION_THREADS} Scipion threads are needed: one for Scipion, one that looks for new "
            "particles and one that classifies."
        )
    return found + _gpu_errors(protocol) + _extra_argument_errors(protocol)


def _preset_errors(protocol):
    """The paper's method makes its own first classes, and sets nothing aside."""
    if PRESETS[protocol.preset.get()] != "paper":
        return []
    if protocol.mode.get() == MODE_UPDATE:
        return [
            "The preset *paper* makes its own first classes: to start from given ones, choose the preset *default*."
        ]
    if protocol.rounds.get():
        return ["The preset *paper* sets nothing aside: ask for no rounds, or choose the preset *default*."]
    return []


def warnings(protocol):
    """What the user should know before running."""
    particles = protocol.inputParticles.get()
    if particles is None or particles.getDim() is None:
        return []
    found = []
    nyquist = 2 * particles.getSamplingRate()
    if protocol.resolution.get() < nyquist:
        found.append(
            f"The resolution limit of {protocol.resolution.get():g} Å is beyond Nyquist: {nyquist:.2f} Å will be used."
        )
    if protocol.correctCtf and not particles.hasCTF():
        found.append("The particles have no CTF estimate: the CTF will not be corrected.")
    elif protocol.correctCtf and particles.isAmplitudeCorrected():
        found.append("The particles were corrected for the CTF already: they will be taken as they are.")
    return found + _few_particles(protocol, particles) + _large_box(protocol, particles)


def _few_particles(protocol, particles):
    """Hardly more particles than classes; of an input that still grows more will come."""
    number, classes = particles.getSize(), protocol.numberOfClasses.get()
    if protocol.mode.get() == MODE_UPDATE or is_open(particles) or number >= FEWEST_PER_CLASS * classes:
        return []
    return [
        f"There are only {number / classes:.1f} particles for each of {classes} classes: their averages will be noisy "
        f"and their verdicts uncertain. Ask for {max(number // (2 * FEWEST_PER_CLASS), 1)} classes or fewer."
    ]


def _large_box(protocol, particles):
    """A box with many more pixels than the resolution limit needs, or much wider than the particle."""
    box, sampling, mask = particles.getXDim(), particles.getSamplingRate(), protocol.maskDiameter.get()
    enough = USUAL_SAMPLING * protocol.resolution.get()
    found = []
    if box > LARGEST_BOX_PX and sampling < enough:
        smaller = 2 * math.ceil(box * sampling / enough / 2)
        found.append(
            f"The particles' box has {box} pixels. To compare them to {protocol.resolution.get():g} Å, {smaller} "
            f"pixels of {box * sampling / smaller:.2f} Å are enough: particles that are scaled down to that give the "
            "same classes in less time and memory."
        )
    if mask != AUTOMATIC and box * sampling > WIDEST_BOX * mask:
        found.append(
            f"The box of {box * sampling:.0f} Å is {box * sampling / mask:.1f} times as wide as the mask of {mask:g} "
            "Å: neighbours may lie in it. Extract the particles in a smaller box, of 1.5 to 2 times their longest axis."
        )
    return found


def uses_ctf(protocol):
    """Whether the core is given the particles' CTF to correct."""
    particles = protocol.inputParticles.get()
    return bool(protocol.correctCtf.get() and particles.hasCTF() and not particles.isAmplitudeCorrected())


def pose_of(protocol):
    """What is written of each particle's pose, a function of :mod:`..convert`; None where nothing is."""
    if protocol.keepAlignment:
        return whole_pose
    return None if protocol.psiRange.get() == AUTOMATIC else angle_along


def _pose_errors(protocol, particles):
    found, chosen = [], pose_of(protocol)
    tube, low = protocol.tubeDiameter.get() != AUTOMATIC, protocol.lowResolution.get() != AUTOMATIC
    if PRESETS[protocol.preset.get()] == "paper" and (chosen or tube or low):
        found.append("The preset *paper* knows nothing of the page *Alignment*: choose the preset *default*.")
    if protocol.keepAlignment and not particles.hasAlignment2D():
        found.append("The particles have no alignment in two dimensions that could be kept.")
    elif chosen and chosen(particles.getFirstItem()) is None:
        found.append("The particles have no in-plane angles: give segments with RELION's priors, or aligned particles.")
    if tube and not chosen:
        found.append("A tube needs the range about the known angle, or an alignment that is kept.")
    if low and protocol.lowResolution.get() <= protocol.resolution.get():
        found.append("The coarsest resolution compared must be coarser than the resolution limit.")
    return found


def _gpu_errors(protocol):
    if not protocol.usesGpu():
        return []
    try:
        gpus = protocol.getGpuList()
    except ValueError:
        return [
            f"The GPU ID '{protocol.gpuList.get()}' is not understood: give the number of a GPU, or several as 0,1 or "
            "0-3."
        ]
    return [] if gpus else ["Choose the GPU's ID, or set *Use GPU* to No."]


def _extra_argument_errors(protocol):
    try:
        words = shlex.split(protocol.extraArguments.get() or "")
    except ValueError as error:
        return [f"The extra arguments cannot be read ({error})."]
    if words and not words[0].startswith("--"):
        return [f"The extra arguments begin with '{words[0]}': give options, such as --ctf wiener."]
    taken = [(name, word) for name, word in ((_not_extra(word), word) for word in words) if name]
    return [f"The protocol gives {name} itself: leave {word} out of the extra arguments." for name, word in taken[:1]]


def _not_extra(word):
    """The option of NOT_EXTRA that a word of a command line stands for, which takes abbreviations; or None."""
    option = "-o" if word.startswith("-o") else word.partition("=")[0]
    if option in NOT_EXTRA:
        return option
    return next((name for name in NOT_EXTRA if len(option) > 2 and name.startswith(option)), None)


def _particle_errors(particles):
    x, y, z = particles.getDim()
    if not particles.getSamplingRate():
        return ["The particles have no sampling rate."]
    if z != 1:
        return [f"The input items are volumes of {x} x {y} x {z} voxels, not images."]
    if x != y:
        return [f"The particles' box must be square: it has {x} x {y} pixels."]
    if x < SMALLEST_BOX_PX:
        return [f"The particles' box has only {x} pixels; {SMALLEST_BOX_PX} are needed."]
    return []


def _scale_errors(protocol, particles):
    found = []
    size = particles.getXDim() * particles.getSamplingRate()
    coarsest = size / FEWEST_RINGS
    if protocol.resolution.get() > coarsest:
        found.append(
            f"The resolution limit of {protocol.resolution.get():g} Å leaves hardly anything of a box of {size:.0f} Å: "
            f"choose {coarsest:.0f} Å or finer."
        )
    diameter = protocol.maskDiameter.get()
    if diameter != AUTOMATIC and diameter >= size + particles.getSamplingRate():
        found.append(f"The mask of {diameter:g} Å is larger than the box of {size:.1f} Å.")
    if diameter != AUTOMATIC and diameter < SMALLEST_MASK_PX * particles.getSamplingRate():
        found.append(f"The mask of {diameter:g} Å is less than {SMALLEST_MASK_PX} pixels wide.")
    return found


def _ctf_errors(protocol, particles):
    if not uses_ctf(protocol):
        return []
    acquisition = particles.getFirstItem().getAcquisition() or particles.getAcquisition()
    known = {
        "voltage": acquisition.getVoltage(),
        "spherical aberration": acquisition.getSphericalAberration(),
        "amplitude contrast": acquisition.getAmplitudeContrast(),
    }
    missing = [name for name, value in known.items() if value is None]
    if missing:
        return [
            f"To correct the CTF the particles' {' and '.join(missing)} must be known. Set them, or do not correct."
        ]
    return []


def _class_errors(protocol, particles):
    if protocol.mode.get() == MODE_UPDATE:
        return _initial_class_errors(protocol.initialClasses.get(), particles)
    if is_open(particles) or protocol.numberOfClasses.get() <= particles.getSize():
        return []
    return [f"There are fewer particles ({particles.getSize()}) than classes ({protocol.numberOfClasses.get()})."]


def _initial_class_errors(initial, particles):
    if initial is None:
        return ["Choose the initial classes, or set the mode to Create classes."]
    if initial.isEmpty():
        return ["There are no initial classes."]
    first = initial.getFirstItem()
    image = first.getRepresentative() if hasattr(initial, "hasRepresentatives") else first
    if image is None or image.getFileName() is None:
        return ["The initial classes have no averages."]
    box, given = particles.getXDim(), image.getDim()[0]
    if box != given:
        return [f"The initial classes have a box of {given} pixels, the particles of {box}: rescale one of them."]
    ratio = initial.getSamplingRate() / particles.getSamplingRate()
    if abs(ratio - 1) > SAMPLING_TOLERANCE:
        return [
            f"The initial classes have {initial.getSamplingRate():.3f} Å/px, the particles "
            f"{particles.getSamplingRate():.3f} Å/px: rescale one of them."
        ]
    return []
