"""Every parameter, once: name, default, unit, bounds and help.

The command line is generated from here (:mod:`alignpca2d_core.commands.command_line`) and a test holds the defaults of
the Scipion form against it.  Defaults of ``None`` mean "automatic", as the help text explains.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .errors import InputError
from .parameters import check as check
from .parameters import check_guidance
from .parameters import parameter as parameter
from .parameters import value_type as value_type
from .realistic_preset import CONTINUOUS_ALONE, DISCRETE_ALONE, both
from .realistic_preset import REALISTIC as REALISTIC
from .result_settings import EvaluationSettings as EvaluationSettings
from .result_settings import ExportSettings as ExportSettings
from .result_settings import ReportSettings as ReportSettings
from .result_settings import SubdivisionSettings as SubdivisionSettings


@dataclass(frozen=True)
class Settings:
    """What every classifying subcommand understands."""

    classes: int = parameter(50, "number of 2D classes, all of them delivered and none empty", low=1, high=100_000)
    references: str | None = parameter(None, "averages to start from or assign to: results, .xmd, .star or a stack")
    resolution: float = parameter(
        8.0, "finest resolution compared; limited to Nyquist with a warning", unit="Å", low=1.0, high=200.0
    )
    low_resolution: float | None = parameter(
        None,
        "coarsest resolution compared, for particles in a micelle or a large disc of lipids, such as 60; averages keep "
        "what is coarser. By default all is compared",
        unit="Å",
        low=1.0,
        high=1000.0,
    )
    variance: float = parameter(0.75, "share of the variance that the Fourier PCA keeps", low=0.05, high=1.0)
    sampling_rate: float | None = parameter(
        None, "pixel size; by default from the metadata or the stack's header", unit="Å/px", low=0.01, high=100.0
    )
    passthrough: str | None = parameter(None, "pass-through file of a cryoSPARC .cs, with the fields that it lacks")
    ctf: str = parameter(
        "auto",
        "model: compare with CTF-affected averages; wiener: correct the particles first; none: ignore the CTF; "
        "auto: model where the metadata has a CTF, else none",
        choices=("auto", "model", "wiener", "none"),
    )
    phase_flipped: bool = parameter(False, "the phases of the particles are already flipped")
    preset: str = parameter(
        "default",
        "paper: Wiener filter, RMSProp and grids of 8° and 5 px of 128, then 4° and 2.5, 2° and 1, as printed",
        choices=("default", "paper"),
    )
    batch_size: int | None = parameter(
        None, "particles per batch of stage 2; by default as many as memory serves well", low=1
    )
    initial_particles: int | None = parameter(
        None,
        "particles that start the classes (stage 1); by default 100 per class, and for classify at least 3000",
        low=1,
    )
    revisit: float = parameter(
        1.0,
        "earlier particles of a stream assigned again when the classes have improved, at most this many for each "
        "particle that has come; 0 turns it off",
        low=0.0,
        high=100.0,
    )
    rounds: int = parameter(0, "times that what is set aside is classified again on its own, at most", low=0, high=100)
    iterations: int | None = parameter(None, "rounds of stage 1; by default until classes are stable", low=1, high=1000)
    mask_diameter: float | None = parameter(
        None, "diameter of the soft circular mask; by default the largest circle in the box", unit="Å", low=1.0
    )
    no_align: bool = parameter(
        False, "keep the rotation, shift and flip of each particle that the metadata gives, and only classify"
    )
    psi_range: float | None = parameter(
        None,
        "filaments: search rotations within so much of the in-plane angle in the metadata (RELION's prior), or of "
        "that and half a turn; RELION's usual is 6. By default all are searched",
        unit="degrees",
        low=0.0,
        high=90.0,
    )
    tube_diameter: float | None = parameter(
        None,
        "filaments whose in-plane angles are known: diameter of a soft tube that cuts the mask to the filament",
        unit="Å",
        low=1.0,
    )
    invert: bool = parameter(False, "invert the contrast: the particles are darker than the background")
    good_score: float | None = parameter(
        None,
        "least mean score of a good class, in standard deviations of noise; by default none beside what the program "
        "finds usual. Classes that miss a limit are doubtful",
        low=0.0,
    )
    good_resolution: float | None = parameter(
        None, "coarsest resolution of a good class; by default no limit", unit="Å", low=1.0
    )
    good_particles: int | None = parameter(None, "fewest particles of a good class; by default no limit", low=1)
    title: str | None = parameter(None, "heading of the report; by default the folder's name")
    no_sieve: bool = parameter(
        False, "classify images that look like contaminants, ice or the edge of the film as if they were particles"
    )
    seed: int = parameter(
        0, "seed of every random choice; the same seed on the same device gives the same classes", low=0, high=2**63 - 1
    )
    device: str = parameter("auto", "auto, cpu, cuda or cuda:N")
    threads: int | None = parameter(None, "CPU threads; by default all that this process may use", low=1, high=1024)
    quiet: bool = parameter(False, "print warnings and errors only")
    resume: bool = parameter(False, "continue an interrupted run in the same folder")

    def __post_init__(self) -> None:
        check(self)
        check_guidance(self)


PAPER: dict[str, Any] = {"ctf": "wiener"}
"""What ``auto`` means under ``--preset paper``: Xmipp's Wiener filter (section 2 of the paper).

Resolution and variance have the paper's values by default, and stay free for its Table S1.
"""


SAID_AFTERWARDS = ("good_score", "good_resolution", "good_particles", "title")
"""Settings that change what is said of the classes but not the classes: a run may go on with others."""


@dataclass(frozen=True)
class SimulationSettings:
    """What ``simulate`` makes: the paper's experiment (section 3.1.1) at any size, or particles as they come.

    Parameters of :data:`REALISTIC` that are not given get its values: the first, or the second where ``realistic``.
    """

    realistic: bool = parameter(
        False,
        "particles as a microscope and a picker deliver them: continuous views, ice, junk, neighbours and more; "
        "a preset of the options that say so, each of which may still be given",
    )
    phantom: str = parameter(
        "domains",
        "specimen of our own, unless a map or a structure is given",
        choices=("domains", "knob", "subunits", "barrel", "channel", "antibody", "ring"),
    )
    map: str | None = parameter(None, "project this density map (.mrc, .map)")
    structure: str | None = parameter(None, "project this atomic model (.cif, .pdb); needs gemmi")
    specimen_seed: int = parameter(0, "seed of the phantom's shape and of the views", low=0)
    seed: int = parameter(0, "seed of the particles: poses, optics and noise", low=0)
    particles: int = parameter(3000, "number of particles", low=1)
    views: int = parameter(10, "number of distinct views", low=1, high=10_000)
    view_selection: str = parameter(
        "distinct",
        "distinct: those that differ most, whatever the symmetry; spread: evenly over half the sphere; random",
        choices=("distinct", "spread", "random"),
    )
    view_ratio: float = parameter(
        1.0, "particles of the largest view over those of the smallest (a geometric series between)", low=1.0, high=1e4
    )
    order: str = parameter(
        "shuffled", "order of the particles: shuffled, or blocks of one view", choices=("shuffled", "blocks")
    )
    second_conformation: float = parameter(
        0.0, "share of the particles in a second conformation (an outer part turned)", low=0.0, high=1.0
    )
    junk_fraction: float = parameter(
        None, both("junk_fraction", "share of junk: empty, contaminated or scrambled images"), low=0.0, high=0.99
    )
    noise_fraction: float = parameter(0.0, "share of images of noise alone, beside the junk", low=0.0, high=0.99)
    off_centre_fraction: float = parameter(
        None,
        both("off_centre_fraction", "share of particles that sit further off centre than --max-shift"),
        low=0.0,
        high=1.0,
    )
    off_centre_shift: float = parameter(
        0.2, "how far those sit off centre in x or y at most, as a share of the box", low=0.0, high=0.5
    )
    box: int = parameter(64, "side of the particle images", unit="px", low=16, high=2048)
    sampling_rate: float = parameter(3.54, "pixel size", unit="Å/px", low=0.1, high=100.0)
    max_shift: float = parameter(0.12, "largest shift in x and in y, as a share of the box", low=0.0, high=0.5)
    snr: float = parameter(
        0.05, "variance of the CTF-affected particles over the whole box / variance of the noise", low=1e-6
    )
    defocus_min: float = parameter(None, both("defocus_min", "least defocus"), unit="µm", low=0.0, high=20.0)
    defocus_max: float = parameter(None, both("defocus_max", "largest defocus"), unit="µm", low=0.0, high=20.0)
    astigmatism: float = parameter(
        None, both("astigmatism", "largest difference between defocus U and V"), unit="µm", low=0.0, high=5.0
    )
    voltage: float = parameter(300.0, "acceleration voltage", unit="kV", low=10.0, high=3000.0)
    cs: float = parameter(2.7, "spherical aberration", unit="mm", low=0.0, high=100.0)
    q0: float = parameter(0.07, "amplitude contrast", low=0.0, high=1.0)
    no_ctf: bool = parameter(False, "image without a CTF, and write none")
    phase_flip: bool = parameter(False, "flip the phases of the signal, as a pre-processing step may have")
    invert: bool = parameter(False, "dark particles on a bright background")
    stacks: int = parameter(1, "spread the particles over this many stacks", low=1, high=10_000)
    stack_dtype: str = parameter(
        "float32",
        "number format of the stacks; the integer formats are scaled to hold six standard deviations and more",
        choices=("float32", "float16", "int8", "int16", "uint16"),
    )
    orientations: str = parameter(
        None,
        both(
            "orientations",
            "discrete: the paper's distinct views; continuous: any direction; axis: most look along the z axis of "
            "the specimen; side: most lie on their side",
        ),
        choices=("discrete", "continuous", "axis", "side"),
    )
    preferred_fraction: float = parameter(
        0.7, "share that axis and side prefer; the rest is uniform", low=0.0, high=1.0
    )
    symmetry: str = parameter(
        "C1",
        "symmetry about z of continuous views, C1 to C99 or D2 to D99 with a twofold axis along x: given to a "
        "phantom, checked of a map or a structure",
    )
    micrographs: int | None = parameter(None, "micrographs of continuous views; by default one for 60 particles", low=1)
    ice: float = parameter(
        None, both("ice", "share of the noise's variance that is ice and passes the CTF"), low=0.0, high=1.0
    )
    noise_spectrum: float = parameter(
        None, both("noise_spectrum", "share by which the power of the other noise falls to Nyquist"), low=0.0, high=0.9
    )
    envelope: float = parameter(
        None, both("envelope", "B factor of the envelope on particles and ice"), unit="Å²", low=0.0, high=2000.0
    )
    solvent: float = parameter(
        None, both("solvent", "contrast that ice takes off the specimen at low resolution"), low=0.0, high=0.95
    )
    defocus_error: float = parameter(
        None,
        both("defocus_error", "standard deviation of the stated defocus about the true one, by micrograph"),
        unit="µm",
        low=0.0,
        high=5.0,
    )
    ice_thickness: float = parameter(
        None,
        both("ice_thickness", "spread of the ice's thickness over micrographs, natural logarithm"),
        low=0.0,
        high=2.0,
    )
    gain: float = parameter(
        None, both("gain", "spread of the micrographs' grey scales, natural logarithm"), low=0.0, high=3.0
    )
    ramp: float = parameter(
        None,
        both("ramp", "rise of the background over the box, in standard deviations of the noise"),
        low=0.0,
        high=10.0,
    )
    neighbours: float = parameter(
        None, both("neighbours", "share of particles with another at the edge of their box"), low=0.0, high=1.0
    )
    borders: float = parameter(
        None, both("borders", "share of boxes that reach over a micrograph's border"), low=0.0, high=1.0
    )
    junk_kinds: str = parameter(
        "empty:5,contaminant:4,edge:2.5,aggregate:3.5,bead:1",
        "kinds of junk among continuous views, each with its weight: empty ice, contaminants such as ice crystals, "
        "edges of a hole, aggregates of particles, gold beads",
    )
    no_normalise: bool = parameter(False, "leave continuous views in the micrographs' grey scale, as cut out")

    def __post_init__(self) -> None:
        for name, values in REALISTIC.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, values[self.realistic])
        check(self)
        self._check_orientations()
        if self.defocus_min > self.defocus_max:
            raise InputError(f"--defocus-min {self.defocus_min}: larger than --defocus-max {self.defocus_max}")
        if self.map is not None and self.structure is not None:
            raise InputError("--map and --structure: give one of them")
        others = self.junk_fraction + self.noise_fraction
        if others > 0.99 or round(others * self.particles) >= self.particles:
            raise InputError("--junk-fraction and --noise-fraction: leave room for particles, together at most 0.99")
        if self.off_centre_fraction > 0 and self.off_centre_shift <= self.max_shift:
            raise InputError(f"--off-centre-shift {self.off_centre_shift}: not more than --max-shift {self.max_shift}")
        if self.stacks > self.particles:
            raise InputError(f"--stacks {self.stacks}: more than --particles {self.particles}")

    def _check_orientations(self) -> None:
        """Refuse what only the other kind of simulation understands."""
        discrete = self.orientations == "discrete"
        if discrete and self.realistic:
            raise InputError("--realistic: makes no discrete orientations")
        for name in CONTINUOUS_ALONE if discrete else DISCRETE_ALONE:
            plain = REALISTIC[name][0] if name in REALISTIC else type(self).__dataclass_fields__[name].default
            if getattr(self, name) != plain:
                only = "--realistic or continuous --orientations" if discrete else "discrete --orientations"
                raise InputError(f"--{name.replace('_', '-')} {getattr(self, name)}: only with {only}")
