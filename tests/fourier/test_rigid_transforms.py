"""Poses against their matrices, scipy, Xmipp's and Scipion's own code, and RELION's images."""

import mrcfile
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from alignpca2d_core.fourier.interpolation import sample_spline, spectrum_coefficients, spline_coefficients
from alignpca2d_core.fourier.rigid_transforms import (
    Poses,
    apply,
    compose,
    from_relion,
    invert,
    to_matrix,
    to_relion,
    wrap_degrees,
)
from alignpca2d_core.io.star.star_reader import read_blocks

angle = st.floats(-720, 720)
shift = st.floats(-50, 50)
pose = st.builds(Poses.single, angle, shift, shift)


def assert_same(first, second, atol=1e-9):
    """The two transforms move every point alike."""
    np.testing.assert_allclose(to_matrix(first), to_matrix(second), rtol=0, atol=atol)


def smooth_image(box, seed=0):
    """An image without fine detail that fades well inside the box."""
    rng = np.random.default_rng(seed)
    offset = np.arange(box) - box // 2
    image = np.zeros((box, box))
    for _ in range(6):
        x, y = rng.uniform(-0.13, 0.13, 2) * box
        image += rng.uniform(0.5, 1.5) * np.exp(-((offset - x) ** 2 + (offset[:, None] - y) ** 2) / 14.0)
    return image.astype(np.float32)


def correlation(first, second):
    return np.corrcoef(np.ravel(first), np.ravel(second))[0, 1]


@given(pose, pose)
def test_compose_is_the_product_of_matrices(second, first):
    def homogeneous(one):
        return np.vstack([to_matrix(one)[0], [0, 0, 1]])

    product = homogeneous(second) @ homogeneous(first)
    np.testing.assert_allclose(to_matrix(compose(second, first))[0], product[:2], atol=1e-9)


@given(pose)
def test_inverse_undoes(one):
    assert_same(compose(one, invert(one)), Poses.identity(1))
    assert_same(compose(invert(one), one), Poses.identity(1))


@given(pose, st.floats(0.5, 5.0))
def test_relion_round_trip(one, sampling_rate):
    assert_same(from_relion(*to_relion(one, sampling_rate), sampling_rate), one)


def test_points_move_as_xmipps_matrix_says():
    matrix = to_matrix(Poses.single(90.0, 3.0, -2.0))[0]
    np.testing.assert_allclose(matrix @ [1.0, 0.0, 1.0], [3.0, -3.0], atol=1e-12)


def test_ragged_poses_are_refused():
    with pytest.raises(ValueError, match="one length"):
        Poses(np.zeros(2), np.zeros(1), np.zeros(2))
    with pytest.raises(ValueError, match="poses need images"):
        apply(np.zeros((2, 8, 8), dtype=np.float32), Poses.identity(1))


def test_angles_wrap_into_half_open_range():
    np.testing.assert_allclose(
        wrap_degrees(np.array([180.0, -180.0, 190.0, 540.0, -1.0])), [-180, -180, -170, -180, -1]
    )


@pytest.mark.parametrize("box", [7, 8])
def test_whole_pixels_and_right_angles_are_exact(box):
    image = np.zeros((1, box, box), dtype=np.float32)
    centre = box // 2
    image[0, centre, centre + 2] = 1.0
    moved = apply(image, Poses.single(90.0, 1.0, 0.0))[0]
    expected = np.zeros((box, box))
    expected[centre - 2, centre + 1] = 1.0
    np.testing.assert_allclose(moved, expected, atol=1e-5)


def test_nothing_comes_in_from_the_other_side():
    image = np.ones((1, 8, 8), dtype=np.float32)
    moved = apply(image, Poses.single(0.0, 3.0, 0.0))[0]
    np.testing.assert_allclose(moved, np.tile([0, 0, 0, 1, 1, 1, 1, 1], (8, 1)), atol=1e-5)


@pytest.mark.parametrize("box", [48, 49])
def test_apply_is_scipys_spline(box):
    ndimage = pytest.importorskip("scipy.ndimage")
    image, one = smooth_image(box), Poses.single(37.0, 3.3, -5.7)
    back = to_matrix(invert(one))[0]
    swapped = back[::-1, :2][:, ::-1]
    centre = np.full(2, box // 2)
    offset = centre + back[::-1, 2] - swapped @ centre
    theirs = ndimage.affine_transform(image.astype(np.float64), swapped, offset=offset, order=3)
    np.testing.assert_allclose(apply(image[None], one)[0], theirs, atol=1e-4 * image.max())


def test_tensors_stay_tensors_and_batches_do_not_matter():
    images = torch.from_numpy(np.stack([smooth_image(32, seed) for seed in range(300)]))
    poses = Poses(np.linspace(0, 720, 300), np.linspace(-3, 3, 300), np.linspace(2, -2, 300))
    moved = apply(images, poses)
    assert isinstance(moved, torch.Tensor)
    torch.testing.assert_close(moved[299:], apply(images[299:], poses[299:]), rtol=0, atol=1e-6)


def test_spline_passes_through_its_nodes_and_is_periodic_one_pixel_beyond():
    images = torch.from_numpy(np.stack([smooth_image(12), smooth_image(12, 1)]))
    coefficients = spline_coefficients(images)
    x, y = torch.tensor([[0.0, 5.0, 11.0]]), torch.tensor([[0.0, 7.0, 3.0]])
    values = sample_spline(coefficients, x, y, torch.tensor([[1]]))
    torch.testing.assert_close(values[0], images[1, [0, 7, 3], [0, 5, 11]], atol=1e-5, rtol=0)
    far = sample_spline(coefficients, torch.tensor([[500.0], [-500.0]]), torch.tensor([[4.0], [4.0]]))
    torch.testing.assert_close(far[:, 0], torch.stack([images[0, 4, 0], images[1, 4, -1]]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("box", [16, 17])
def test_padded_spectrum_is_the_fourier_transform_between_its_samples(box):
    image = torch.from_numpy(smooth_image(box))
    frequency_x, frequency_y = 2.3, -1.7
    offset = torch.arange(box) - box // 2
    phase = (frequency_x * offset[None, :] + frequency_y * offset[:, None]) / box
    exact = (image * torch.exp(-2j * torch.pi * phase)).sum()
    coefficients = spectrum_coefficients(image[None], 3)
    middle = 3 * box // 2
    x, y = torch.tensor([[3 * frequency_x + middle]]), torch.tensor([[3 * frequency_y + middle]])
    assert abs(complex(sample_spline(coefficients, x, y)[0, 0]) - complex(exact)) < 2e-3 * float(image.sum())


@pytest.mark.scipion
@pytest.mark.parametrize("box", [64, 65])
def test_xmipp_moves_images_as_we_do(tmp_path, box):
    xmipp = pytest.importorskip("xmippLib")
    image, one = smooth_image(box), Poses.single(-123.0, 4.5, -7.25)
    mrcfile.write(tmp_path / "image.mrc", image)
    row = xmipp.MetaData()
    item = row.addObject()
    row.setValue(xmipp.MDL_IMAGE, str(tmp_path / "image.mrc"), item)
    labels = (xmipp.MDL_ANGLE_PSI, xmipp.MDL_SHIFT_X, xmipp.MDL_SHIFT_Y)
    for label, value in zip(labels, (one.psi_deg, one.shift_x_px, one.shift_y_px), strict=True):
        row.setValue(label, float(value[0]), item)
    moved = xmipp.Image()
    moved.readApplyGeo(row, item)
    assert correlation(moved.getData(), apply(image[None], one)[0]) > 0.999


@pytest.mark.scipion
@pytest.mark.parametrize("box", [64, 65])
def test_scipion_moves_images_by_our_matrix_as_we_do(box):
    """``applyWarpAffine`` is what pwem's ImageHandler.applyTransform calls, with the matrix of a Transform."""
    xmipp = pytest.importorskip("xmippLib")
    image, one = smooth_image(box), Poses.single(70.0, -3.0, 6.5)
    matrix = np.vstack([to_matrix(one)[0], [0.0, 0.0, 1.0]])
    source = xmipp.Image()
    source.setData(image.copy())
    moved = source.applyWarpAffine(matrix.ravel().tolist(), (box, box), False, 0.0)
    assert correlation(moved.getData(), apply(image[None], one)[0]) > 0.999


@pytest.mark.scipion
def test_scipions_matrix_of_the_labels_is_ours():
    transformations = pytest.importorskip("pwem.convert.transformations")
    one = Poses.single(33.0, 2.0, -1.0)
    theirs = transformations.euler_matrix(-np.deg2rad(33.0), 0, 0, "szyz")
    np.testing.assert_allclose(theirs[:2, :2], to_matrix(one)[0, :, :2], atol=1e-12)


@pytest.mark.parametrize("box", [64, 65])
def test_relions_origin_brings_its_shifted_images_to_the_centre(shared_data, box):
    folder = shared_data / "stacks" / "relion_proj"
    star = read_blocks(folder / f"rln_proj_{box}_shifted.star")["particles"]
    origin_x, origin_y = (np.asarray(star[f"rlnOrigin{axis}"], dtype=np.float64) for axis in "XY")
    shifted, centred = (mrcfile.read(folder / f"rln_proj_{box}_{name}.mrcs") for name in ("shifted", "centered"))
    moved = apply(shifted, from_relion(np.zeros(4), origin_x, origin_y, 1.0))
    # What RELION moved out of the box is gone: less than 2 % here.
    assert min(correlation(a, b) for a, b in zip(moved, centred, strict=True)) > 0.98
