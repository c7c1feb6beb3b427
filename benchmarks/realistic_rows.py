"""The rows of ``bench_realistic.py``: what ``evaluate`` says of a set, beside the oracle, and the targets."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measured_run import Cost
from realistic_sets import RealisticCase

NONE = float("nan")
OURS, RELION = "ours", "RELION"


@dataclass(frozen=True)
class Row:
    """What one set came to; NaN where a figure has nothing to be taken over.

    Shares are of all real particles (``well``, ``discarded``), of junk boxes (``precision`` to ``junk_good``), of the
    classes called good (``useful_of_good``) or of the oracle's figure (``well_share``, ``coverage_share``);
    ``worst_kind`` is the least recall over kinds of junk.  ``junk_inside`` is the share of boxes of junk in the useful
    classes: what a selection by eye keeps.  ``true`` and ``stated`` are medians in Å over useful classes,
    ``calibration`` is the expected calibration error of pMax.
    """

    set: str
    seed: int
    program: str
    well: float
    oracle: float
    well_share: float
    discarded: float
    precision: float
    recall: float
    worst_kind: float
    junk_good: float
    useful: float
    useful_of_good: float
    junk_inside: float
    coverage: float
    coverage_share: float
    true: float
    stated: float
    calibration: float
    cpu_s: float
    oracle_cpu_s: float
    kinds: list[dict[str, Any]]

    def misses(self) -> list[str]:
        """The targets that the row misses; RELION's are not ours."""
        if self.program != OURS:
            return []
        least = {
            "well_share": 0.97,
            "precision": 0.95,
            "recall": 0.90,
            "worst_kind": 0.85,
            "useful_of_good": 0.9,
            "coverage_share": 0.97,
        }
        short = [name for name, target in least.items() if getattr(self, name) < target]
        short += ["discarded"] if self.discarded > 0.02 else []
        return short + (["calibration"] if self.calibration > 0.02 else [])

    def __str__(self) -> str:
        shares = (self.well, self.oracle, self.well_share, self.discarded, self.precision, self.recall)
        more = (
            self.worst_kind,
            self.junk_good,
            self.useful_of_good,
            self.junk_inside,
            self.coverage,
            self.coverage_share,
        )
        return (
            f"{self.set:>16s} {self.seed:4d} {self.program:>7s}{''.join(f'{value:7.3f}' for value in shares)}"
            f"{''.join(f'{value:7.3f}' for value in more)} {self.useful:6.0f} {self.true:6.1f} {self.stated:6.1f} "
            f"{self.calibration:6.3f} {self.cpu_s:7.1f} {self.oracle_cpu_s:7.1f}"
        )


HEADING = (
    f"{'set':>16s} seed program   well oracle  share   lost  prec. recall  worst  good: useful   junk  cover  share "
    f"useful   true stated  calib.   CPU s  oracle\n"
    f"{'':>16s}                                                      kind   junk of good inside"
)


def row_of(case: RealisticCase, program: str, output: Path, cost: Cost, matched: tuple[dict[str, float], Cost]) -> Row:
    """The row of what ``evaluate`` wrote into ``output``; RELION calls nothing junk and states no certainty."""
    (oracle, oracle_cost), judged = matched, program == OURS
    found = json.loads((output / "evaluation.json").read_text())["truth"]
    figures = {name: NONE if value is None else value for name, value in found["figures"].items()}
    kinds = found["junk"] if judged else []
    useful = [entry for entry in found["table"] if entry["useful"]]
    inside = sum(entry["particles"] for entry in useful)
    junk = sum(entry["particles"] * (1.0 - entry["real"]) for entry in useful)
    return Row(
        set=case.name,
        seed=case.seed,
        program=program,
        well=figures["well_placed"],
        oracle=oracle["well_placed"],
        well_share=figures["well_placed"] / max(oracle["well_placed"], 1e-9),
        discarded=figures["real_discarded"] if judged else NONE,
        precision=figures.get("junk_precision", NONE),
        recall=figures.get("junk_recall", NONE) if judged else NONE,
        worst_kind=min((kind["called_junk"] for kind in kinds), default=NONE),
        junk_good=figures.get("junk_called_good", NONE) if judged else NONE,
        useful=figures["useful_classes"],
        useful_of_good=figures["useful_of_good"] if judged else NONE,
        junk_inside=junk / inside if useful else NONE,
        coverage=figures["coverage_15"],
        coverage_share=figures["coverage_15"] / max(oracle["coverage_15"], 1e-9),
        true=figures.get("resolution_of_members", NONE),
        stated=figures.get("resolution_stated", NONE),
        calibration=figures.get("calibration_error", NONE),
        cpu_s=cost.cpu_s,
        oracle_cpu_s=oracle_cost.cpu_s,
        kinds=kinds,
    )


def worst_kinds(rows: list[Row]) -> Iterator[str]:
    """Lines of what became of each kind of junk, over all rows."""
    for kind in sorted({entry["kind"] for row in rows for entry in row.kinds}):
        entries = [entry for row in rows for entry in row.kinds if entry["kind"] == kind]
        boxes = sum(entry["boxes"] for entry in entries)
        junk, good = (
            sum(entry["boxes"] * entry[name] for entry in entries) / boxes for name in ("called_junk", "called_good")
        )
        yield f"{kind:>16s} {boxes:6d} boxes: called junk {junk:.3f}, called good {good:.3f}"


def worst_figures(rows: list[Row]) -> Iterator[str]:
    """The worst of each figure with a target."""
    for name, extreme in {
        "well_share": min,
        "discarded": max,
        "precision": min,
        "recall": min,
        "worst_kind": min,
        "useful_of_good": min,
        "coverage_share": min,
        "calibration": max,
    }.items():
        known = [row for row in rows if not math.isnan(getattr(row, name))]
        if known:
            row = extreme(known, key=lambda row: getattr(row, name))
            yield f"worst {name}: {getattr(row, name):.3f} ({row.set}, seed {row.seed})"
