"""What the axes of references and a screen save of the search, at classes that are all distinct; and what they change.

Run from the root of the checkout: ``python benchmarks/bench_screening.py [--set ap2-64] [--particles 3000]
[--classes 100] [--work DIR]``.  References are true projections on views spread over the sphere, with the power that
the particles show on each ring.  The screen is learned from 1,000 particles; the others are searched in four ways, with
first scores in float32, and in bfloat16 where that is fast: by whole vectors, by the components of the particles' PCA
(eq. 10), by the axes of the references, and by these with a screen.  Multiplications are those of matrix products, as
torch counts them.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from bench_accuracy import circumstances, work_folder
from bench_cost import open_classifier
from numpy.typing import NDArray
from realistic_sets import SETS, STRUCTURES, RealisticCase
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from alignpca2d_core.alignment import exhaustive_search, template_bank
from alignpca2d_core.alignment.fourier_pca import FourierPCA
from alignpca2d_core.alignment.matches import Matches
from alignpca2d_core.alignment.scoring_precision import KINDS, SCORING, scoring_type
from alignpca2d_core.classification.classifier import Classifier
from alignpca2d_core.classification.method import SCREEN_SAMPLE
from alignpca2d_core.classification.stages import Sample
from alignpca2d_core.evaluation.views.view_distances import spread_views
from alignpca2d_core.evaluation.views.view_truth import ViewTruth, read_view_truth
from alignpca2d_core.maps.views import rotation_matrices
from alignpca2d_core.simulation.orientations import euler_angles

LEAST_FEWER, LEAST_GAIN = 5.0, 0.0
"""Times fewer multiplications than by the particles' components, and by how much more particles at least are in the
class that whole vectors say."""
FITTED = 400


@dataclass(frozen=True)
class Search:
    """What one way of searching came to: matches, CPU seconds and multiplications, the latter two for each particle."""

    matches: Matches
    seconds: float
    multiplications: float


def projections(truth: ViewTruth, rotations: NDArray[np.float64], classifier: Classifier) -> Tensor:
    """Projections of the specimen as vectors of the band, (n, m)."""
    assert truth.density is not None
    images = truth.density.project(rotations, truth.box, truth.sampling_rate)
    return classifier.band.to_vectors(images.float())


def true_references(truth: ViewTruth, sample: Sample, classifier: Classifier, classes: int) -> Tensor:
    """Projections on spread views, each ring as strong as the particles show it: (classes, m)."""
    band, rng = classifier.band, np.random.default_rng(1)
    real = np.flatnonzero(truth.is_particle[sample.rows] & ~truth.flags["border"][sample.rows])
    some = real[:FITTED]
    rows, z, q = sample.rows[some], sample.particles.z[some], sample.particles.q[some]
    offsets = torch.from_numpy(truth.offsets_px[rows]).float()
    shown = projections(truth, truth.rotations[rows], classifier) * band.shift_ramps(offsets[:, 0], offsets[:, 1])
    fitted = band.ring_sum((z * shown.conj()).real).sum(0)
    strength = fitted / (q * band.ring_sum(shown.abs().square())).sum(0).clamp_min(1e-12)
    rot, tilt = euler_angles(spread_views(truth.rotations[sample.rows[real]][:, 2], classes, truth.symmetry, rng))
    views = rotation_matrices(rot, tilt, np.zeros(len(rot)))
    # A ring without signal would come out with the sign of its noise.
    sign = torch.sign(fitted.sum())
    return projections(truth, views, classifier) * (sign * (sign * strength).clamp_min(0))[band.ring]


def searched(
    classifier: Classifier, sample: Sample, rows: Tensor, references: Tensor, axes: FourierPCA | None = None
) -> Search:
    """The particles of some rows of the sample, searched as the classifier is set, or along some other axes."""
    search, some = classifier.search(sample.basis), sample.particles.rows(rows)
    with pytest.MonkeyPatch.context() as patch:
        if axes is not None:
            patch.setattr(template_bank, "reference_axes", lambda features, basis: axes)
        begun = time.process_time()
        matches = search.locate(some, references)
        seconds = time.process_time() - begun
        with FlopCounterMode(display=False) as counter:
            search.locate(some, references)
    return Search(matches, seconds / len(rows), counter.get_total_flops() / 2 / len(rows))


def kinds() -> list[str]:
    """What first scores are computed in: float32, and bfloat16 too where the processor multiplies it fast."""
    fast = scoring_type(torch.device("cpu")) == torch.bfloat16
    return [name for name in KINDS if fast or name == "float32"]


def whole_vectors(sample: Sample) -> FourierPCA:
    """Axes that leave nothing out."""
    features = len(sample.basis.components_)
    return FourierPCA.restored(1.0, torch.eye(features), torch.ones(features))


def same(found: Matches, wanted: Matches, poses: bool) -> float:
    """Share of particles in the same class, and with ``poses`` in the same pose to a hundredth of a degree or pixel."""
    alike = found.classes[:, 0] == wanted.classes[:, 0]
    if poses:
        for one, other in zip(found.pose(), wanted.pose(), strict=True):
            alike &= (one[:, 0] - other[:, 0]).abs() < 1e-2
    return float(alike.double().mean())


def main(arguments: list[str] | None = None) -> tuple[float, float]:
    """Print the table; returns how many times fewer multiplications there are and the gain in agreement."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--set", choices=SETS, default="ap2-64")
    parser.add_argument("--particles", type=int, default=3000)
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--structures", type=Path, default=STRUCTURES, help="folder of density maps")
    parser.add_argument("--work", type=Path, help="keep the set there, and use the one that it has")
    options = parser.parse_args(arguments)
    options.device, options.threads = "cpu", 1
    torch.set_num_threads(1)
    with work_folder(options.work) as work:
        folder = RealisticCase(options.set, 0, options.particles, options.structures.resolve(), work).simulate(1)
        classifier = open_classifier(folder, options.classes)
        sample = classifier.learn()
        references = true_references(read_view_truth(folder / "truth.csv"), sample, classifier, options.classes)
    print(f"{options.set}, {len(sample.rows)} particles, {len(references)} classes; {circumstances(options)}")
    order = torch.randperm(len(sample.rows), generator=torch.Generator().manual_seed(0))
    learned, others = order[:SCREEN_SAMPLE].sort().values, order[SCREEN_SAMPLE:].sort().values
    fewer, gain = [], []
    print("first scores   by                      multiplications   ms of CPU   same class   and pose")
    for kind in kinds():
        os.environ[SCORING] = kind
        classifier.take_screen(None)
        whole = searched(classifier, sample, others, references, whole_vectors(sample))
        ways = {
            "whole vectors": whole,
            "particles' components": searched(classifier, sample, others, references, sample.basis),
        }
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(exhaustive_search, "MOST_SCREENED", 0)
            ways["axes of references"] = searched(classifier, sample, others, references)
        begun = time.process_time()
        classifier.learn_screen(sample.particles.rows(learned), references, sample.basis)
        spent = time.process_time() - begun
        ways["these, screened"] = quick = searched(classifier, sample, others, references)
        for name, found in ways.items():
            agreement = [same(found.matches, whole.matches, poses) for poses in (False, True)]
            print(
                f"{kind:14} {name:22} {found.multiplications / 1e6:14.1f} M {1e3 * found.seconds:11.2f}"
                f" {agreement[0]:12.4f} {agreement[1]:10.4f}"
            )
        full = ways["particles' components"]
        gain.append(same(quick.matches, whole.matches, False) - same(full.matches, whole.matches, False))
        fewer.append(full.multiplications / quick.multiplications)
        print(f"{fewer[-1]:.1f} times fewer, {full.seconds / quick.seconds:.1f} times as fast;", end=" ")
        print(f"{classifier.schedule.screen}, learned in {spent:.1f} s")
    os.environ.pop(SCORING)
    return min(fewer), min(gain)


@pytest.mark.benchmark
def test_screening(capsys: pytest.CaptureFixture[str]) -> None:
    """The same under ``make bench-all``."""
    if not STRUCTURES.is_dir():
        pytest.skip(f"no density maps at {STRUCTURES}")
    with capsys.disabled():
        fewer, gain = main([])
    assert fewer >= LEAST_FEWER
    assert gain >= LEAST_GAIN


if __name__ == "__main__":
    fewer, gain = main()
    sys.exit(0 if fewer >= LEAST_FEWER and gain >= LEAST_GAIN else 1)
