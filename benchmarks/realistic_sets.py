"""Realistic sets: continuous views cut out of micrographs, of specimens that nothing was tuned on."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from measured_run import CORE, ROOT, run_python
from simulated_sets import HELD_OUT_SPECIMEN

STRUCTURES = Path(os.environ.get("ALIGNPCA2D_SHARED", ROOT.parent / "shared")) / "data" / "structures"


@dataclass(frozen=True)
class RealisticSet:
    """A specimen and how it is seen; without a map it is a phantom.

    Parameters
    ----------
    box, sampling_rate, snr : pixels, Å/px, variance of the clean particle over that of all noise
    symmetry : by name
    specimen : options that name the specimen
    map : name of a file in the folder of structures
    further : other options of ``simulate``
    """

    box: int
    sampling_rate: float
    snr: float
    symmetry: str = "C1"
    phantom: str | None = None
    map: str | None = None
    further: dict[str, Any] = field(default_factory=dict)

    def options(self, seed: int, particles: int, structures: Path) -> dict[str, Any]:
        """The settings of the simulation, without the switch ``--realistic``."""
        specimen = {"map": str(structures / self.map)} if self.map else {"phantom": self.phantom}
        seeds = {"seed": seed, "specimen_seed": HELD_OUT_SPECIMEN + seed}
        seen = {"box": self.box, "sampling_rate": self.sampling_rate, "snr": self.snr, "symmetry": self.symmetry}
        return {"particles": particles, **specimen, **seeds, **seen, **self.further}


SETS = {
    "ap2-64": RealisticSet(64, 3.2, 0.05, map="ap2_2vgl_64_3.2A.mrc"),
    "bgal-64": RealisticSet(64, 4.0, 0.05, "D2", map="bgal_64_4A.mrc"),
    "bgal-128": RealisticSet(128, 2.0, 0.0125, "D2", map="bgal_128_2A.mrc"),
    "barrel-side-64": RealisticSet(64, 3.54, 0.05, "D7", "barrel", further={"orientations": "side"}),
    "micelle-axis-64": RealisticSet(64, 3.0, 0.05, "C4", "channel", further={"orientations": "axis"}),
    "antibody-64": RealisticSet(64, 3.0, 0.1, "C2", "antibody"),
    "small-64": RealisticSet(64, 1.6, 0.1, phantom="domains"),
    "subunits-128": RealisticSet(128, 2.5, 0.01, phantom="subunits"),
}
"""The small one has some 60 kDa; the channel lies in a micelle of detergent."""


@dataclass(frozen=True)
class RealisticCase:
    """One set with one seed, in a folder of its own under ``work``."""

    name: str
    seed: int
    particles: int
    structures: Path
    work: Path

    @property
    def folder(self) -> Path:
        return self.work / f"{self.name}-{self.particles}-s{self.seed}"

    def missing(self) -> str | None:
        """Why the set cannot be made, or None."""
        file = SETS[self.name].map
        there = file is None or (self.structures / file).is_file()
        return None if there else f"no {file} in {self.structures}; name the folder with --structures"

    def simulate(self, threads: int) -> Path:
        """Make the set, unless the very same lies there; returns its folder."""
        folder, wanted = self.folder, SETS[self.name].options(self.seed, self.particles, self.structures)
        record = folder / "simulation.json"
        if record.is_file():
            made = json.loads(record.read_text())["settings"]
            if made["realistic"] and all(made[name] == value for name, value in wanted.items()):
                return folder
            record.unlink()
        folder.mkdir(parents=True, exist_ok=True)
        flags = [text for name, value in wanted.items() for text in ("--" + name.replace("_", "-"), str(value))]
        command = [*CORE, "simulate", "-o", str(folder), "--quiet", "--realistic", *flags]
        run_python(command, threads, folder / "log.txt")
        return folder
