"""A run with its input opened and its open questions decided: device, pixel size, CTF, band and mask."""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import InputError
from ..fourier.band import Band
from ..io.diagnosis.image_size import check_image_size
from ..io.given_poses import given_poses, poses_wanted
from ..io.particle_set import ParticleSet
from ..io.stacks import StackReader
from ..runtime import devices
from ..runtime.progress import Progress
from ..settings import PAPER, SAID_AFTERWARDS, Settings
from .input_fingerprint import imprint, stack_samples
from .mask_shape import MASK_EDGE_PX, MaskShape
from .particle_source import Source
from .preprocess import SHIFT_RANGE, Preparation, Treatment

SMALLEST_BOX = 16
LIMIT_SAMPLE = 200
"""Images that show what is usual."""
MOST_SIZES = 6
"""Boxes and pixel sizes that a message lists."""
TRANSIENT = ("device", "threads", "quiet", "resume", "batch_size", "rounds", *SAID_AFTERWARDS)
"""Settings that do not change what a run finds."""


class Run:
    """The input of a classification, opened, with all that follows from it and the settings.

    Parameters
    ----------
    particles : ParticleSet
    settings : Settings
    progress : Progress
    reader : StackReader, optional
        Where the images are read otherwise than by default.

    Attributes
    ----------
    settings : Settings
    particles : ParticleSet
    sampling_rate : float
        Å/px; from the settings, the metadata or the stack's header.
    ctf : str
        "model", "wiener" or "none".
    mask : MaskShape
    """

    def __init__(
        self, particles: ParticleSet, settings: Settings, progress: Progress, reader: StackReader | None = None
    ) -> None:
        self.settings = settings
        self.progress = progress
        self.device = devices.set_up(settings.device, settings.threads)
        self.particles, path = particles, particles.source
        self.ctf = self._ctf(path)
        self._heed_failed()
        for warning in self.particles.warnings:
            progress.warn(warning)
        if settings.sampling_rate is not None:
            self.particles = replace(particles, pixel_sizes=None)
        self.reader = reader or StackReader(self.particles)
        if reader is None:
            self._say_sizes()
        if settings.ctf == "auto" and particles.ctf is None:
            progress.warn(f"{path} has no CTF: classifying without")
        if settings.sampling_rate is None and reader is None:
            check_image_size(particles, self.reader.boxes, self.reader.pixel_size)
        if self.reader.box < SMALLEST_BOX:
            raise InputError(f"{path}: images of {self.reader.box} px; at least {SMALLEST_BOX} are needed")
        self.sampling_rate = self._sampling_rate(path)
        self.band = Band.make(self.reader.box, self._band_radius(), self.device, self._low_rings())
        self.mask = MaskShape(self._mask_radius(), self._tube())
        given_poses(self.particles, poses_wanted(settings), self.sampling_rate)

    def _heed_failed(self) -> None:
        """Particles whose CTF cannot be used: of use all the same where none is needed."""
        particles, faults = self.particles, self.particles.ctf_faults
        if self.ctf == "none":
            particles.do_without_ctf()
        elif faults is not None and faults.rows.any() and not particles.enabled.any():
            raise faults.refusal(particles.source)

    def check_number(self) -> None:
        """Raise InputError when there are fewer particles than classes are asked for."""
        enabled, path = int(self.particles.enabled.sum()), self.particles.source
        if self.settings.references is None and self.settings.classes > enabled:
            raise InputError(f"--classes {self.settings.classes}: {path} has {enabled} usable particles")

    def _sampling_rate(self, path: Path) -> float:
        common = None if self.reader.grid is None else self.reader.grid.pixel_size
        rate = self.settings.sampling_rate or common or self.particles.sampling_rate or self.reader.pixel_size
        if not rate:
            raise InputError(f"{path}: neither metadata nor stack header say the pixel size; give --sampling-rate")
        return float(rate)

    def _say_sizes(self) -> None:
        """What images of several boxes and pixel sizes are brought to."""
        grid, warn = self.reader.grid, self.progress.warn
        if grid is None:
            return
        counts = sorted(self.reader.sizes.items(), key=lambda item: -item[1])
        given = ", ".join(f"{count} of {size.box} px of {size.pixel_size:.4g} Å" for size, count in counts[:MOST_SIZES])
        more = f" and {len(counts) - MOST_SIZES} more sizes" if len(counts) > MOST_SIZES else ""
        warn(f"particles of several sizes are brought to {grid.box} px of {grid.pixel_size:.4g} Å: {given}{more}")

    def _ctf(self, path: Path) -> str:
        mode, known = self.settings.ctf, self.particles.ctf is not None
        if mode in ("model", "wiener") and not known:
            raise InputError(f"--ctf {mode}: {path} has no CTF columns (defocus, voltage, spherical aberration)")
        if mode == "auto":
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

    def _low_rings(self) -> int:
        """Rings that do not count, the origin's first."""
        limit = self.settings.low_resolution
        return 0 if limit is None else math.ceil(self.reader.box * self.sampling_rate / limit)

    def _tube(self) -> float | None:
        """Half the width of filaments, in pixels."""
        diameter = self.settings.tube_diameter
        if diameter is not None and diameter / 2 / self.sampling_rate < 3:
            raise InputError(f"--tube-diameter {diameter:g}: less than six pixels")
        return None if diameter is None else diameter / 2 / self.sampling_rate

    def _mask_radius(self) -> float:
        box, rate, diameter = self.reader.box, self.sampling_rate, self.settings.mask_diameter
        largest = box / 2 - min(MASK_EDGE_PX, box / 16)
        if diameter is None:
            return largest
        if diameter / 2 / rate > largest:
            held = f"{2 * largest * rate:.0f} Å"
            self.progress.warn(f"--mask-diameter {diameter:g} Å is more than the box holds: {held} is taken")
        if diameter / 2 / rate < 3:
            raise InputError(f"--mask-diameter {diameter:g}: less than six pixels")
        return min(largest, diameter / 2 / rate)

    def preparation(self) -> Preparation:
        """What is done to every image."""
        treatment = replace(
            self._treatment(self.ctf),
            phase_flipped=self.settings.phase_flipped,
            invert=self.settings.invert,
            sieves=self._sieves(),
            outlier_limit=self.outlier_limit,
            poses=poses_wanted(self.settings),
        )
        return Preparation(self.band, treatment)

    def _treatment(self, ctf: str) -> Treatment:
        return Treatment(self.sampling_rate, ctf, self.mask.radius, SHIFT_RANGE * self.reader.box)

    def _sieves(self) -> bool:
        """Whether images are sieved: where what is set aside can have a class, and the paper is not repeated."""
        settings = self.settings
        makes_classes = settings.references is None and settings.classes > 1
        return makes_classes and settings.preset != "paper" and not settings.no_sieve

    @cached_property
    def outlier_limit(self) -> float | None:
        """Deviations from the background beyond which a pixel is no particle's; the same on all ranks."""
        return self.outlier_limit_of(self.reader, self.particles)

    def outlier_limit_of(self, reader: StackReader, particles: ParticleSet) -> float | None:
        """The same of a sample of other particles; None where there are too few to tell."""
        rows = np.flatnonzero(particles.enabled)
        rows = rows[np.unique(np.linspace(0, len(rows) - 1, LIMIT_SAMPLE).astype(np.int64))]
        plain = Preparation(Band.make(self.reader.box, 3.0), self._treatment("none"))
        found = plain.usual_limit(torch.from_numpy(reader.read(rows)))
        return None if found is None else round(found, 1)

    def source(self) -> Source:
        """The particles as vectors."""
        return Source(self.reader, self.particles, self.preparation())

    def fingerprint(self) -> dict[str, Any]:
        """What must not change for the run to be continued."""
        settings = {key: value for key, value in asdict(self.settings).items() if key not in TRANSIENT}
        return {
            "input": str(self.particles.source),
            "number of particles": len(self.particles),
            "box": self.reader.box,
            "sampling rate": self.sampling_rate,
            **imprint(self.reader, self.particles),
            "stacks": stack_samples(self.reader, self.particles),
            **settings,
        }
