"""The paper's real sets, where they are at hand: its rows of Tables 1 and 2 beside ours.

Run from the root of the checkout: ``python benchmarks/bench_empiar.py --set 10061 --particles FILE``, FILE an .xmd or
.star of particles extracted to 128 px.  100 classes, 8 Å and 75 % of the variance, as in the paper; ``--preset paper``
for its Wiener filter and schedule as well.  ``--relion`` and ``--cryosparc`` name the particles that were kept of the
same set with those programs: what is common is then counted, by number and name of the stack.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from bench_accuracy import circumstances, work_folder
from bench_variance import components_kept
from measured_run import CORE, Cost, run_python

from alignpca2d_core.evaluation.assignments import Assignments, read_assignments
from alignpca2d_core.fourier.rigid_transforms import Poses
from alignpca2d_core.io.particle_reading import read_particles
from alignpca2d_core.io.particle_set import ParticleSet
from alignpca2d_core.io.stacks import StackReader

CLASSES, RESOLUTION, VARIANCE, BOX = 100, 8.0, 0.75, 128


@dataclass(frozen=True)
class PaperRow:
    """What the paper has of a set.

    ``minutes``, ``kept``: CryoSPARC, RELION, AlignPCA-2D (Tables 1 and 2).  ``common``: CryoSPARC and RELION, CryoSPARC
    and AlignPCA-2D, RELION and AlignPCA-2D (Table 2).  ``components`` and their share of the Fourier coefficients in
    per cent are in its section 3.1, which has none of the last set.
    """

    particles: int
    minutes: tuple[float, float, float]
    kept: tuple[int, int, int]
    common: tuple[int, int, int]
    components: tuple[int, float] | None
    remark: str = ""


PAPER = {
    "10061": PaperRow(381792, (30.11, 248.33, 29.33), (132408, 119435, 132923), (104050, 108149, 97618), (1416, 47.2)),
    "10025": PaperRow(
        181358,
        (20.45, 95.49, 16.00),
        (144809, 136773, 144891),
        (130152, 130232, 125967),
        (1231, 38.4),
        "the paper's text has 161,358 particles, and 17.48 and 14.47 minutes for CryoSPARC and AlignPCA-2D",
    ),
    "10081": PaperRow(258426, (34.00, 237.50, 30.40), (125921, 123494, 127963), (102747, 108497, 100913), (2476, 44.9)),
    "11604": PaperRow(1107902, (206.0, 2220.0, 122.0), (332065, 405267, 332679), (235419, 209545, 213144), None),
}


def classify(output: Path, options: argparse.Namespace) -> tuple[dict[str, Any], Cost]:
    """Classify with the paper's settings; the summary and the cost."""
    output.mkdir(parents=True, exist_ok=True)
    wanted = ["--classes", str(options.classes), "--resolution", str(RESOLUTION), "--variance", str(VARIANCE)]
    wanted += ["--preset", options.preset, "--device", options.device, "--threads", str(options.threads), "--quiet"]
    command = [*CORE, "classify", str(options.particles), "-o", str(output), *wanted]
    cost = run_python(command, options.threads, output / "log.txt")
    return json.loads((output / "summary.json").read_text()), cost


def kept_of(assignments: Assignments, verdicts: list[str], among: tuple[str, ...]) -> Assignments:
    """The particles of classes with one of the verdicts."""
    verdict = np.array([*verdicts, ""])[assignments.classes]
    return _some(assignments, np.flatnonzero(np.isin(verdict, among)))


def _some(assignments: Assignments, rows: np.ndarray) -> Assignments:
    return Assignments(
        assignments.ids[rows],
        assignments.names[rows],
        assignments.has_ids,
        assignments.classes[rows],
        assignments.poses[rows],
        assignments.source,
    )


def selection(path: Path) -> Assignments:
    """The particles of a file, whether it has classes or not."""
    particles = read_particles(path)
    stems = [stack.name for stack in particles.stacks]
    pairs = zip(particles.index_in_stack.tolist(), particles.stack_of.tolist(), strict=True)
    names = np.array([f"{index + 1}@{stems[stack]}" for index, stack in pairs], dtype=object)
    count = len(particles)
    whole = Assignments(particles.ids, names, False, np.zeros(count, dtype=np.int64), Poses.identity(count), path)
    return _some(whole, np.flatnonzero(particles.enabled))


def common(first: Assignments, second: Assignments) -> tuple[int, float]:
    """How many particles are in both, and in per cent of the larger selection."""
    both = len(np.intersect1d(first.names, second.names)) if len(first.ids) and len(second.ids) else 0
    return both, 100.0 * both / max(len(first.ids), len(second.ids), 1)


def box_of(particles: ParticleSet) -> int:
    """Side of the images in pixels."""
    with StackReader(particles) as reader:
        return int(reader.read(np.array([0])).shape[-1])


def tables(paper: PaperRow, count: int, minutes: float, kept: Assignments, options: argparse.Namespace) -> list[str]:
    """The rows of Tables 1 and 2, ours last."""
    cryosparc, relion, printed = paper.minutes
    lines = [
        f"{'Table 1':10s} {'particles':>10s} {'CryoSPARC':>10s} {'RELION':>10s} {'paper':>10s} {'ours':>10s}   minutes",
        f"{'the paper':10s} {paper.particles:10d} {cryosparc:10.2f} {relion:10.2f} {printed:10.2f} {'':>10s}",
        f"{'here':10s} {count:10d} {'':>10s} {'':>10s} {'':>10s} {minutes:10.2f}",
        "",
        f"{'Table 2':10s} {'CryoSPARC':>10s} {'RELION':>10s} {'AlignPCA':>10s} {'C-R':>17s} {'C-A':>17s} {'R-A':>17s}",
    ]
    pairs = ((0, 1), (0, 2), (1, 2))
    shares = [
        100.0 * both / max(paper.kept[a], paper.kept[b]) for both, (a, b) in zip(paper.common, pairs, strict=True)
    ]
    shown = "".join(f" {f'{both} ({share:.1f} %)':>17s}" for both, share in zip(paper.common, shares, strict=True))
    lines.append(f"{'the paper':10s}{''.join(f' {value:10d}' for value in paper.kept)}{shown}")
    given = {
        "cryosparc": selection(options.cryosparc) if options.cryosparc else None,
        "relion": selection(options.relion) if options.relion else None,
        "ours": kept,
    }
    sizes = "".join(f" {len(one.ids) if one else '-':>10}" for one in given.values())
    ours = ""
    for a, b in (("cryosparc", "relion"), ("cryosparc", "ours"), ("relion", "ours")):
        first, second = given[a], given[b]
        text = "{} ({:.1f} %)".format(*common(first, second)) if first and second else "-"
        ours += f" {text:>17s}"
    return [*lines, f"{'here':10s}{sizes}{ours}"]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--set", required=True, choices=PAPER, help="EMPIAR entry whose rows are printed beside ours")
    parser.add_argument("--particles", required=True, type=Path, help=".xmd or .star of the extracted particles")
    parser.add_argument("--classes", type=int, default=CLASSES, help=f"by default {CLASSES}, as in the paper")
    parser.add_argument("--preset", choices=("default", "paper"), default="default")
    parser.add_argument("--relion", type=Path, help="particles of the set that were kept with RELION")
    parser.add_argument("--cryosparc", type=Path, help="particles of the set that were kept with CryoSPARC, as a .star")
    parser.add_argument("--keep", nargs="+", default=["good"], choices=("good", "doubtful"), help="verdicts that stay")
    parser.add_argument("--work", type=Path, help="keep the classes there")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args(arguments)
    options.particles = options.particles.resolve()
    paper, particles = PAPER[options.set], read_particles(options.particles)
    print(f"EMPIAR-{options.set}, {options.classes} classes, preset {options.preset}; {circumstances(options)}")
    if (box := box_of(particles)) != BOX:
        print(f"The images have {box} px; the paper's have {BOX}")
    if len(particles) != paper.particles:
        print(f"{len(particles):,} particles; the paper has {paper.particles:,}")
    print(f"Of this set {paper.remark}\n" if paper.remark else "", flush=True)
    with work_folder(options.work) as work:
        output = work / f"empiar-{options.set}-{options.preset}"
        summary, cost = classify(output, options)
        minutes = sum(stage["wall_s"] for stage in summary["times"].values()) / 60.0
        kept = kept_of(read_assignments(output / "particles.xmd"), summary["classes"]["verdict"], tuple(options.keep))
        print(*tables(paper, len(particles), minutes, kept, options), sep="\n")
        features, components = components_kept(output)
        printed = "paper: {} ({} %)".format(*paper.components) if paper.components else "the paper has none"
        share = 100.0 * components / features
        print(f"\ncomponents {components} ({share:.1f} % of the features); {printed}")
        verdicts = summary["classes"]["verdict"]
        counts = ", ".join(f"{verdicts.count(name)} {name}" for name in ("good", "doubtful", "junk"))
        print(f"classes: {counts}; {cost.cpu_s:.0f} CPU s, {cost.peak_mb:.0f} MB")
        print("Theirs were selected by eye, ours are those of classes called " + " or ".join(options.keep))


if __name__ == "__main__":
    main()
