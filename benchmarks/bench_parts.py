"""What each part of the method is worth: one after another is left out, or replaced by what is simpler.

Run from the root of the checkout: ``python benchmarks/bench_parts.py [--sets knob128 lookalike64] [--seeds 0]``, and
``... --sets bgal128 --snr 0.005 --seeds 0 1 2`` for noise in which views are hard to find.  ``--together`` leaves out
all of ``--parts`` at once.  A part stays where, without it, a figure falls or CPU time rises on one set at least.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from statistics import mean, pstdev
from typing import Any

import pytest
from bench_accuracy import PARTICLES, QUICK_PARTICLES, circumstances, work_folder
from measured_run import Classified, Cost, classify
from realistic_sets import SETS as REALISTIC
from realistic_sets import STRUCTURES, RealisticCase
from simulated_sets import SETS, STRUCTURE, Case, at_snr

Changes = dict[str, Any]
"""A value, or a stand-in, by ``module.name`` or ``module.Class.name``."""

WHOLE, TOGETHER = "everything", " + "


def _nothing(turned: Any, moved: Any, band: Any, mask: Any) -> Any:
    return turned.new_zeros(len(turned), band.rings)


def _ones(like: Any, *_: Any) -> Any:
    return like.new_ones(like.shape)


def _no_change(sample: Any, matches: Any, classes: int, rings: int) -> Any:
    return sample.particles.q.new_ones(rings)


START = "classification.discovery.initialization"

PARTS: dict[str, Changes] = {
    WHOLE: {},
    "no coarse rounds": {
        f"{START}.ROUGH_ROUNDS": 0,
        f"{START}.ALIGNING_ROUNDS": 6,
    },
    "empty classes stay empty": {f"{START}.replenished": lambda matches, *_: matches},
    "nothing pruned but what is too many": {"classification.discovery.pruning.WORTH": 0.0},
    "pruned at 1.5 per degree of freedom": {"classification.discovery.pruning.WORTH": 1.5},
    "classes that agree stay": {"classification.discovery.discovery.find_duplicates": lambda *_: []},
    "noise not estimated again": {"classification.classifier.noise_share": _no_change},
    "no refinement of the sample": {"classification.classifier.Classifier.REFINES_SAMPLE": False},
    "own noise stays in": {"averaging.self_noise.self_noise_share": _nothing},
    "8° for all particles": {"classification.method.FINENESS": 16 / 15},
    "12 poses, never more": {"alignment.exhaustive_search.DOUBTFUL": 1},
    "12 poses, never fewer": {"alignment.exhaustive_search.LEAST_LOSS": 1e9},
    "scores in float32": {"alignment.scoring_precision.bfloat16_is_faster": lambda: False},
    "PCA not symmetric": {"alignment.fourier_pca.FourierPCA.symmetrise": lambda basis, *_: basis},
    "references not shrunk": {"averaging.class_averages.wiener_shrinkage": _ones},
    "no second look": {"classification.classifier.Classifier.SIFTS": False},
    "similar views not separated": {"classification.subdivision.similar_views.MOST_PREFERENCE": -1e9},
}


def changed(changes: Changes) -> None:
    """Change the core in this process."""
    for name, value in changes.items():
        *path, last = name.split(".")
        owner: Any = import_module("alignpca2d_core")
        for step in path:
            owner = getattr(owner, step, None) or import_module(f"{owner.__name__}.{step}")
        if not hasattr(owner, last):
            raise AttributeError(f"alignpca2d_core.{name}: there is no such thing any more")
        setattr(owner, last, value)


def child(parts: str, arguments: list[str]) -> int:
    """The command line with parts changed, whose names have ``+`` between them."""
    from alignpca2d_core.__main__ import main as core

    for part in parts.split(TOGETHER):
        changed(PARTS[part])
    return core(arguments)


@dataclass(frozen=True)
class Measured:
    """A set to be measured on, and the figures that it is judged by."""

    name: str
    classes: int
    figures: tuple[str, ...]
    case: Callable[[int, Path], Case | RealisticCase]


def measured_sets(options: argparse.Namespace) -> list[Measured]:
    """The sets asked for: ten views by their purity, realistic ones by the particles well placed and the junk found."""

    def ten_views(name: str) -> Callable[[int, Path], Case]:
        return lambda seed, work: Case(name, seed, options.particles, options.structure.resolve(), work)

    def realistic(name: str) -> Callable[[int, Path], RealisticCase]:
        return lambda seed, work: RealisticCase(name, seed, options.particles, STRUCTURES, work)

    found = [Measured(name, SETS[name].classes, ("purity",), ten_views(name)) for name in options.sets]
    judged = ("well_placed", "junk_precision", "junk_recall")
    return found + [Measured(name, options.classes, judged, realistic(name)) for name in options.realistic]


def measure(one: Measured, seed: int, part: str, options: argparse.Namespace, work: Path) -> tuple[float, ...]:
    """The set's figures, and CPU seconds."""
    simulated = one.case(seed, work).simulate(options.threads)
    wanted = ["--classes", str(one.classes), "--seed", str(seed), "--device", "cpu"]
    program = (str(Path(__file__).resolve()), "--child", part, "--")
    found: Classified = classify(simulated, simulated / "part", options.threads, wanted, program)
    cost: Cost = found.cost
    return *(found.figures[figure] for figure in one.figures), cost.cpu_s


def run(options: argparse.Namespace, say: Callable[[str], None]) -> None:
    """Print the table line by line; each cell has figures, the first one's deviation over seeds, and CPU seconds."""
    sets, seeds = measured_sets(options), ", ".join(map(str, options.seeds))
    parts = [TOGETHER.join(options.parts)] if options.together else options.parts
    say(f"{options.particles:,} particles, means of seeds {seeds}; {circumstances(options)}")
    for one in sets:
        say(f"{one.name}: {', '.join(one.figures)}, deviation of the first, CPU seconds over those of the whole")
    whole: dict[str, float] = {}
    with work_folder(options.work) as work:
        for part in dict.fromkeys([WHOLE, *parts]):
            cells = []
            for one in sets:
                runs = [measure(one, seed, part, options, work) for seed in options.seeds]
                *figures, cpu_s = map(mean, zip(*runs, strict=True))
                whole.setdefault(one.name, cpu_s)
                deviation = pstdev(figure for figure, *_ in runs)
                cells += [f"   {one.name}", *(f"{figure:7.3f}" for figure in figures)]
                cells += [f"{deviation:7.3f}{cpu_s / whole[one.name]:6.2f}"]
            say(f"{part:37s}" + "".join(cells))


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="*", choices=SETS, metavar="SET", help=", ".join(SETS))
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART", help=", ".join(PARTS))
    parser.add_argument(
        "--realistic", nargs="*", choices=REALISTIC, metavar="SET", default=["bgal-64"], help=", ".join(REALISTIC)
    )
    parser.add_argument("--together", action="store_true", help="leave out all of --parts at once")
    parser.add_argument("--particles", type=int, default=PARTICLES)
    parser.add_argument("--classes", type=int, default=25, help="of realistic sets")
    parser.add_argument("--snr", type=float, help="signal-to-noise ratio instead of the sets' own")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_PARTICLES} particles: only to see that it runs")
    parser.add_argument("--structure", type=Path, default=STRUCTURE, help="atomic model of β-galactosidase")
    parser.add_argument("--work", type=Path, help="keep the sets there, and use those that it has")
    parser.add_argument("--threads", type=int, default=1)
    parser.set_defaults(sets=["knob128", "domains64", "junk64", "lookalike64"], device="cpu")
    options = parser.parse_args(arguments)
    options.particles = QUICK_PARTICLES if options.quick else options.particles
    options.sets = [name for name in options.sets if not SETS[name].missing(options.structure)]
    if options.snr is not None:
        options.sets = [at_snr(name, options.snr) for name in options.sets]
    run(options, lambda line: print(line, flush=True))


@pytest.mark.benchmark
def test_parts(capsys: pytest.CaptureFixture[str]) -> None:
    """The same under ``make bench-all``."""
    with capsys.disabled():
        main([])


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        sys.exit(child(sys.argv[2], sys.argv[4:]))
    main()
