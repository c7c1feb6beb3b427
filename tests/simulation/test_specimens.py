"""Specimens: phantoms, maps and structures, and how their views are drawn."""

import dataclasses

import mrcfile
import numpy as np
import pytest
import torch

from alignpca2d_core.errors import InputError
from alignpca2d_core.fourier.rigid_transforms import Poses, apply
from alignpca2d_core.maps.density import Density, read_map
from alignpca2d_core.maps.views import rotation_matrices
from alignpca2d_core.settings import SimulationSettings
from alignpca2d_core.simulation.phantom import SHAPES, make_phantom
from alignpca2d_core.simulation.simulate import load_specimen, project_views, simulate
from alignpca2d_core.simulation.specimen import Scatterers, read_structure
from alignpca2d_core.simulation.viewing_directions import likeness


def correlation(first, second):
    return np.corrcoef(np.ravel(first), np.ravel(second))[0, 1]


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_phantoms_fit_the_box_and_their_views_differ(name):
    views, _ = project_views(SimulationSettings(phantom=name, views=6))
    edge = torch.cat([views[:, 0], views[:, -1], views[:, :, 0], views[:, :, -1]])
    assert float(edge.abs().max()) < 0.02 * float(views.max())
    alike = likeness(views)
    assert float(alike[~torch.eye(6, dtype=torch.bool)].max()) < 0.96


def test_phantoms_depend_on_their_seed_only():
    first, again, other = (make_phantom("domains", seed, 200.0) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.positions, again.positions)
    assert first.positions.shape != other.positions.shape


def test_distinct_views_of_a_symmetric_specimen_are_less_alike_than_random_ones():
    worst = []
    for selection in ("distinct", "random"):
        views, _ = project_views(SimulationSettings(phantom="barrel", views=8, view_selection=selection))
        alike = likeness(views)
        worst.append(float(alike.fill_diagonal_(0.0).max()))
    assert worst[0] < worst[1] - 0.02


def test_projection_is_the_sum_along_the_third_row_of_the_rotation():
    point = Scatterers(
        np.array([[10.0, 4.0, -6.0]]), np.ones(1), np.zeros(1, dtype=np.int64), np.array([[[1.0, 300.0]]])
    )
    rotation = rotation_matrices(np.array([30.0]), np.array([50.0]), np.array([20.0]))
    image = point.project(rotation, 32, 2.0)[0]
    planar = rotation[0] @ point.positions[0] / 2.0
    grid = torch.arange(32, dtype=torch.float32) - 16
    weights = image / image.sum()
    assert float((weights.sum(0) * grid).sum()) == pytest.approx(planar[0], abs=0.02)
    assert float((weights.sum(1) * grid).sum()) == pytest.approx(planar[1], abs=0.02)


def test_map_and_atoms_project_alike():
    """A volume made of two Gaussian points has the projections of those points."""
    spread = 4.0
    points = np.array([[12.0, -6.0, 3.0], [-9.0, 0.0, -12.0]])
    offset = (np.arange(40) - 20) * 3.0
    volume = sum(
        np.exp(-((offset - x) ** 2 + (offset[:, None] - y) ** 2 + (offset[:, None, None] - z) ** 2) / 2 / spread**2)
        for x, y, z in points
    )
    gaussian = np.array([[[1.0, 8.0 * np.pi**2 * spread**2]]])
    atoms = Scatterers(points, np.ones(2), np.zeros(2, dtype=np.int64), gaussian)
    rotations = rotation_matrices(np.array([20.0, 200.0]), np.array([35.0, 80.0]), np.array([0.0, 10.0]))
    density = Density(torch.from_numpy(volume).float(), 3.0)
    for box, rate in ((40, 3.0), (33, 3.7)):
        first, second = (one.project(rotations, box, rate) for one in (density, atoms))
        assert min(correlation(a, b) for a, b in zip(first, second, strict=True)) > 0.9995


def test_what_a_map_has_outside_the_box_does_not_wrap_into_it():
    volume = torch.zeros(48, 48, 48)
    volume[24, 24, 24] = volume[24, 24, 44] = 1.0
    rotation = rotation_matrices(np.zeros(1), np.zeros(1), np.zeros(1))
    image = Density(volume, 1.0).project(rotation, 24, 1.0)[0]
    assert float(image[12, 12]) > 0.7
    assert float(image.flatten().sort().values[-2]) < 0.2  # the first ring of a point cut off at Nyquist


def test_structure_and_map_of_beta_galactosidase_agree(shared_data):
    structures = shared_data / "structures"
    pytest.importorskip("gemmi")
    atoms = read_structure(structures / "5a1a.cif")
    density = read_map(structures / "bgal_5a1a_128_1.77A.mrc")
    rotations = rotation_matrices(np.array([10.0, 120.0]), np.array([70.0, 20.0]), np.zeros(2))
    pairs = zip(atoms.project(rotations, 64, 3.54), density.project(rotations, 64, 3.54), strict=True)
    assert min(correlation(a, b) for a, b in pairs) > 0.998


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"map": "nowhere.mrc"}, "nowhere.mrc: no such file"),
        ({"structure": "nowhere.cif"}, "nowhere.cif: no such file"),
        ({"map": "text.mrc"}, "text.mrc: not an MRC map"),
        ({"structure": "text.cif"}, "text.cif: not a structure"),
        ({"map": "flat.mrc"}, "not a volume"),
        ({"map": "unscaled.mrc"}, "voxel size"),
        ({"map": "fine.mrc", "second_conformation": 0.5}, "not of a map"),
    ],
)
def test_unusable_specimens_are_one_line(tmp_path, monkeypatch, changes, message):
    monkeypatch.chdir(tmp_path)
    pytest.importorskip("gemmi")
    for name in ("text.mrc", "text.cif"):
        (tmp_path / name).write_text("neither map nor model\n")
    blob = np.zeros((8, 8, 8), dtype=np.float32)
    blob[3:5, 3:5, 3:5] = 1.0
    for name, data, voxel in (("flat", blob[0], 2.0), ("unscaled", blob, 0.0), ("fine", blob, 2.0)):
        mrcfile.write(tmp_path / f"{name}.mrc", data, voxel_size=voxel)
    with pytest.raises(InputError, match=message) as caught:
        simulate(SimulationSettings(particles=4, box=32, **changes), tmp_path / "out")
    assert "\n" not in str(caught.value)


def test_every_phantom_can_be_chosen():
    option = next(field for field in dataclasses.fields(SimulationSettings) if field.name == "phantom")
    assert sorted(option.metadata["choices"]) == sorted(SHAPES)


def test_specimens_load_by_name():
    assert len(load_specimen(SimulationSettings(phantom="knob")).positions) > 300


def test_likeness_finds_a_turned_and_a_mirrored_copy():
    views, _ = project_views(SimulationSettings(views=2))
    turned = apply(views[:1], Poses.single(40.0, 0.0, 0.0))
    alike = likeness(torch.cat([views, turned, views[:1].transpose(1, 2)]))
    assert float(alike[0, 2]) > 0.98
    assert float(alike[0, 3]) > 0.98
    assert float(alike[0, 1]) < 0.95
