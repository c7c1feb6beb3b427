"""Scores of continuous views: known answers, and faults planted into perfect classifications."""

import importlib
import importlib.util
import json
import sys

import numpy as np
import pytest
import torch

from alignpca2d_core.errors import InputError
from alignpca2d_core.evaluation.calibration import expected_calibration_error
from alignpca2d_core.evaluation.evaluate import evaluate, format_table
from alignpca2d_core.evaluation.junk_figures import junk_figures, junk_table, verdicts_of
from alignpca2d_core.evaluation.views.placement import place
from alignpca2d_core.evaluation.views.true_resolution import clean_average, half_crossing_angstrom
from alignpca2d_core.evaluation.views.view_distances import distances, shared_pose, spread_views
from alignpca2d_core.evaluation.views.view_truth import read_view_truth
from alignpca2d_core.fourier.rigid_transforms import Poses, compose, to_relion
from alignpca2d_core.io.particle_reading import read_particles
from alignpca2d_core.io.particle_set import write_particles
from alignpca2d_core.io.stacks import write_stack
from alignpca2d_core.io.star.star_reader import Table
from alignpca2d_core.io.star.star_writer import write_blocks
from alignpca2d_core.maps.views import coverage, rotation_matrices, symmetry_rotations
from alignpca2d_core.settings import EvaluationSettings, SimulationSettings
from alignpca2d_core.simulation.orientations import draw_directions, euler_angles
from alignpca2d_core.simulation.simulate import simulate

C1 = symmetry_rotations("C1")
VIEWS = 12


def pose(rot, tilt, psi):
    return rotation_matrices(np.array([rot]), np.array([tilt]), np.array([psi]))


def test_distances_of_known_poses():
    view, plane = distances(pose(10, 40, 0), pose(10, 70, 20), C1)
    assert view[0, 0] == pytest.approx(30.0)
    assert abs(plane[0, 0]) == pytest.approx(20.0, abs=0.01)
    opposite, _ = distances(pose(0, 0, 0), pose(0, 180, 0), C1)
    assert opposite[0, 0] == pytest.approx(180.0)


@pytest.mark.parametrize("name", ["C4", "D2", "D7"])
def test_symmetry_mates_are_no_distance_apart(name):
    group, first = symmetry_rotations(name), pose(33, 57, 11)
    view, plane = distances(first, np.concatenate([first @ g for g in group]), group)
    assert np.abs(view).max() < 1e-4
    assert np.abs(plane).max() < 1e-4
    assert distances(first, pose(33 + 360 / 14, 57, 11), group)[0][0, 0] > 5


def test_shared_pose_is_that_of_most():
    rng = np.random.default_rng(0)
    group = symmetry_rotations("D2")
    near = rotation_matrices(40 + rng.normal(0, 4, 60), 60 + rng.normal(0, 4, 60), 80 + rng.normal(0, 3, 60))
    near = near @ group[rng.integers(0, 4, 60)]
    stray = rotation_matrices(*(rng.uniform(0, 180, 30) for _ in range(3)))
    found = shared_pose(np.concatenate([stray, near]), group, rng)
    view, plane = distances(pose(40, 60, 80), found[None], group)
    assert view[0, 0] < 2.5
    assert abs(plane[0, 0]) < 2.5


def test_coverage_is_the_share_of_the_sphere():
    cap = 0.5 * (1 - np.cos(np.deg2rad(15)))
    assert coverage(pose(0, 0, 0)[:, 2], C1, 15.0) == pytest.approx(cap, abs=0.002)
    assert coverage(pose(0, 90, 0)[:, 2], symmetry_rotations("D2"), 15.0) == pytest.approx(2 * cap, abs=0.003)
    assert coverage(np.zeros((0, 3)), C1, 15.0) == 0.0


def test_spread_views_cover_what_particles_show():
    rng = np.random.default_rng(0)
    directions = draw_directions(2000, "continuous", 0.0, rng)
    views = spread_views(directions, 40, symmetry_rotations("D2"), rng)
    rot, tilt = euler_angles(views)
    assert coverage(rotation_matrices(rot, tilt, 0 * rot)[:, 2], symmetry_rotations("D2"), 15.0) > 0.98


def test_calibration_error_of_known_certainties():
    certainty = np.repeat([0.95, 0.55], 100)
    right = np.concatenate([np.arange(100) < 95, np.arange(100) < 35])
    assert expected_calibration_error(certainty, right) == pytest.approx(0.5 * 0.20)
    assert expected_calibration_error(np.ones(10), np.ones(10, dtype=bool)) == 0.0
    assert np.isnan(expected_calibration_error(np.zeros(0), np.zeros(0, dtype=bool)))


def test_junk_figures_of_a_known_table():
    kind = np.array(["particle"] * 6 + ["edge", "edge", "empty", "bead"])
    classes = np.array([0, 0, 0, 0, 1, -1, 1, 0, 1, 2])
    verdict = verdicts_of(classes, ["good", "junk", "doubtful"])
    is_particle = kind == "particle"
    found = junk_figures(verdict, is_particle)
    assert found["junk_precision"] == pytest.approx(2 / 4)
    assert found["junk_recall"] == pytest.approx(2 / 4)
    assert found["junk_called_good"] == pytest.approx(1 / 4)
    assert found["real_discarded"] == pytest.approx(2 / 6)
    assert found["good_purity"] == pytest.approx(4 / 5)
    rows = {row["kind"]: row for row in junk_table(verdict, kind)}
    assert rows["edge"] == {"kind": "edge", "boxes": 2, "called_junk": 0.5, "called_good": 0.5}
    assert rows["bead"]["called_junk"] == rows["bead"]["called_good"] == 0.0


@pytest.fixture(scope="module")
def perfect(tmp_path_factory):
    """A set, and a classification of it by the truth: class = nearest of some views, averages = the clean views."""
    folder = tmp_path_factory.mktemp("perfect")
    made = {"realistic": True, "phantom": "antibody", "symmetry": "D2", "box": 48, "particles": 600, "borders": 0.0}
    simulate(SimulationSettings(**made), folder)
    truth, particles = read_view_truth(folder / "truth.csv"), read_particles(folder / "particles.xmd")
    rng = np.random.default_rng(0)
    views = spread_views(truth.rotations[:, 2], VIEWS, truth.symmetry, rng)
    rot, tilt = euler_angles(views)
    bases = rotation_matrices(rot, tilt, 0 * rot)
    view, plane = distances(bases, truth.rotations, truth.symmetry)
    own = view.argmin(axis=0)
    turn = -plane[own, np.arange(len(truth))]
    frame = Poses(90.0 * own, 0.5 + 0.0 * own, 0.0 * own)
    offsets = truth.offsets_px
    aligned = compose(Poses(turn, 0 * turn, 0 * turn), Poses(0 * turn, -offsets[:, 0], -offsets[:, 1]))
    poses = compose(frame, aligned)
    return folder, truth, particles, own, poses


def written(folder, particles, classes, poses, averages=None, verdicts=()):
    """A folder of results, as ``classify`` leaves it."""
    folder.mkdir()
    columns = {
        "ref": classes + 1,
        "anglePsi": poses.psi_deg,
        "shiftX": poses.shift_x_px,
        "shiftY": poses.shift_y_px,
        "pMax": np.full(len(classes), 0.9),
    }
    write_particles(folder / "particles.xmd", particles, columns)
    if averages is not None:
        write_stack(folder / "classes.mrcs", averages, 3.54)
    stated = [10.0] * (int(classes.max()) + 1)
    summary = {"classes": {"verdict": list(verdicts), "resolution_angstrom": stated}}
    (folder / "summary.json").write_text(json.dumps(summary))
    return folder


def true_averages(truth, classes, poses):
    """The clean averages of the members of each class, by poses."""
    placed = place(classes, poses, truth, truth.is_particle, np.random.default_rng(0))
    members = [np.flatnonzero((classes == k) & truth.is_particle) for k in range(int(classes.max()) + 1)]
    one = [
        clean_average(truth.density, placed.turned[some], placed.left_px[some], truth.box, truth.sampling_rate)
        for some in members
    ]
    return torch.stack(one).numpy()


def test_a_perfect_classification_scores_as_one_whatever_the_frames_of_its_classes(perfect, tmp_path):
    folder, truth, particles, own, poses = perfect
    classes = np.where(truth.is_particle, own, VIEWS)
    averages = np.concatenate([true_averages(truth, own, poses), np.zeros((1, 48, 48), np.float32)])
    run = written(tmp_path / "run", particles, classes, poses, averages, ["good"] * VIEWS + ["junk"])
    found = evaluate(run, EvaluationSettings(truth=str(folder / "truth.csv")))["truth"]
    figures = found["figures"]
    assert figures["median_plane_deg"] < 2.0
    assert figures["median_shift_percent"] < 0.1
    assert figures["junk_precision"] == figures["junk_recall"] == 1.0
    assert figures["real_discarded"] == figures["junk_called_good"] == 0.0
    assert figures["useful_of_good"] >= 0.75
    assert figures["resolution_of_members"] == pytest.approx(2 * 3.54, rel=0.02)
    assert max(row["resolution_of_view"] for row in found["table"][:VIEWS]) > 2 * 3.54 * 1.05
    near = figures["view_within_15"]
    assert figures["calibration_error"] == pytest.approx(abs(0.9 - near), abs=0.03)
    text = format_table({"truth": found})
    assert "well placed, of all real particles" in text
    assert "aggregate" in text


def test_particles_turned_moved_or_left_out_are_not_well_placed(perfect):
    _, truth, _, own, poses = perfect
    classes = np.where(truth.is_particle, own, -1)
    real = truth.is_particle
    whole = place(classes, poses, truth, real, np.random.default_rng(0)).well[real].mean()
    rng = np.random.default_rng(1)
    spoiled = rng.uniform(size=len(truth)) < 0.3
    expected = whole * 0.7
    for faulty in (
        Poses(poses.psi_deg + 60.0 * spoiled, poses.shift_x_px, poses.shift_y_px),
        Poses(poses.psi_deg, poses.shift_x_px + 0.08 * 48 * spoiled, poses.shift_y_px),
    ):
        found = place(classes, faulty, truth, real, np.random.default_rng(0)).well[real].mean()
        assert found == pytest.approx(expected, abs=0.05)
    without = np.where(spoiled, -1, classes)
    found = place(without, poses, truth, real, np.random.default_rng(0)).well[real].mean()
    assert found == pytest.approx(expected, abs=0.05)


def test_mirrored_poses_are_not_well_placed(perfect):
    _, truth, _, own, poses = perfect
    mirrored = Poses(-poses.psi_deg, poses.shift_x_px, poses.shift_y_px)
    classes = np.where(truth.is_particle, own, -1)
    found = place(classes, mirrored, truth, truth.is_particle, np.random.default_rng(0))
    assert found.well[truth.is_particle].mean() < 0.35


def test_resolution_is_where_the_average_ends(perfect):
    _, truth, _, _, _ = perfect
    clean = truth.density.project(truth.rotations[:1], 48, 3.54)[0]
    noise = torch.randn(48, 48, generator=torch.Generator().manual_seed(0))
    axis = torch.fft.fftfreq(48, d=3.54)
    s = (axis[:, None] ** 2 + axis[None, :] ** 2).sqrt()
    phases = torch.fft.fft2(noise) / torch.fft.fft2(noise).abs()
    for wanted in (15.0, 25.0):
        fine = phases * torch.fft.fft2(clean).abs() * (s > 1 / wanted)
        average = torch.fft.ifft2(torch.fft.fft2(clean) * (s <= 1 / wanted) + fine).real
        assert half_crossing_angstrom(average, clean, 3.54) == pytest.approx(wanted, rel=0.12)


def test_a_truth_that_lacks_something_is_refused(perfect, tmp_path):
    folder, *_ = perfect
    lines = (folder / "truth.csv").read_text().splitlines()
    (tmp_path / "truth.csv").write_text("\n".join(lines))
    with pytest.raises(InputError, match=r"simulation\.json"):
        read_view_truth(tmp_path / "truth.csv")
    (tmp_path / "truth.csv").write_text("\n".join(line.rpartition(",neighbour")[0] or line for line in lines[:3]))
    with pytest.raises(InputError, match="no column"):
        read_view_truth(tmp_path / "truth.csv")
    with pytest.raises(InputError, match="--symmetry"):
        read_view_truth(folder / "truth.csv", "I")


def test_symmetry_of_the_option_wins(perfect):
    folder, *_ = perfect
    assert len(read_view_truth(folder / "truth.csv").symmetry) == 4
    assert len(read_view_truth(folder / "truth.csv", "C1").symmetry) == 1


def test_oracle_places_what_can_be_placed(perfect, repository, monkeypatch):
    monkeypatch.syspath_prepend(str(repository / "benchmarks"))
    spec = importlib.util.spec_from_file_location("view_oracle", repository / "benchmarks" / "view_oracle.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules.pop("oracle", None)
    folder, *_ = perfect
    few = module.run_oracle(folder, views=3, limit=40)
    many = module.run_oracle(folder, views=16, limit=40)
    assert few["coverage_15"] < 0.5 < many["coverage_15"]
    assert few["well_placed"] < many["well_placed"]
    assert many["median_view_deg"] < few["median_view_deg"]


def test_relions_classes_are_read_in_our_convention(perfect, repository, monkeypatch, tmp_path):
    """Rows in another order, origins in Å, a class that stayed empty: what is scored is what RELION found."""
    monkeypatch.syspath_prepend(str(repository / "benchmarks"))
    relion_run = importlib.import_module("relion_run")
    folder, _, particles, own, poses = perfect
    columns = dict(zip(("AnglePsi", "OriginXAngst", "OriginYAngst"), to_relion(poses, 3.54), strict=True))
    names = np.array([f"{k + 1:06d}@particles.mrcs" for k in range(len(own))], dtype=object)
    data = {"ImageName": names, "ClassNumber": own + 1, **columns}
    order = np.random.default_rng(0).permutation(len(own))
    table = Table("particles", {f"rln{name}": values[order] for name, values in data.items()})
    optics = Table("optics", {"rlnImagePixelSize": np.array([3.54])})
    write_blocks(tmp_path / "run_it007_data.star", {"optics": optics, "particles": table})
    stated = Table("classes", {"rlnEstimatedResolution": np.array([12.0] * VIEWS + [np.inf])})
    write_blocks(tmp_path / "run_it007_model.star", {"model_classes": stated})
    write_stack(tmp_path / "run_it007_classes.mrcs", np.zeros((VIEWS + 1, 48, 48), np.float32), 3.54)
    found = relion_run.read_relion(tmp_path, 7, None)
    relion_run.write_as_ours(folder, tmp_path, found)
    settings = EvaluationSettings(truth=str(folder / "truth.csv"))
    figures = evaluate(tmp_path, settings)["truth"]["figures"]
    ours = evaluate(written(tmp_path / "ours", particles, own, poses), settings)["truth"]["figures"]
    assert figures["well_placed"] == pytest.approx(ours["well_placed"], abs=0.003)
    assert figures["median_plane_deg"] == pytest.approx(ours["median_plane_deg"], abs=0.01)
    assert figures["real_discarded"] == 0.0
    star = relion_run.relion_star(folder, 3.54, 48).read_text().splitlines()
    assert star[-1].split()[-1] == particles.table["micrograph"][-1]
