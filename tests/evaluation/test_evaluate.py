"""Evaluation against hand-computed values, scikit-learn, brute force, and classifications made to order."""

import itertools
import json

import mrcfile
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from alignpca2d_core.errors import InputError
from alignpca2d_core.evaluation import partition_metrics
from alignpca2d_core.evaluation.assignments import read_truth
from alignpca2d_core.evaluation.average_quality import compare, in_plane_fold, ring_correlation
from alignpca2d_core.evaluation.evaluate import evaluate, format_table
from alignpca2d_core.evaluation.pose_errors import circular_mode, consensus, pose_errors
from alignpca2d_core.fourier.rigid_transforms import Poses, apply, compose, invert, to_relion
from alignpca2d_core.io.particle_reading import read_particles
from alignpca2d_core.io.particle_set import write_particles
from alignpca2d_core.settings import EvaluationSettings, SimulationSettings
from alignpca2d_core.simulation.simulate import project_views, simulate

labels = st.lists(st.integers(0, 5), min_size=1, max_size=60)


def test_purity_counts_the_majorities():
    assert partition_metrics.purity(np.array([1, 1, 1, 2, 2]), np.array([7, 7, 8, 8, 8])) == pytest.approx(0.8)
    assert np.isnan(partition_metrics.purity(np.zeros(0), np.zeros(0)))


def test_adjusted_rand_index_of_the_textbook_example():
    """Hubert & Arabie's counts by hand: Σ pairs in cells 2, in rows 6, in columns 7, of 21 in all."""
    first, second = np.array([0, 0, 0, 1, 1, 1, 1][:7]), np.array([0, 0, 1, 1, 2, 2, 2])
    together, rows, columns, total = 1 + 0 + 3, 3 + 6, 1 + 1 + 3, 21
    expected = rows * columns / total
    by_hand = (together - expected) / (0.5 * (rows + columns) - expected)
    assert partition_metrics.adjusted_rand_index(first, second) == pytest.approx(by_hand)


@settings(deadline=None)  # the first call imports scikit-learn
@given(labels, st.randoms(use_true_random=False))
def test_indices_are_scikit_learns(first, random):
    metrics = pytest.importorskip("sklearn.metrics")
    second = [random.choice([a, random.randint(0, 5)]) for a in first]
    a, b = np.array(first), np.array(second)
    assert partition_metrics.adjusted_rand_index(a, b) == pytest.approx(metrics.adjusted_rand_score(a, b), abs=1e-9)
    theirs = metrics.normalized_mutual_info_score(a, b)
    assert partition_metrics.normalised_mutual_information(a, b) == pytest.approx(theirs, abs=1e-9)


@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 10_000))
def test_matching_is_the_best_of_all_permutations(rows, columns, seed):
    counts = np.random.default_rng(seed).integers(0, 9, (rows, columns))
    pairs = partition_metrics.matched_classes(counts)
    assert len({a for a, _ in pairs}) == len(pairs) == len({b for _, b in pairs})
    small, large = sorted((rows, columns))
    tall = counts if rows >= columns else counts.T
    best = max(sum(tall[a, b] for b, a in enumerate(order)) for order in itertools.permutations(range(large), small))
    assert sum(counts[pair] for pair in pairs) == best


def test_matching_of_many_classes_is_scipys():
    optimize = pytest.importorskip("scipy.optimize")
    counts = np.random.default_rng(0).integers(0, 1000, (60, 80))
    row, column = optimize.linear_sum_assignment(-counts)
    assert sum(counts[pair] for pair in partition_metrics.matched_classes(counts)) == counts[row, column].sum()


def test_labellings_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="cannot be compared"):
        partition_metrics.contingency(np.zeros(2), np.zeros(3))


def test_mode_of_angles_ignores_outliers_and_the_seam():
    rng = np.random.default_rng(0)
    angles = np.concatenate([179.0 + rng.normal(size=60), rng.uniform(-180, 180, 40)])
    assert abs((circular_mode(angles) - 179.0 + 180) % 360 - 180) < 0.5


def made_poses(count, seed=0):
    rng = np.random.default_rng(seed)
    return Poses(rng.uniform(-180, 180, count), rng.uniform(-6, 6, count), rng.uniform(-6, 6, count))


def test_pose_errors_are_what_was_put_in():
    """Each class turned and moved as a whole, each particle a little, some particles by much."""
    rng, count = np.random.default_rng(1), 400
    truth, classes = made_poses(count), rng.integers(0, 4, count)
    noise = Poses(rng.normal(size=count), rng.normal(size=count) * 0.5, rng.normal(size=count) * 0.5)
    noise.psi_deg[:40] += rng.uniform(60, 300, 40)
    found = compose(compose(made_poses(4, seed=2)[classes], noise), truth)
    errors = pose_errors(classes, np.arange(count) < 390, found, truth)
    good = slice(40, 390)
    np.testing.assert_allclose(errors.angle_deg[good], np.abs(noise.psi_deg[good]), atol=0.4)
    np.testing.assert_allclose(errors.shift_px[good], np.hypot(noise.shift_x_px, noise.shift_y_px)[good], atol=0.3)
    assert (errors.angle_deg[:40] > 50).all()
    assert np.isinf(errors.angle_deg[390:]).all()
    assert errors.within(10.0, 2.0).sum() == pytest.approx(350, abs=2)


def test_symmetric_views_agree_modulo_their_symmetry():
    rng = np.random.default_rng(3)
    offsets = Poses(20.0 + 90.0 * rng.integers(0, 4, 200) + rng.normal(size=200), np.full(200, 1.0), np.zeros(200))
    agreed = consensus(offsets, fold=4)
    assert (float(agreed.psi_deg[0]) - 20.0 + 45) % 90 - 45 == pytest.approx(0.0, abs=0.5)
    truth = made_poses(200, seed=4)
    errors = pose_errors(np.zeros(200), np.ones(200, bool), compose(offsets, truth), truth, np.full(200, 4))
    assert np.median(errors.angle_deg) == pytest.approx(0.67, abs=0.2)


@pytest.fixture(scope="module")
def simulation(tmp_path_factory):
    """A small set with junk, and what it is made of."""
    directory = tmp_path_factory.mktemp("set")
    simulate(SimulationSettings(particles=300, views=4, box=48, junk_fraction=0.1, stacks=2), directory)
    return directory


def classified(simulation, directory, classes, poses, averages=None):
    """Write a classification (classes from 0, -1: unused) of the simulated set."""
    directory.mkdir(exist_ok=True)
    particles = read_particles(simulation / "particles.xmd")
    particles.enabled = classes >= 0
    extra = {"ref": classes + 1, "anglePsi": poses.psi_deg, "shiftX": poses.shift_x_px, "shiftY": poses.shift_y_px}
    write_particles(directory / "particles.xmd", particles, extra)
    if averages is not None:
        mrcfile.write(directory / "classes.mrcs", averages.astype(np.float32), overwrite=True, voxel_size=3.54)
    return directory


def perfect(simulation, directory):
    """Class v of each view turned and moved, junk in a class of its own, averages that are the views."""
    truth = read_truth(simulation / "truth.csv")
    classes = np.where(truth.view < 0, 4, truth.view)
    offsets = made_poses(5, seed=5)
    views = mrcfile.read(simulation / "views.mrcs")
    averages = apply(np.concatenate([views, views[:1] * 0]), offsets)
    return classified(simulation, directory, classes, compose(offsets[classes], truth.poses), averages)


def figures(directory, simulation, **changes):
    wanted = EvaluationSettings(truth=str(simulation / "truth.csv"), **changes)
    return evaluate(directory, wanted)["truth"]


def test_perfect_classification_is_perfect(simulation, tmp_path):
    result = figures(perfect(simulation, tmp_path / "run"), simulation)
    found = result["figures"]
    for name in ("purity", "ari", "nmi", "junk_precision", "junk_recall", "pose_within"):
        assert found[name] == pytest.approx(1.0), name
    assert found["views_covered"] == 4
    assert found["median_angle_deg"] < 1e-3
    assert found["median_shift_px"] < 1e-3
    assert found["worst_average_correlation"] > 0.99
    assert found["average_frc_resolution_angstrom"] < 8.0
    assert [row["view"] for row in result["table"]] == [0, 1, 2, 3, -1]


def test_chance_is_far_below(simulation, tmp_path):
    chance = figures(perfect(simulation, tmp_path / "run"), simulation)["chance"]
    assert 0.2 < chance["purity"] < 0.4
    assert abs(chance["ari"]) < 0.05
    assert chance["pose_within"] < 0.1
    assert chance["junk_recall"] < 0.5
    assert chance["average_correlation"] < 0.97


def test_mistakes_count_as_they_should(simulation, tmp_path):
    """30 unused, 30 in a wrong class, 30 with a wrong angle: each costs what its definition says."""
    truth = read_truth(simulation / "truth.csv")
    real = np.flatnonzero(truth.view >= 0)
    classes = np.where(truth.view < 0, 4, truth.view)
    unused, wrong, turned = real[:30], real[30:60], real[60:90]
    classes[unused], classes[wrong] = -1, (classes[wrong] + 1) % 4
    extra = Poses(np.where(np.isin(np.arange(300), turned), 30.0, 0.0), np.zeros(300), np.zeros(300))
    poses = compose(extra, truth.poses)
    result = figures(classified(simulation, tmp_path / "run", classes, poses), simulation)
    assert result["used"] == 270
    assert result["figures"]["purity"] == pytest.approx(240 / 270)
    assert result["figures"]["pose_within"] == pytest.approx(180 / 270)
    wider = figures(tmp_path / "run", simulation, angle_tolerance=40.0)
    assert wider["figures"]["pose_within"] == pytest.approx(210 / 270)


def test_particles_are_joined_by_their_ids_in_any_order(simulation, tmp_path):
    perfect(simulation, tmp_path / "run")
    particles = read_particles(tmp_path / "run" / "particles.xmd")
    order = np.random.default_rng(0).permutation(300)[:250]
    write_particles(tmp_path / "run" / "particles.xmd", particles.subset(order))
    result = figures(tmp_path / "run", simulation)
    assert result["used"] == 250
    assert result["figures"]["purity"] == 1.0
    real = (read_truth(simulation / "truth.csv").view[order] >= 0).sum()
    assert result["figures"]["pose_within"] == pytest.approx(real / 270)


def test_average_quality_finds_the_alignment_and_feels_noise():
    views, _ = project_views(SimulationSettings(views=3, box=48))
    moved = apply(views, made_poses(3, seed=6))
    clean = compare(moved, views, 3.54)
    assert clean.correlation.min() > 0.99
    noisy = compare(moved + torch.randn(moved.shape, generator=torch.Generator().manual_seed(0)), views, 3.54)
    assert (noisy.correlation < clean.correlation - 0.05).all()
    assert (noisy.resolution_angstrom > clean.resolution_angstrom).all()
    other = compare(moved, views.roll(1, 0), 3.54)
    assert (other.correlation < clean.correlation - 0.04).all()


def test_ring_correlation_is_one_for_equals_minus_one_for_negatives_and_small_for_noise():
    first, second = torch.randn(2, 64, 64, generator=torch.Generator().manual_seed(1))
    np.testing.assert_allclose(ring_correlation(first, 2 * first), np.ones(33))
    np.testing.assert_allclose(ring_correlation(first, -first), -np.ones(33))
    assert np.abs(ring_correlation(first, second)[5:]).max() < 0.4


def test_in_plane_symmetry_is_detected():
    offset = torch.arange(64.0) - 32
    x, y = offset[None, :].expand(64, 64), offset[:, None].expand(64, 64)

    def spots(count):
        image = torch.zeros(64, 64)
        for k in range(count):
            angle = torch.tensor(2 * torch.pi * k / count)
            image += torch.exp(-((x - 15 * angle.cos()) ** 2 + (y - 15 * angle.sin()) ** 2) / 12)
        return image

    assert [in_plane_fold(spots(n)) for n in (1, 2, 3, 4, 7)] == [1, 2, 3, 4, 7]


def test_agreement_with_itself_and_with_a_relabelled_part(simulation, tmp_path):
    truth = read_truth(simulation / "truth.csv")
    classes = np.where(truth.view < 0, 4, truth.view)
    classified(simulation, tmp_path / "a", classes, truth.poses)
    other = (classes + 2) % 5
    other[:60] = -1
    other[60:90] = 0
    classified(simulation, tmp_path / "b", other, truth.poses)
    result = evaluate(tmp_path / "a", EvaluationSettings(against=str(tmp_path / "b")))["against"]
    assert result["retained"] == (300, 240)
    assert result["common"] == 240
    assert result["common_share"] == pytest.approx(0.8)
    moved = ((classes[60:90] + 2) % 5 != 0).sum()
    assert result["figures"]["shared_share"] == pytest.approx((240 - moved) / 240)
    assert result["figures"]["ari"] > 0.6 > result["chance"]["ari"] + 0.5
    assert sum(row["in_common"] for row in result["table"]) == 240 - moved
    assert all(row["other_class"] == (row["class"] - 1 + 2) % 5 + 1 for row in result["table"])


def test_a_relion_star_can_be_the_other(simulation, tmp_path):
    perfect(simulation, tmp_path / "run")
    particles = read_particles(tmp_path / "run" / "particles.xmd")
    ours = Poses(particles.table["anglePsi"], particles.table["shiftX"], particles.table["shiftY"])
    columns = zip(particles.table["ref"], *to_relion(ours, 3.54), particles.image_names(), strict=True)
    names = ("ClassNumber", "AnglePsi", "OriginXAngst", "OriginYAngst", "ImageName")
    head = ["data_particles", "", "loop_", *(f"_rln{name}" for name in names)]
    rows = [" ".join(str(value) for value in row) for row in columns]
    star = tmp_path / "run_it025_data.star"
    star.write_text("\n".join([*head, *rows[::-1]]) + "\n")
    result = evaluate(tmp_path / "run", EvaluationSettings(against=str(star)))["against"]
    assert result["figures"]["ari"] == pytest.approx(1.0)
    assert result["common"] == 300


def test_conformations_are_judged_where_there_are_two(tmp_path):
    simulate(SimulationSettings(particles=60, views=3, box=32, second_conformation=0.5), tmp_path / "set")
    truth = read_truth(tmp_path / "set" / "truth.csv")
    by_view = classified(tmp_path / "set", tmp_path / "run", truth.view, truth.poses)
    found = figures(by_view, tmp_path / "set")["figures"]
    assert found["purity"] == 1.0
    assert 0.5 <= found["purity_of_conformations"] < 0.8
    both = classified(tmp_path / "set", tmp_path / "both", truth.view * 2 + truth.conformation, truth.poses)
    assert figures(both, tmp_path / "set")["figures"]["purity_of_conformations"] == 1.0


def test_table_shows_every_figure_beside_chance_and_the_result_is_json(simulation, tmp_path):
    run = perfect(simulation, tmp_path / "run")
    wanted = EvaluationSettings(truth=str(simulation / "truth.csv"), against=str(run))
    result = evaluate(run, wanted)
    text = format_table(json.loads(json.dumps(result)))
    for words in ("purity", "chance", "junk recall", "pose within", "FRC 0.5", "junk", "common: 300"):
        assert words in text
    line = next(line for line in text.splitlines() if line.startswith("purity"))
    assert line.split()[1] == "1.000"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "--truth, --against"),
        ({"truth": "absent.csv"}, "absent.csv: no such file"),
        ({"truth": "short.csv"}, "no column psi"),
        ({"truth": "words.csv"}, "words.csv"),
        ({"truth": "empty.csv"}, "no particles"),
        ({"truth": "foreign.csv"}, "none of its particles"),
        ({"against": "plain.xmd"}, "no column of classes"),
    ],
)
def test_unusable_input_is_one_line(simulation, tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    run = perfect(simulation, tmp_path / "run")
    columns = "itemId,view,conformation,psi,shiftX,shiftY\n"
    (tmp_path / "short.csv").write_text("itemId,view,conformation\n1,0,0\n")
    (tmp_path / "words.csv").write_text(columns + "1,0,0,x,0,0\n")
    (tmp_path / "empty.csv").write_text(columns)
    (tmp_path / "foreign.csv").write_text(columns + "99999,0,0,0,0,0\n")
    (tmp_path / "plain.xmd").write_text((simulation / "particles.xmd").read_text())
    with pytest.raises(InputError, match=message) as caught:
        evaluate(run, EvaluationSettings(**options))
    assert "\n" not in str(caught.value)


def test_inverse_poses_are_not_taken_for_right(simulation, tmp_path):
    truth = read_truth(simulation / "truth.csv")
    classes = np.where(truth.view < 0, 4, truth.view)
    run = classified(simulation, tmp_path / "run", classes, invert(truth.poses))
    assert figures(run, simulation)["figures"]["pose_within"] < 0.2
