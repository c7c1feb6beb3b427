"""The parameters of the subcommands that go on from results: ``evaluate``, ``report``, ``export``, ``subdivide``."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import InputError
from .parameters import check, parameter


@dataclass(frozen=True)
class EvaluationSettings:
    """What ``evaluate`` compares a classification with."""

    truth: str | None = parameter(None, "truth.csv of the simulation; views.mrcs beside it is used where it is there")
    against: str | None = parameter(
        None, "another classification of the same particles: a folder of ours, or an .xmd or .star with classes"
    )
    symmetry: str | None = parameter(
        None, "symmetry of continuous views, such as C4 or D2; by default that of simulation.json beside the truth"
    )
    angle_tolerance: float = parameter(10.0, "angle error that counts as right", unit="degrees", low=0.0, high=180.0)
    shift_tolerance: float = parameter(2.0, "shift error that counts as right", unit="px", low=0.0, high=1000.0)
    seed: int = parameter(0, "seed of the permutations that give the chance level", low=0)

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class ReportSettings:
    """What ``report`` shows beside the averages."""

    map: str | None = parameter(None, "show projections of this density map (.mrc, .map) beside the averages")
    symmetry: str = parameter("C1", "with --map: its symmetry, such as C4 or D2, the main axis along z")

    def __post_init__(self) -> None:
        check(self)
        if self.symmetry.strip().upper() != "C1" and self.map is None:
            raise InputError("--symmetry: goes with --map")


@dataclass(frozen=True)
class ExportSettings:
    """What ``export`` writes beside the particles and averages as star files."""

    good: bool = parameter(False, "leave out the particles of doubtful and junk classes")
    select: str | None = parameter(
        None,
        "leave out all but these classes: numbers such as 1,4-9, verdicts such as good,doubtful, or the selection.json "
        "that the report saves",
    )
    max_junk: float | None = parameter(
        None, "leave out the likeliest junk until no larger share of the rest is expected to be junk", low=0.0, high=1.0
    )
    cap: int | None = parameter(None, "of each class at most so many particles, those that fit best", low=1)
    balance: int | None = parameter(
        None, "of each superclass, the classes of nearly one view, at most so many particles", low=1
    )
    mirror: bool = parameter(False, "with --balance: mirror images are one view")
    cs: bool = parameter(False, "write particles.cs for cryoSPARC too")
    coordinates: bool = parameter(False, "write coordinates moved to the centres found, to extract particles again")
    minimum_distance: float | None = parameter(None, "of moved coordinates nearer than this keep one", unit="Å", low=0)
    micrograph_sampling_rate: float | None = parameter(None, "micrographs' pixel size", unit="Å/px", low=0.01)

    def __post_init__(self) -> None:
        check(self)
        if self.good and self.select is not None:
            raise InputError("--good and --select: give one of them")
        if self.mirror and self.balance is None:
            raise InputError("--mirror: goes with --balance")


@dataclass(frozen=True)
class SubdivisionSettings:
    """Which classes ``subdivide`` classifies again, and how; all else is as in the run that they come from."""

    classes: str | None = parameter(
        None,
        "classes to classify again on their own: numbers such as 3,7-9, verdicts such as junk, or a selection.json",
    )
    into: int = parameter(10, "number of new classes", low=1, high=100_000)
    poses: str = parameter(
        "searched",
        "searched: angles and shifts are searched for again; kept: particles stay as they are aligned, and only their "
        "classes are new",
        choices=("searched", "kept"),
    )

    def __post_init__(self) -> None:
        check(self)
