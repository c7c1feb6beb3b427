"""The simulated sets that classification is measured on, and what is asked of it there.

β-galactosidase is what the targets are set for.  The other sets are held out: nothing was tuned on them, so
each seed draws another specimen or other views too.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from measured_run import CORE, ROOT, run_python

STRUCTURE = Path(os.environ.get("ALIGNPCA2D_SHARED", ROOT.parent / "shared")) / "data" / "structures" / "5a1a.cif"
VIEWS = 10
EXPERIMENT = {"views": VIEWS, "max_shift": 0.12, "defocus_min": 0.6, "defocus_max": 2.0}
HELD_OUT_SPECIMEN = 100
"""Added to the seed of a held-out set, because other views of the structure were looked at with small numbers."""


@dataclass(frozen=True)
class Conditions:
    """Box, sampling and noise, and the least purity and share of right poses that are asked for there."""

    box: int
    sampling_rate: float
    snr: float
    purity: float
    pose_within: float | None = None

    def options(self) -> dict[str, Any]:
        return {"box": self.box, "sampling_rate": self.sampling_rate, "snr": self.snr}


SMALL = Conditions(64, 3.54, 0.05, purity=0.95)
LARGE = Conditions(128, 1.77, 0.01, purity=0.98, pose_within=0.97)
BRIGHT = Conditions(64, 3.54, 0.1, purity=0.95)


@dataclass(frozen=True)
class SimulatedSet:
    """A specimen under conditions; without a phantom it is the structure."""

    conditions: Conditions
    phantom: str | None = None
    view_selection: str = "distinct"
    held_out: bool = True
    views: int = VIEWS
    classes: int = 20
    further: dict[str, Any] = field(default_factory=dict)

    def options(self, seed: int, particles: int, structure: Path) -> dict[str, Any]:
        """The settings of the simulation."""
        specimen = {"phantom": self.phantom} if self.phantom else {"structure": str(structure)}
        drawn = {"specimen_seed": HELD_OUT_SPECIMEN + seed if self.held_out else 0, "seed": seed}
        selection = {"view_selection": self.view_selection, "particles": particles, "views": self.views}
        return {**EXPERIMENT, **self.conditions.options(), **specimen, **drawn, **selection, **self.further}

    def missing(self, structure: Path) -> str | None:
        """Why it cannot be made, or None."""
        there = self.phantom is not None or structure.is_file()
        return None if there else f"no structure at {structure}; name one with --structure"


SETS = {
    "bgal64": SimulatedSet(SMALL, held_out=False),
    "bgal128": SimulatedSet(LARGE, held_out=False),
    "barrel64": SimulatedSet(SMALL, "barrel"),
    "antibody128": SimulatedSet(LARGE, "antibody"),
    "lookalike64": SimulatedSet(SMALL, view_selection="random"),
    "knob128": SimulatedSet(LARGE, "knob"),
    "ring64": SimulatedSet(BRIGHT, "ring", classes=10),
    "channel64": SimulatedSet(SMALL, "channel", further={"view_ratio": 5.0}),
    "subunits128": SimulatedSet(LARGE, "subunits", further={"astigmatism": 0.3}),
    "domains64": SimulatedSet(BRIGHT, "domains", views=30, classes=50),
    "junk64": SimulatedSet(SMALL, "barrel", further={"junk_fraction": 0.2}),
}


def at_snr(name: str, snr: float) -> str:
    """The name of the same set at another signal-to-noise ratio, which is one of the sets from then on."""
    kind, noisy = SETS[name], f"{name}-snr{snr:g}"
    SETS[noisy] = replace(kind, conditions=replace(kind.conditions, snr=snr))
    return noisy


@dataclass(frozen=True)
class Case:
    """One set with one seed, in a folder of its own under ``work``."""

    name: str
    seed: int
    particles: int
    structure: Path
    work: Path

    @property
    def kind(self) -> SimulatedSet:
        return SETS[self.name]

    @property
    def folder(self) -> Path:
        return self.work / f"{self.name}-{self.particles}-s{self.seed}"

    def simulate(self, threads: int) -> Path:
        """Make the set, unless the very same lies there; returns its folder."""
        folder, wanted = self.folder, self.kind.options(self.seed, self.particles, self.structure)
        record = folder / "simulation.json"
        if record.is_file():
            made = json.loads(record.read_text())["settings"]
            if all(made[name] == value for name, value in wanted.items()):
                return folder
            record.unlink()
        folder.mkdir(parents=True, exist_ok=True)
        flags = [text for name, value in wanted.items() for text in ("--" + name.replace("_", "-"), str(value))]
        run_python([*CORE, "simulate", "-o", str(folder), "--quiet", *flags], threads, folder / "log.txt")
        return folder
