"""Wrong input that would be classified without complaint: noticed where it is there, and not where it is not."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch
from particle_files import CTF, ParticleFiles, two_views
from simulated import SimulatedSet, one_thread

from alignpca2d_core.averaging.class_averages import Averages, ClassSums, accumulate, averages
from alignpca2d_core.classification.choose_method import make_classifier
from alignpca2d_core.classification.classifier import Classifier
from alignpca2d_core.classification.discovery.duplicates import find_duplicates
from alignpca2d_core.fourier.band import Band
from alignpca2d_core.io.particle_reading import read_particles
from alignpca2d_core.io.particle_set import ParticleSet, write_particles
from alignpca2d_core.io.stacks import StackReader, write_stack
from alignpca2d_core.preprocessing import ctf_check
from alignpca2d_core.preprocessing.prepared_run import Run
from alignpca2d_core.preprocessing.preprocess import Preparation, Treatment
from alignpca2d_core.results import consistency_checks, from_classifier
from alignpca2d_core.results.consistency_checks import duplicates_message, junk_views, same_images
from alignpca2d_core.results.from_classifier import looks_inverted
from alignpca2d_core.results.result_files import read_results
from alignpca2d_core.runtime.progress import Progress
from alignpca2d_core.settings import Settings

QUICK = ("--classes", "3", "--resolution", "16", "--threads", "1", "--quiet")
SAMPLING_RATE = 7.0


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> SimulatedSet:
    """Particles of three views at a signal-to-noise ratio that is low for so few of them."""
    folder = tmp_path_factory.mktemp("simulated")
    return SimulatedSet.make(folder, particles=600, box=48, sampling_rate=SAMPLING_RATE, snr=0.15, defocus_max=3.0)


def warnings_after(run_cli: Callable[..., Any], metadata: Path, out: Path, *options: str) -> list[str]:
    """The warnings of a run, which must be both in the summary and among the lines printed."""
    outcome = run_cli("classify", metadata, "-o", out, *QUICK, *options)
    assert outcome.code == 0, outcome.err
    warnings = json.loads((out / "summary.json").read_text(encoding="utf-8"))["warnings"]
    printed = [line.removeprefix("Warning: ") for line in outcome.err.splitlines() if line.startswith("Warning: ")]
    assert printed == warnings
    return list(warnings)


def fit_of(particles: ParticleSet, rate: float) -> ctf_check.CtfFit:
    with StackReader(particles) as reader:
        band = Band.make(reader.box, reader.box * rate / 16)
        preparation = Preparation(band, Treatment(rate, "none", reader.box / 2 - 3))
        found = ctf_check.sampled_fit(reader, particles, preparation, rate)
    assert found is not None
    return found


# ---------------------------------------------------------------------------------------------------- good sets


def test_a_good_set_raises_no_doubt(run_cli: Callable[..., Any], simulated: SimulatedSet, tmp_path: Path) -> None:
    assert warnings_after(run_cli, simulated.metadata, tmp_path / "out") == []
    figures = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))
    assert figures["counts"]["views"] == 3


@pytest.mark.parametrize("seed", range(4))
def test_ctfs_that_fit_raise_no_doubt(tmp_path: Path, seed: int) -> None:
    made = SimulatedSet.make(tmp_path, particles=250, snr=0.05, seed=seed, sampling_rate=5.0)
    found = fit_of(read_particles(made.metadata), 5.0)
    assert not found.doubts_pixel_size
    assert not found.doubts_ctf(torch.full((len(found.t),), 0.05))


# --------------------------------------------------------------------------------------------------- pixel size


@pytest.mark.parametrize("factor", [0.8, 1.3])
def test_a_pixel_size_that_the_ctf_contradicts(
    run_cli: Callable[..., Any], simulated: SimulatedSet, tmp_path: Path, factor: float
) -> None:
    rate = SAMPLING_RATE * factor
    found = fit_of(read_particles(simulated.metadata), rate)
    assert found.doubts_pixel_size
    assert found.scale * rate == pytest.approx(SAMPLING_RATE, rel=0.05)
    told = warnings_after(run_cli, simulated.metadata, tmp_path / "out", "--sampling-rate", f"{rate}")
    assert any("check --sampling-rate" in line for line in told)


def test_metadata_against_the_stacks_header(run_cli: Callable[..., Any], tmp_path: Path) -> None:
    files = ParticleFiles(tmp_path / "input")
    files.write(two_views(24), CTF | {"samplingRate": 5.0}, sampling_rate=4.0)
    told = warnings_after(run_cli, files.metadata, tmp_path / "out")
    assert len(told) == 1
    assert "header" in told[0]
    assert "--sampling-rate" in told[0]
    assert warnings_after(run_cli, files.metadata, tmp_path / "out", "--sampling-rate", "5") == []


def test_an_option_against_the_metadata(run_cli: Callable[..., Any], tmp_path: Path) -> None:
    files = ParticleFiles(tmp_path / "input")
    files.write(two_views(24), CTF | {"samplingRate": 5.0}, sampling_rate=5.0)
    told = warnings_after(run_cli, files.metadata, tmp_path / "out", "--sampling-rate", "4")
    assert len(told) == 1
    assert "the metadata says 5" in told[0]


@pytest.mark.parametrize("metadata_says", [False, True])
def test_a_header_that_was_never_set(run_cli: Callable[..., Any], tmp_path: Path, metadata_says: bool) -> None:
    files = ParticleFiles(tmp_path / "input")
    files.write(two_views(24), CTF | ({"samplingRate": 5.0} if metadata_says else {}), sampling_rate=1.0)
    limit = "16" if metadata_says else "3"
    told = warnings_after(run_cli, files.metadata, tmp_path / "out", "--resolution", limit)
    assert len(told) == (0 if metadata_says else 1)
    assert metadata_says or "1 often means unknown" in told[0]


# ---------------------------------------------------------------------------------------------------------- CTF


def test_ctfs_of_other_particles(run_cli: Callable[..., Any], simulated: SimulatedSet, tmp_path: Path) -> None:
    """Rows out of order: every particle has another one's CTF."""
    particles = read_particles(simulated.metadata)
    assert particles.ctf is not None
    order = np.random.default_rng(0).permutation(len(particles))
    table = {name: column[order] for name, column in particles.table.columns.items() if name.startswith("ctf")}
    write_particles(tmp_path / "mixed.xmd", particles, table)
    mixed = read_particles(tmp_path / "mixed.xmd")
    assert abs(float(fit_of(mixed, SAMPLING_RATE).t.mean())) < 1
    told = warnings_after(run_cli, tmp_path / "mixed.xmd", tmp_path / "out")
    assert any("the CTF does not fit the images" in line and "--ctf none" in line for line in told)


def test_one_ctf_for_all_tells_nothing(simulated: SimulatedSet) -> None:
    particles = read_particles(simulated.metadata)
    assert particles.ctf is not None
    same = replace(particles, ctf=particles.ctf[np.zeros(len(particles), dtype=int)])
    found = fit_of(same, SAMPLING_RATE)
    assert float(found.t.abs().sum()) == 0
    assert not found.doubts_pixel_size
    assert not found.doubts_ctf(torch.ones(len(found.t)))


def test_too_few_particles_tell_nothing(simulated: SimulatedSet) -> None:
    particles = read_particles(simulated.metadata).subset(slice(ctf_check.LEAST_SAMPLE - 1))
    with StackReader(particles) as reader:
        preparation = Preparation(Band.make(48, 20), Treatment(SAMPLING_RATE, "none", 20))
        assert ctf_check.sampled_fit(reader, particles, preparation, SAMPLING_RATE) is None


# ------------------------------------------------------------------------------------------------------ classes


def test_inverted_contrast(run_cli: Callable[..., Any], tmp_path: Path) -> None:
    metadata = ParticleFiles(tmp_path / "input").write(-two_views(60))
    told = warnings_after(run_cli, metadata, tmp_path / "out")
    assert any("--invert" in line for line in told)
    assert not any("--invert" in line for line in warnings_after(run_cli, metadata, tmp_path / "out", "--invert"))
    result = read_results(tmp_path / "out")[1]
    assert not looks_inverted(result)
    assert looks_inverted(replace(result, averages=-result.averages))


def test_one_view_where_several_classes_were_asked_for(run_cli: Callable[..., Any], tmp_path: Path) -> None:
    metadata = ParticleFiles(tmp_path / "input").write(two_views(240)[::2])
    told = warnings_after(run_cli, metadata, tmp_path / "out")
    assert len(told) == 1
    assert "only one distinct view" in told[0]


def test_divisions_of_a_view_are_no_copies(run_cli: Callable[..., Any], tmp_path: Path) -> None:
    metadata = ParticleFiles(tmp_path / "input").write(two_views(200))
    assert warnings_after(run_cli, metadata, tmp_path / "out", "--classes", "8") == []


def test_divisions_are_told_of_as_what_they_are(run_cli: Callable[..., Any], tmp_path: Path) -> None:
    metadata = ParticleFiles(tmp_path / "input").write(two_views(200))
    loud = [word for word in QUICK if word != "--quiet"]
    outcome = run_cli("classify", metadata, "-o", tmp_path / "out", *loud, "--classes", "8")
    assert "2 distinct views; 6 of the classes only divide others" in outcome.err
    assert "Warning" not in outcome.err


@pytest.fixture(scope="module")
def fitted(simulated: SimulatedSet) -> Classifier:
    """Classes of the three views, in memory."""
    with one_thread():
        run = Run(read_particles(simulated.metadata), Settings(classes=3, resolution=16.0, threads=1), Progress(True))
        return make_classifier(run, run.source()).fit()


def parted(fitted: Classifier, parts: int, like: float) -> Averages:
    """Averages of the views, each divided into parts at random, with a share of members from the next view."""
    random = torch.Generator().manual_seed(0)
    matches, views = fitted.placement_.matches.best(1), len(fitted.model_.sums.sizes)
    astray = torch.rand(len(matches), generator=random) < like
    matches.classes[astray] = (matches.classes[astray] + 1) % views
    matches.classes += views * torch.randint(parts, (len(matches), 1), generator=random)
    sums = ClassSums.zeros(parts * views, fitted.band)
    for chosen, particles in fitted.members_.batches():
        sums = sums + accumulate(particles, matches.rows(chosen), parts * views, fitted.members_.halves(chosen))
    return averages(sums, fitted.band, fitted.mask)


def found_copies(fitted: Classifier, average: Averages) -> list[tuple[int, int]]:
    pairs = find_duplicates(average, fitted.band, fitted.schedule, fitted.model_.basis)
    assert all(0.9 < pair.agreement < 1.1 for pair in pairs)
    return sorted((pair.first, pair.second) for pair in pairs)


def test_views_are_no_copies_of_each_other(fitted: Classifier) -> None:
    """Nor are they where a quarter of the particles are in the wrong class, which makes averages alike."""
    assert found_copies(fitted, parted(fitted, 1, 0.0)) == []
    assert found_copies(fitted, parted(fitted, 1, 0.25)) == []


def test_random_parts_of_a_view_are_copies(fitted: Classifier) -> None:
    assert found_copies(fitted, parted(fitted, 2, 0.0)) == [(0, 3), (1, 4), (2, 5)]


def test_copies_are_found_in_any_pose(fitted: Classifier) -> None:
    average = parted(fitted, 2, 0.0)
    turned = fitted.band.rotate_round(average.mean, 12)[torch.arange(6), torch.tensor([0, 1, 2, 5, 7, 11])]
    moved = turned * fitted.band.shift_ramps(torch.tensor([0.0, 1, -2, 2, 0, -1]), torch.tensor([1.0, 0, 2, 0, -1, 1]))
    assert found_copies(fitted, replace(average, mean=moved)) == [(0, 3), (1, 4), (2, 5)]


def test_averages_of_noise_tell_nothing(fitted: Classifier) -> None:
    average = parted(fitted, 2, 0.0)
    noise = torch.randn(average.mean.shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    frc = torch.full_like(average.frc, 0.02)
    assert found_copies(fitted, replace(average, mean=noise, frc=frc)) == []
    assert found_copies(fitted, replace(average, frc=torch.zeros_like(frc))) == []


def test_classes_that_are_copies(run_cli: Callable[..., Any], tmp_path: Path) -> None:
    """The paper's k-means makes as many classes as it is asked for, of two views."""
    metadata = ParticleFiles(tmp_path / "input").write(two_views(240))
    told = warnings_after(run_cli, metadata, tmp_path / "out", "--preset", "paper", "--classes", "4")
    assert len(told) == 1
    assert "show the same view" in told[0]
    assert "ask for fewer classes (--classes)" in told[0]
    assert warnings_after(run_cli, metadata, tmp_path / "two", "--preset", "paper", "--classes", "2") == []


def test_junk_that_looks_alike_is_no_warning(fitted: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    """Views 0 and 1 are alike; view 1 has classes 1 and 3, of which one is enough to count."""
    pair = SimpleNamespace(first=0, second=1)
    monkeypatch.setattr(consistency_checks, "find_duplicates", lambda *_: [pair])
    model, place = fitted.model_, [2, 0, 1, 3]
    view_of = torch.tensor([0, 1, 2, 1])
    model = replace(model, sums=ClassSums.zeros(4, fitted.band), view_of=view_of, noise=None)

    def told(*verdicts: str) -> str | None:
        result = SimpleNamespace(verdicts=SimpleNamespace(verdict=verdicts))
        return duplicates_message(model, place, junk_views(view_of, place, result))

    assert "classes 1 and 3 show the same view" in str(told("good", "good", "good", "good"))
    assert told("good", "good", "junk", "good") is None
    assert told("junk", "good", "good", "good") is not None
    assert told("junk", "good", "good", "junk") is None


def test_classes_of_a_stream_that_are_copies(run_cli: Callable[..., Any], tmp_path: Path) -> None:
    metadata = ParticleFiles(tmp_path / "input").write(two_views(240))
    options = ("-o", tmp_path / "out", *QUICK, "--preset", "paper", "--classes", "4")
    outcome = run_cli("update", metadata, "--last", *options)
    assert outcome.code == 0, outcome.err
    assert "after 240 particles classes" in outcome.err
    figures = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))
    assert any("show the same view" in line for line in figures["warnings"])


def test_references_given_twice(run_cli: Callable[..., Any], tmp_path: Path) -> None:
    metadata = ParticleFiles(tmp_path / "input").write(two_views(60))
    clean = two_views(400).reshape(200, 2, 32, 32).mean(0)
    write_stack(tmp_path / "references.mrcs", np.stack([clean[0], clean[1], 3 * clean[0] + 1]), 5.0)
    told = warnings_after(run_cli, metadata, tmp_path / "out", "--references", str(tmp_path / "references.mrcs"))
    assert any("references 1 and 3 are the same image" in line for line in told)
    assert same_images(clean) == []


def test_all_particles_in_one_class(run_cli: Callable[..., Any], tmp_path: Path) -> None:
    """Three references, of which two are of nothing."""
    metadata = ParticleFiles(tmp_path / "input").write(two_views(240)[::2])
    noise = np.random.default_rng(0).normal(0, 1e-3, (2, 32, 32)).astype(np.float32)
    write_stack(tmp_path / "references.mrcs", np.concatenate([two_views(400)[::2].mean(0)[None], noise]), 5.0)
    outcome = run_cli("assign", metadata, "-o", tmp_path / "out", *QUICK, "--references", tmp_path / "references.mrcs")
    assert outcome.code == 0
    assert "class 1 holds 120 of 120 particles" in outcome.err


def test_a_stream_is_looked_at_when_it_begins(
    run_cli: Callable[..., Any], simulated: SimulatedSet, tmp_path: Path
) -> None:
    """What was said of the first batch stands in the summary of the classes, made by a later command."""
    wrong = ("--sampling-rate", f"{SAMPLING_RATE * 1.3}", "--initial-particles", "700")
    first = run_cli("update", simulated.metadata, "-o", tmp_path / "out", *QUICK, *wrong)
    assert first.code == 0
    assert "check --sampling-rate" in first.err
    last = run_cli("update", "--last", "-o", tmp_path / "out", *QUICK, *wrong)
    assert last.code == 0, last.err
    figures = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))
    assert any("check --sampling-rate" in line for line in figures["warnings"])


def test_images_that_are_in_no_class_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sieve set them aside, and every class asked for is a view."""
    monkeypatch.setattr(from_classifier, "opposite_contrasts", lambda *_: None)
    monkeypatch.setattr(from_classifier, "looks_inverted", lambda *_: False)
    flags = np.zeros(5, dtype=bool)
    source = SimpleNamespace(repaired=flags, damaged=flags, usable=~flags)
    classifier = SimpleNamespace(
        source=source, settings=SimpleNamespace(classes=1), separated_=SimpleNamespace(sieved=0)
    )
    said: list[str] = []
    run_ = SimpleNamespace(progress=SimpleNamespace(warn=said.append), particles=SimpleNamespace(enabled=~flags))
    for assignments, expected in (([0, 0, 0, 0, 0], 0), ([0, -1, 0, -1, 0], 1)):
        result = MagicMock(assignments=np.array(assignments))
        result.__len__.return_value = 1
        from_classifier.warn_of(result, classifier, run_)
        assert len(said) == expected
    assert said[0].startswith("2 images look like contaminants, ice or the edge of the film and are in no class")
