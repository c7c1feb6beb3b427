"""``classify`` from files to files: what is read, decided, run and written."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from . import __version__
from .checkpoint import Checkpoint
from .classes import Averages
from .classifier import Classifier
from .errors import InputError
from .fourier import Band
from .given import FixedReferences, GivenClasses, read_references
from .metadata import ParticleSet, read_particles
from .paper import PaperClassifier
from .poses import SHIFT_RANGE
from .preprocess import MASK_EDGE_PX, Preparation, soft_mask
from .progress import Progress
from .resolution import resolution_angstrom
from .results import AVERAGES, CLASSES, PARTICLES, Classification, write_results
from .settings import PAPER, Settings
from .source import Source
from .stacks import StackReader
from .state import State
from .transforms import Poses

SMALLEST_BOX = 16
TRANSIENT = ("device", "threads", "quiet", "resume", "batch_size")
"""Settings that do not change what a run finds."""


def set_up_device(settings: Settings) -> torch.device:
    """The device asked for, and the number of threads set."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    torch.set_num_threads(settings.threads or available)
    name = settings.device
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(f"--device {name}: choose auto, cpu, cuda or cuda:N") from error
    if device.type not in ("cpu", "cuda"):
        raise InputError(f"--device {name}: choose auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise InputError(f"--device {name}: this machine offers {torch.cuda.device_count()} CUDA devices")
    # TF32 keeps 10 bits of the mantissa: enough to lose the difference between two poses.
    torch.backends.cuda.matmul.allow_tf32 = False
    return device


class Run:
    """A classification with its input opened and its open questions decided.

    Attributes
    ----------
    settings : Settings
    particles : ParticleSet
    sampling_rate : float
        Å/px.
    ctf : str
        "model", "wiener" or "none".
    """

    def __init__(self, path: Path, settings: Settings, progress: Progress) -> None:
        self.settings = settings
        self.progress = progress
        self.device = set_up_device(settings)
        self.particles = read_particles(path)
        for warning in self.particles.warnings:
            progress.warn(warning)
        self.reader = StackReader(self.particles)
        if self.reader.box < SMALLEST_BOX:
            raise InputError(f"{path}: images of {self.reader.box} px; at least {SMALLEST_BOX} are needed")
        self.sampling_rate = self._sampling_rate(path)
        self.ctf = self._ctf(path)
        self.band = Band.make(self.reader.box, self._band_radius(), self.device)
        self.mask_radius = self._mask_radius()
        enabled = int(self.particles.enabled.sum())
        if self.settings.references is None and self.settings.classes > enabled:
            raise InputError(f"--classes {self.settings.classes}: {path} has {enabled} usable particles")

    def _sampling_rate(self, path: Path) -> float:
        rate = self.settings.sampling_rate or self.particles.sampling_rate or self.reader.pixel_size
        if not rate:
            raise InputError(f"{path}: neither metadata nor stack header say the pixel size; give --sampling-rate")
        return float(rate)

    def _ctf(self, path: Path) -> str:
        mode, known = self.settings.ctf, self.particles.ctf is not None
        if mode in ("model", "wiener") and not known:
            raise InputError(f"--ctf {mode}: {path} has no CTF columns (defocus, voltage, spherical aberration)")
        if mode == "auto":
            if not known:
                self.progress.warn(f"{path} has no CTF: classifying without")
            corrected = PAPER["ctf"] if self.settings.preset == "paper" else "model"
            return corrected if known else "none"
        return mode

    def _band_radius(self) -> float:
        """The resolution limit in Fourier pixels; no finer than Nyquist."""
        box, rate, limit = self.reader.box, self.sampling_rate, self.settings.resolution
        finest = (box - 1) // 2
        radius = box * rate / limit
        if radius > finest:
            self.progress.warn(f"--resolution {limit:g} Å is beyond Nyquist: compared to {box * rate / finest:.2f} Å")
        if radius < 3:
            raise InputError(f"--resolution {limit:g}: too coarse for a box of {box * rate:.0f} Å")
        return min(radius, float(finest))

    def _mask_radius(self) -> float:
        box, rate, diameter = self.reader.box, self.sampling_rate, self.settings.mask_diameter
        largest = box / 2 - min(MASK_EDGE_PX, box / 16)
        if diameter is None:
            return largest
        if diameter / 2 / rate > largest:
            self.progress.warn(f"--mask-diameter {diameter:g} Å: the box holds {2 * largest * rate:.0f} Å")
        if diameter / 2 / rate < 3:
            raise InputError(f"--mask-diameter {diameter:g}: less than six pixels")
        return min(largest, diameter / 2 / rate)

    def source(self) -> Source:
        """The particles as vectors."""
        preparation = Preparation(
            self.band,
            self.sampling_rate,
            self.ctf,
            phase_flipped=self.settings.phase_flipped,
            invert=self.settings.invert,
            mask_radius=self.mask_radius,
            reach=SHIFT_RANGE * self.reader.box,
        )
        return Source(self.reader, self.particles, preparation)

    def fingerprint(self) -> dict[str, Any]:
        """What must not change for the run to be continued."""
        settings = {key: value for key, value in asdict(self.settings).items() if key not in TRANSIENT}
        return {
            "input": str(self.particles.source),
            "number of particles": len(self.particles),
            "box": self.reader.box,
            "sampling rate": self.sampling_rate,
            **settings,
        }


def make_output_directory(directory: Path, particles: ParticleSet) -> None:
    """Make the folder for the results, which must not be where the input would be overwritten."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--output {directory}: {error.strerror or error}") from error
    for name in (PARTICLES, CLASSES, AVERAGES):
        for used in (particles.source, *particles.stacks):
            if (directory / name).exists() and used.exists() and (directory / name).samefile(used):
                raise InputError(f"--output {directory}: {used} is the input and would be overwritten")


def classify(path: Path, directory: Path, settings: Settings, progress: Progress) -> None:
    """Classify a whole set and write what the seam names into ``directory``."""
    run = Run(path, settings, progress)
    if settings.references is not None:
        _classify_given(run, GivenClasses, directory)
    else:
        kind = PaperClassifier if settings.preset == "paper" else Classifier
        _carry_out(run, kind(run.settings, run.source(), run.band, run.mask_radius, progress), directory)


def assign(path: Path, directory: Path, settings: Settings, progress: Progress) -> None:
    """Assign a set to fixed references, and write what the seam names into ``directory``."""
    if settings.references is None:
        raise InputError("assign: give --references (a folder of results, .xmd, .star or a stack)")
    _classify_given(Run(path, settings, progress), FixedReferences, directory)


def _classify_given(run: Run, kind: type[GivenClasses], directory: Path) -> None:
    """The classes are as many as the averages that are given, and keep their order."""
    given = read_references(Path(str(run.settings.references)), run.reader.box)
    if run.settings.classes != len(given):
        run.progress.say(f"{len(given)} classes are given")
    settings = replace(run.settings, classes=len(given))
    classifier = kind(settings, run.source(), run.band, run.mask_radius, run.progress)
    classifier.given = given
    _carry_out(run, classifier, directory)


def _carry_out(run: Run, classifier: Classifier, directory: Path) -> None:
    """Run or resume, and write the results."""
    make_output_directory(directory, run.particles)
    state = State(directory, run.fingerprint())
    if not run.settings.resume:
        state.clear()
    classifier.fit(Checkpoint(state, run.settings.resume))
    result = as_classification(classifier, run)
    warn_of(result, classifier, run)
    write_results(directory, run.particles, result, run.sampling_rate, summary(run, result, classifier.source))
    run.progress.say(f"{len(result)} classes of {int(result.sizes.sum())} particles in {directory}")


def warn_of(result: Classification, classifier: Classifier, run: Run) -> None:
    """Say what is odd about a result, with the remedy."""
    warn, wanted = run.progress.warn, classifier.settings.classes
    unusable = int((run.particles.enabled & ~classifier.source.usable).sum())
    if unusable:
        warn(f"{unusable} particles set aside: constant, or with NaN")
    if len(result) < wanted:
        warn(f"--classes {wanted}: only {len(result)} particles could be used, one class each")
    if looks_inverted(result):
        warn("the averages are darker than their background: if these are particles, run with --invert")


def grey_averages(average: Averages, classifier: Classifier) -> torch.Tensor:
    """Class averages (k, box, box) in grey values: background deviation 1, CTF corrected, masked."""
    whitening = classifier.source.whitening
    scale = whitening.noise / whitening.ctf_square.sqrt()
    return classifier.band.to_images(average.mean * scale[classifier.band.ring])


def as_classification(classifier: Classifier, run: Run) -> Classification:
    """The classifier's result in the conventions of the files; largest class first, or in the order given."""
    average = classifier.model_.averages()
    order = torch.argsort(average.sizes, descending=True, stable=True)
    if isinstance(classifier, GivenClasses):
        order = torch.arange(len(order), device=order.device)
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order), device=order.device)
    count = len(run.particles)
    rows, best = classifier.rows_, classifier.matches_
    assignments = np.full(count, -1, dtype=np.int64)
    assignments[rows] = rank[best.classes[:, 0]].cpu().numpy()
    angle, x, y = (v[:, 0].double().cpu().numpy() for v in (best.angle, best.shift_x, best.shift_y))
    columns = np.zeros((4, count))
    cosine, sine = np.cos(angle), np.sin(angle)
    columns[:, rows] = (
        (np.rad2deg(angle) + 180.0) % 360.0 - 180.0,
        -(cosine * x + sine * y),
        -(cosine * y - sine * x),
        best.score[:, 0].double().cpu().numpy(),
    )
    frc = average.frc[order].double().cpu()
    curves = np.zeros((len(order), run.reader.box // 2 + 1))
    width = min(frc.shape[1], curves.shape[1])
    curves[:, :width] = frc[:, :width].numpy()
    return Classification(
        assignments=assignments,
        poses=Poses(columns[0], columns[1], columns[2]),
        score=columns[3].astype(np.float32),
        averages=grey_averages(average, classifier)[order].cpu().numpy(),
        sizes=average.sizes[order].long().cpu().numpy(),
        resolution_angstrom=resolution_angstrom(frc, run.reader.box, run.sampling_rate).numpy(),
        quality=frc[:, 1:].clamp_min(0).mean(1).numpy(),
        frc=curves,
    )


def looks_inverted(result: Classification) -> bool:
    """Whether most particles lie in averages whose middle is darker than the background around it."""
    box = result.averages.shape[-1]
    middle = soft_mask(box, box / 5).numpy()
    density = (result.averages * middle).sum((1, 2)) / middle.sum()
    deviation = result.averages.std((1, 2)).clip(1e-12)
    return float(result.sizes @ (density < -0.25 * deviation)) > 0.75 * float(result.sizes.sum())


def summary(run: Run, result: Classification, source: Source) -> dict[str, Any]:
    """What summary.json says of a run, beside the figures per class."""
    enabled = int(run.particles.enabled.sum())
    return {
        "program": {
            "alignpca2d": __version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "settings": asdict(run.settings),
        "seed": run.settings.seed,
        "device": str(run.device),
        "input": {
            "file": str(run.particles.source),
            "box": run.reader.box,
            "sampling_rate": run.sampling_rate,
            "ctf": run.ctf,
        },
        "counts": {
            "particles": len(run.particles),
            "classified": int((result.assignments >= 0).sum()),
            "disabled": len(run.particles) - enabled,
            "unusable": int((run.particles.enabled & ~source.usable).sum()),
            "classes": len(result),
        },
        "times": run.progress.times,
        "warnings": run.progress.warnings,
    }
