"""Particles of continuous views: what is on disk is what truth.csv and the options say."""

import dataclasses

import mrcfile
import numpy as np
import pytest
import torch

from alignpca2d_core.errors import InputError
from alignpca2d_core.evaluation.views.view_truth import read_view_truth
from alignpca2d_core.fourier.ctf import contrast_transfer, half_plane_frequencies
from alignpca2d_core.fourier.rigid_transforms import Poses, apply
from alignpca2d_core.io.particle_reading import read_particles
from alignpca2d_core.io.stacks import StackReader
from alignpca2d_core.maps.views import rotation_matrices, symmetry_rotations
from alignpca2d_core.settings import REALISTIC, SimulationSettings
from alignpca2d_core.simulation.junk_kinds import kind_weights
from alignpca2d_core.simulation.orientations import draw_directions, euler_angles
from alignpca2d_core.simulation.phantom import make_phantom
from alignpca2d_core.simulation.picked_particles import pick_particles
from alignpca2d_core.simulation.simulate import simulate
from alignpca2d_core.simulation.symmetry import check_symmetry, symmetrised

SMALL = {"orientations": "continuous", "box": 48, "particles": 24, "snr": 1e6}
EMPTIES = {**SMALL, "particles": 400, "snr": 1.0, "junk_fraction": 0.98, "junk_kinds": "empty", "no_normalise": True}


def correlation(first, second):
    return np.corrcoef(np.ravel(first), np.ravel(second))[0, 1]


def simulated(directory, **changes):
    """Simulate, and read images and truth back."""
    simulate(SimulationSettings(**changes), directory)
    particles = read_particles(directory / "particles.xmd")
    return StackReader(particles).read(np.arange(len(particles))), read_view_truth(directory / "truth.csv"), particles


def columns_of(path):
    """truth.csv by column."""
    head, *rows = (line.split(",") for line in path.read_text().splitlines())
    return {name: np.array(values) for name, values in zip(head, zip(*rows, strict=True), strict=True)}


@pytest.mark.parametrize("box", [48, 47])
def test_truth_aligns_boxes_to_projections_of_the_points(tmp_path, box):
    """The points' projections are exact and know nothing of volumes, slices or CTFs."""
    images, _, _ = simulated(tmp_path, **{**SMALL, "box": box, "no_ctf": True})
    table = columns_of(tmp_path / "truth.csv")
    number = {name: table[name].astype(float) for name in ("rot", "tilt", "psi", "shiftX", "shiftY")}
    points = make_phantom("domains", 0, box * 3.54)
    views = points.project(rotation_matrices(number["rot"], number["tilt"], 0 * number["rot"]), box, 3.54)
    aligned = apply(images, Poses(number["psi"], number["shiftX"], number["shiftY"]))
    assert min(correlation(a, v) for a, v in zip(aligned, views, strict=True)) > 0.99
    turned = points.project(rotation_matrices(number["rot"], number["tilt"], -number["psi"]), box, 3.54)
    assert np.mean([correlation(a, v) for a, v in zip(images, turned, strict=True)]) > 0.6


def test_box_is_ctf_times_moved_projection(tmp_path):
    images, truth, particles = simulated(tmp_path, **SMALL, max_shift=0.02, defocus_max=0.9, astigmatism=0.2)
    x, y = half_plane_frequencies(48, 3.54)
    moved = torch.as_tensor(truth.offsets_px * 3.54)
    ramp = torch.exp(-2j * torch.pi * (moved[:, :1] * x + moved[:, 1:] * y))
    projections = torch.fft.rfft2(truth.density.project(truth.rotations, 48, 3.54)).flatten(1)
    spectra = projections * ramp * contrast_transfer(particles.ctf, x, y)
    expected = torch.fft.irfft2(spectra.reshape(24, 48, -1), s=(48, 48))
    assert np.mean([correlation(a, b) for a, b in zip(images, expected.numpy(), strict=True)]) > 0.98


def test_noise_has_the_spectrum_and_the_variance_that_are_asked_for(tmp_path):
    images, truth, _ = simulated(tmp_path, **EMPTIES, noise_spectrum=0.6)
    noise = images[~truth.is_particle]
    assert noise.var(axis=(1, 2)).mean() == pytest.approx(1.0, rel=0.02)
    power = (np.abs(np.fft.rfft2(noise)) ** 2).mean(axis=0)[0]
    assert power[-2:].mean() / power[2:4].mean() == pytest.approx(0.4 / 0.95, rel=0.15)


def test_ice_passes_the_ctf_and_other_noise_does_not(tmp_path):
    one_defocus = {"defocus_min": 1.0, "defocus_max": 1.0, "ice": 0.9}
    images, truth, particles = simulated(tmp_path, **EMPTIES, **one_defocus)
    noise = images[~truth.is_particle]
    power = (np.abs(np.fft.rfft2(noise)) ** 2).mean(axis=0).ravel() / 48**2
    ctf = contrast_transfer(particles.ctf[np.array([0])], *half_plane_frequencies(48, 3.54))[0].numpy()
    assert noise.var(axis=(1, 2)).mean() == pytest.approx(1.0, rel=0.05)
    # The box is narrower than the fringes: some power leaks into the zeros.
    assert power[np.abs(ctf) > 0.95].mean() > 3.0 * power[np.abs(ctf) < 0.05].mean()


def test_snr_is_that_of_clean_particles(tmp_path):
    images, truth, _ = simulated(tmp_path, **{**SMALL, "particles": 300, "snr": 0.5, "no_normalise": True})
    assert truth.is_particle.all()
    assert images.var(axis=(1, 2)).mean() == pytest.approx(1.5, rel=0.03)


def test_boxes_are_normalised_outside_the_particle(tmp_path):
    images, _, _ = simulated(tmp_path, realistic=True, box=48, particles=60, map=None)
    axis = np.arange(48) - 24
    outside = images[:, np.hypot(axis[None, :], axis[:, None]) > 0.42 * 48]
    assert np.abs(outside.mean(axis=1)).max() < 1e-3
    assert outside.std(axis=1) == pytest.approx(1.0, abs=0.01)


def test_micrographs_have_their_own_ice_gain_and_defocus_and_hold_the_boxes(tmp_path):
    options = {"box": 32, "particles": 300, "micrographs": 5, "borders": 0.1, "no_normalise": True}
    images, truth, particles = simulated(tmp_path, realistic=True, **options)
    names = particles.table["micrograph"]
    assert len(set(names)) == 5
    assert set(particles.table["micrographId"].tolist()) == {1, 2, 3, 4, 5}
    grey = np.array([np.median(images[names == name]) for name in sorted(set(names))])
    assert grey.std() / grey.mean() > 0.05
    columns = columns_of(tmp_path / "truth.csv")
    for value in ("thickness", "gain"):
        assert len({(name, one) for name, one in zip(names, columns[value], strict=True)}) == 5
    x, y = (np.asarray(particles.table[name], dtype=float) for name in ("xcoor", "ycoor"))
    over = np.minimum(x, y) < 16
    border = truth.flags["border"]
    assert border.sum() == pytest.approx(30, abs=20)
    assert np.all(border[over])
    spread = particles.ctf.defocus_u - columns["defocusU"].astype(float)
    assert 100 < spread.std() < 1500


def test_border_is_filled(tmp_path):
    images, truth, _ = simulated(tmp_path, **{**SMALL, "snr": 1.0, "borders": 1.0, "no_normalise": True})
    assert truth.flags["border"].all()
    for image in images:
        sides = (image[:, 0], image[:, -1], image[0], image[-1])
        assert min(np.ptp(side) for side in sides) == 0.0


def test_junk_comes_by_kind_and_weight():
    settings = SimulationSettings(realistic=True, particles=1000, junk_fraction=0.3, junk_kinds="empty:2,edge,bead:3")
    kinds, sizes = np.unique(pick_particles(settings).kind, return_counts=True)
    assert dict(zip(kinds.tolist(), sizes.tolist(), strict=True)) == {
        "bead": 150,
        "edge": 50,
        "empty": 100,
        "particle": 700,
    }


@pytest.mark.parametrize("text", ["", "dust", "edge:0", "edge:x", "empty:-1"])
def test_junk_kinds_that_cannot_be(text):
    with pytest.raises(InputError, match="--junk-kinds"):
        kind_weights(text)


def test_strong_junk_is_strong_and_where_it_should_be(tmp_path):
    junk = "contaminant,edge,bead,aggregate"
    options = {"junk_fraction": 0.5, "junk_kinds": junk, "no_normalise": True, "gain": 0.0}
    images, truth, _ = simulated(tmp_path, realistic=True, box=48, particles=200, **options)
    power = images.var(axis=(1, 2))
    inside = ~truth.flags["border"]
    particle = np.median(power[truth.is_particle & inside])
    for kind in ("contaminant", "edge", "bead"):
        assert np.median(power[(truth.kind == kind) & inside]) > 1.5 * particle


def test_an_option_changes_its_own_property_alone():
    plain = pick_particles(SimulationSettings(realistic=True, particles=200))
    other = pick_particles(SimulationSettings(realistic=True, particles=200, junk_fraction=0.0, neighbours=0.0))
    assert np.array_equal(plain.rot_deg, other.rot_deg)
    assert np.array_equal(plain.poses.psi_deg, other.poses.psi_deg)
    assert np.array_equal(plain.stated_ctf.defocus_u, other.stated_ctf.defocus_u)
    assert not other.neighbour.any()
    assert other.is_particle.all()


def test_off_centre_particles_are_further_than_all_others():
    settings = SimulationSettings(realistic=True, particles=2000, off_centre_fraction=0.1)
    picked = pick_particles(settings)
    distance = np.hypot(picked.poses.shift_x_px, picked.poses.shift_y_px) / settings.box
    far = picked.off_centre
    assert distance[far].min() >= 0.12
    assert distance[far].max() <= 0.2
    others = distance[~far & picked.is_particle]
    assert others.max() <= 0.12 + 1e-9
    assert np.sqrt((others**2).mean() / 2) == pytest.approx(0.036, rel=0.1)


def test_same_seed_same_bytes_another_seed_other_particles(tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        simulate(SimulationSettings(realistic=True, particles=70, box=32, seed=seed), tmp_path / name)
    first, second, third = ((tmp_path / name / "particles.mrcs").read_bytes()[1024:] for name in "abc")
    assert first == second
    assert first != third
    assert (tmp_path / "a" / "truth.csv").read_text() == (tmp_path / "b" / "truth.csv").read_text()


@pytest.mark.parametrize(("name", "order"), [("C1", 1), ("c4", 4), ("D2", 4), ("D7", 14)])
def test_symmetry_groups_are_closed_rotations(name, order):
    group = symmetry_rotations(name)
    assert len(group) == order
    assert np.allclose(np.linalg.det(group), 1.0)
    assert np.allclose(group[0], np.eye(3))
    products = np.einsum("gij,hjk->ghik", group, group)
    assert np.all(np.abs(products[:, :, None] - group).max(axis=(-2, -1)).min(axis=2) < 1e-9)


@pytest.mark.parametrize("name", ["", "T", "C0", "D1", "C100", "4", "CC"])
def test_symmetry_that_cannot_be(name):
    with pytest.raises(InputError, match="--symmetry"):
        symmetry_rotations(name)


def test_a_phantom_is_given_its_symmetry_and_one_without_it_is_refused():
    points = make_phantom("domains", 0, 200.0)
    with pytest.raises(InputError, match="lacks it"):
        check_symmetry(points, "D2", 200.0)
    group = symmetry_rotations("D2")
    body = symmetrised(points, "D2")
    check_symmetry(body, "D2", 200.0)
    views = rotation_matrices(np.array([20.0]), np.array([70.0]), np.array([0.0]))
    images = body.project(np.concatenate([views @ g for g in group]), 48, 4.0).numpy()
    assert all(np.allclose(image, images[0], atol=1e-3 * images.max()) for image in images[1:])


def test_volume_of_points_projects_as_the_points_do(tmp_path):
    simulate(SimulationSettings(**SMALL, symmetry="C3", phantom="antibody"), tmp_path)
    with mrcfile.open(tmp_path / "density.mrc") as file:
        assert file.is_volume()
        assert file.voxel_size.x == pytest.approx(3.54)
    truth = read_view_truth(tmp_path / "truth.csv")
    body = symmetrised(make_phantom("antibody", 0, 48 * 3.54), "C3")
    volume = truth.density.project(truth.rotations[:4], 48, 3.54)
    exact = body.project(truth.rotations[:4], 48, 3.54)
    assert min(correlation(a, b) for a, b in zip(volume, exact, strict=True)) > 0.995
    assert float(volume.sum()) == pytest.approx(float(exact.sum()), rel=0.01)


@pytest.mark.parametrize(("preference", "near"), [("axis", 0.43), ("side", 0.53), ("continuous", 0.17)])
def test_preferred_orientations(preference, near):
    """70 % within 1.36 of two normal deviates, or 1 of one, of 15° or 10°; the rest by area."""
    directions = draw_directions(4000, preference, 0.7, np.random.default_rng(0))
    _, tilt = euler_angles(directions)
    close = tilt < 20 if preference == "axis" else np.abs(tilt - 90) < 10
    assert close.mean() == pytest.approx(near, abs=0.03)
    assert np.linalg.norm(directions, axis=1) == pytest.approx(1.0)


def test_euler_angles_give_the_direction_back():
    directions = draw_directions(50, "continuous", 0.0, np.random.default_rng(1))
    rot, tilt = euler_angles(directions)
    assert np.allclose(rotation_matrices(rot, tilt, np.full(50, 33.0))[:, 2], directions)


def test_the_preset_and_single_options():
    plain, realistic = SimulationSettings(), SimulationSettings(realistic=True, ice=0.1, junk_fraction=0.0)
    assert all(getattr(plain, name) == values[0] for name, values in REALISTIC.items())
    assert (realistic.ice, realistic.junk_fraction, realistic.envelope) == (0.1, 0.0, 120.0)
    assert realistic.orientations == "continuous"


@pytest.mark.parametrize(
    ("changes", "option"),
    [
        ({"ice": 0.2}, "--ice"),
        ({"symmetry": "C4"}, "--symmetry"),
        ({"micrographs": 3}, "--micrographs"),
        ({"realistic": True, "views": 5}, "--views"),
        ({"realistic": True, "order": "blocks"}, "--order"),
        ({"orientations": "side", "second_conformation": 0.5}, "--second-conformation"),
        ({"realistic": True, "orientations": "discrete"}, "--realistic"),
    ],
)
def test_options_of_the_other_kind_of_simulation_are_refused(changes, option):
    with pytest.raises(InputError, match=option):
        SimulationSettings(**changes)


def test_a_map_keeps_its_symmetry(tmp_path, shared_data):
    path = shared_data / "structures" / "bgal_64_4A.mrc"
    if not path.is_file():
        pytest.skip(f"no map at {path}")
    options = {**SMALL, "map": str(path), "sampling_rate": 4.0, "symmetry": "D2", "particles": 4}
    simulate(SimulationSettings(**options), tmp_path)
    with pytest.raises(InputError, match="lacks it"):
        simulate(SimulationSettings(**{**options, "symmetry": "C3"}), tmp_path)


def test_command_line_makes_realistic_sets(tmp_path, run_cli):
    done = run_cli("simulate", "-o", tmp_path / "set", "--realistic", "--particles", 20, "--box", 32, "--ice", 0.5)
    assert done.code == 0, done.err
    assert dataclasses.asdict(SimulationSettings())["realistic"] is False
    wrong = run_cli("simulate", "-o", tmp_path / "other", "--neighbours", 0.5)
    assert wrong.code == 2
    assert "--neighbours 0.5: only with --realistic" in wrong.err
    assert not (tmp_path / "other").exists()
