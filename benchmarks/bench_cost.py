"""What the search costs against eq. 10 done literally, and the classes against plain hard EM.

Run from the root of the checkout: ``python benchmarks/bench_cost.py [--sample 200] [--particles 1000]``.
Literally: every class at every rotation and shift of the paper's last grid (2 degrees, one pixel of 128), all
coefficients of the band, as one dense product; the making of its templates is not counted.  Plain EM: the same
search and averages, from k-means, without pruning, splitting or schedule of bands.  CPU seconds of one thread.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from bench_accuracy import circumstances, work_folder
from numpy.typing import NDArray
from simulated_sets import SETS, STRUCTURE, Case
from torch import Tensor

from alignpca2d_core.alignment.exhaustive_search import locate
from alignpca2d_core.alignment.literal_search import moved
from alignpca2d_core.alignment.local_search import refine
from alignpca2d_core.alignment.matches import Matches
from alignpca2d_core.alignment.search_grids import Level
from alignpca2d_core.alignment.template_bank import ring_power
from alignpca2d_core.averaging.class_averages import accumulate
from alignpca2d_core.averaging.usable_particles import halves_of
from alignpca2d_core.classification.classifier import Classifier
from alignpca2d_core.classification.discovery.initialization import kmeans_start
from alignpca2d_core.evaluation.assignments import read_truth
from alignpca2d_core.evaluation.partition_metrics import purity
from alignpca2d_core.fourier.band import as_real
from alignpca2d_core.io.particle_reading import read_particles
from alignpca2d_core.preprocessing.prepared_run import Run
from alignpca2d_core.preprocessing.preprocess import Vectors
from alignpca2d_core.runtime.progress import Progress
from alignpca2d_core.settings import Settings

LEAST_RATIO, LEAST_AGREEMENT = 20.0, 0.998
EM_ROUNDS = 15


def literally(particles: Vectors, references: Tensor, level: Level, reach: float) -> tuple[NDArray[np.int64], float]:
    """The class of each particle by eq. 10 as it stands, and the CPU seconds of products and minima."""
    band = particles.band
    shifts = level.shifts(reach)
    ramps = band.shift_ramps(shifts[:, 0], shifts[:, 1])
    features = as_real(particles.z).contiguous()
    best = torch.full((len(particles),), -torch.inf)
    found = torch.zeros(len(particles), dtype=torch.long)
    spent = 0.0
    for k, power in enumerate(ring_power(references, band, band.radius)):
        penalty = 0.5 * particles.q @ power
        for rotated in band.rotate_all(references[k : k + 1], level.angles())[0].split(4):
            templates = as_real(moved(rotated, ramps)).flatten(0, 1).T.contiguous()
            begun = time.process_time()
            score = (features @ templates).amax(1) - penalty
            better = score > best
            best, found = torch.where(better, score, best), torch.where(better, k, found)
            spent += time.process_time() - begun
    return found.numpy(), spent


def plain_em(
    classifier: Classifier, particles: Vectors, halves: Tensor, classes: int
) -> tuple[NDArray[np.int64], float]:
    """Classes of all particles by k-means and rounds of assigning and averaging, and the CPU seconds."""
    begun = time.process_time()
    schedule = classifier.schedule
    narrow = particles.narrowed(schedule.exhaustive.radius)
    label = kmeans_start(
        classifier.model_.basis.transform(as_real(narrow.z)), classes, torch.Generator().manual_seed(0)
    )
    matches = Matches.at_rest(label)
    for _ in range(EM_ROUNDS):
        references = classifier.references(classifier.average(accumulate(particles, matches, classes, halves)))
        matches = locate(particles, references, schedule, classifier.model_.basis, classifier.keep).best(1)
    return matches.classes[:, 0].numpy(), time.process_time() - begun


def open_classifier(folder: Path, classes: int) -> Classifier:
    """A classifier of a simulated set, not yet run."""
    settings = Settings(classes=classes, threads=1, device="cpu", quiet=True)
    run = Run(read_particles(folder / "particles.xmd"), settings, Progress(True))
    return Classifier(run.settings, run.source(), run.band, run.mask, run.progress)


def main(arguments: list[str] | None = None) -> tuple[float, float]:
    """Print the tables; returns the ratio of cost and the agreement with eq. 10 done literally."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--set", choices=SETS, default="bgal128")
    parser.add_argument("--particles", type=int, default=3000)
    parser.add_argument("--sample", type=int, default=1000, help="particles for eq. 10 done literally")
    parser.add_argument("--structure", type=Path, default=STRUCTURE, help="atomic model of β-galactosidase")
    parser.add_argument("--work", type=Path, help="keep the set there, and use the one that it has")
    options = parser.parse_args(arguments)
    options.device, options.threads = "cpu", 1
    with work_folder(options.work) as work:
        folder = Case(options.set, 0, options.particles, options.structure.resolve(), work).simulate(1)
        classifier = open_classifier(folder, SETS[options.set].classes)
        begun = time.process_time()
        classifier.fit()
        whole = time.process_time() - begun
        truth = read_truth(folder / "truth.csv").view
    references, schedule = (
        classifier.references(classifier.average(classifier.model_.sums.grouped(classifier.model_.view_of))),
        classifier.schedule,
    )
    rows = classifier.members_.rows
    vectors = Vectors.join([v for _, v in classifier.source.batches(rows, len(truth))])
    print(f"{options.set}; {circumstances(options)}")
    found = classifier.placement_.matches.classes[:, 0].numpy()
    halves = halves_of(rows, classifier.band.device)
    em, em_spent = plain_em(classifier, vectors, halves, SETS[options.set].classes)
    print(f"{len(found)} particles   purity   CPU s")
    print(f"ours            {purity(found, truth[rows]):8.4f} {whole:7.1f}")
    print(f"plain hard EM   {purity(em, truth[rows]):8.4f} {em_spent:7.1f}   ({EM_ROUNDS} rounds)")
    sample = vectors.rows(slice(0, options.sample))
    level = Level(2.0, classifier.band.box / 128, classifier.band.radius)
    exact, spent = literally(sample, references, level, schedule.reach)
    begun = time.process_time()
    matches = locate(sample, references, schedule, classifier.model_.basis, classifier.keep)
    matches = refine(sample, references, classifier.band, schedule.final, matches).best(1)
    ours = time.process_time() - begun
    agreement = float((matches.classes[:, 0].numpy() == exact).mean())
    print(f"{len(sample)} particles, {len(references)} classes   ms of CPU a particle")
    print(f"eq. 10 literally   {1e3 * spent / len(sample):9.2f}")
    print(f"ours               {1e3 * ours / len(sample):9.2f}")
    print(f"ratio {spent / ours:.1f}, agreement of assignments {agreement:.4f}")
    return spent / ours, agreement


@pytest.mark.benchmark
def test_cost(capsys: pytest.CaptureFixture[str]) -> None:
    """The same under ``make bench-all``."""
    if not STRUCTURE.is_file():
        pytest.skip(f"no structure at {STRUCTURE}")
    with capsys.disabled():
        ratio, agreement = main([])
    assert ratio >= LEAST_RATIO
    assert agreement >= LEAST_AGREEMENT


if __name__ == "__main__":
    ratio, agreement = main()
    sys.exit(0 if ratio >= LEAST_RATIO and agreement >= LEAST_AGREEMENT else 1)
