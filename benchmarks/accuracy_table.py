"""The figures of many classifications as text: a line each, the worst of each set against its targets, and ratios."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from simulated_sets import SETS, SimulatedSet

MOST_CPU_S = 20.0
OF_ORACLE = 0.98
COLUMNS = {
    "set": ("set", 11, "s"),
    "seed": ("seed", 4, "d"),
    "preset": ("preset", 7, "s"),
    "purity": ("purity", 6, ".3f"),
    "pose_within": ("10°/2 px", 8, ".3f"),
    "views": ("views", 5, "d"),
    "smallest": ("smallest", 8, "d"),
    "ari": ("ARI", 5, ".2f"),
    "cpu_s": ("CPU s", 6, ".1f"),
    "peak_mb": ("peak MB", 7, ".0f"),
    "oracle_purity": ("oracle", 8, ".3f"),
    "oracle_pose_within": ("10°/2 px", 8, ".3f"),
    "oracle_cpu_s": ("CPU s", 6, ".1f"),
    "share": ("of oracle", 11, ".3f"),
    "pose_share": ("10°/2 px", 8, ".3f"),
}
"""Of each figure: its name in the table, the width of its column and its format."""


@dataclass(frozen=True)
class Row:
    """What one classification reached, and the oracle on the same particles; shares are of the oracle's figures."""

    set: str
    seed: int
    preset: str
    purity: float
    pose_within: float
    views: int
    smallest: int
    ari: float
    cpu_s: float
    peak_mb: float
    oracle_purity: float
    oracle_pose_within: float
    oracle_cpu_s: float
    share: float
    pose_share: float

    def __str__(self) -> str:
        return " ".join(format(getattr(self, name), f">{width}{kind}") for name, (_, width, kind) in COLUMNS.items())


def heading() -> str:
    """The names of the columns, each over its values."""
    return " ".join(format(label, f">{width}") for label, width, _ in COLUMNS.values())


@dataclass(frozen=True)
class Target:
    """A figure's least value, or its largest where ``most``."""

    name: str
    label: str
    bound: float
    most: bool = False

    def judged(self, rows: Sequence[Row]) -> tuple[str, bool]:
        """The worst value beside the bound, and whether it is met."""
        values = [getattr(row, self.name) for row in rows]
        worst = max(values) if self.most else min(values)
        met = worst <= self.bound if self.most else worst >= self.bound
        sign, verdict = "≤" if self.most else "≥", "met" if met else "MISSED"
        return f"{self.label} {worst:.4g} {sign} {self.bound:g} {verdict}", met


def targets(kind: SimulatedSet) -> list[Target]:
    """What is asked of a set: most, where it is one that the targets were set for."""
    if kind.held_out:
        return [Target("share", "share of the oracle's purity", OF_ORACLE), Target("smallest", "smallest class", 1)]
    conditions, pose = kind.conditions, kind.conditions.pose_within
    return [
        Target("purity", "purity", conditions.purity),
        *([] if pose is None else [Target("pose_within", "within 10°/2 px", pose)]),
        Target("views", "views", kind.views),
        Target("smallest", "smallest class", 1),
        Target("cpu_s", "CPU s", MOST_CPU_S, most=True),
    ]


@dataclass(frozen=True)
class Verdict:
    """The worst of a set over its seeds; ``binding`` where the targets were set for it."""

    text: str
    met: bool
    binding: bool


def verdicts(rows: Sequence[Row]) -> Iterator[Verdict]:
    """One for each set and preset."""
    for (preset, order), group in groupby(sorted(rows, key=_kind), _kind):
        name, members = list(SETS)[order], list(group)
        kind = SETS[name]
        judged = [target.judged(members) for target in targets(kind)]
        binding = preset == "default" and not kind.held_out
        share = f"{min(row.share for row in members):.3f} of the oracle's purity"
        aside = "" if binding else " (not what the targets were set for)"
        text = "; ".join([*(said for said, _ in judged), share])
        yield Verdict(
            f"{name}, {preset} preset, worst of {len(members)}{aside}: {text}", all(met for _, met in judged), binding
        )


def _kind(row: Row) -> tuple[str, int]:
    """Presets together, sets in their own order."""
    return row.preset, list(SETS).index(row.set)


def ratios(rows: Sequence[Row]) -> Iterator[str]:
    """CPU seconds of the oracle, and of the paper's preset, over those of the default."""
    of_preset = {preset: [row for row in rows if row.preset == preset] for preset in ("default", "paper")}
    spent = {preset: sum(row.cpu_s for row in members) for preset, members in of_preset.items()}
    for preset, members in of_preset.items():
        if members:
            ratio = sum(row.oracle_cpu_s for row in members) / spent[preset]
            yield f"CPU seconds of the oracle over those of the {preset} preset: {ratio:.2f}"
    if all(spent.values()):
        yield f"CPU seconds of the paper's preset over those of the default: {spent['paper'] / spent['default']:.2f}"
