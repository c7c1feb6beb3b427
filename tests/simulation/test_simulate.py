"""Simulations: what is on disk is what the truth says, whatever the options."""

import dataclasses
import json
import time

import mrcfile
import numpy as np
import pytest
import torch

from alignpca2d_core.errors import InputError
from alignpca2d_core.evaluation.assignments import read_truth
from alignpca2d_core.fourier.ctf import contrast_transfer, half_plane_frequencies
from alignpca2d_core.fourier.rfft_places import fast_length
from alignpca2d_core.fourier.rigid_transforms import apply, invert
from alignpca2d_core.io.particle_reading import read_particles
from alignpca2d_core.io.stacks import StackReader
from alignpca2d_core.settings import SimulationSettings
from alignpca2d_core.simulation.image_formation import delocalisation_px
from alignpca2d_core.simulation.particle_sampling import draw_particles, view_sizes
from alignpca2d_core.simulation.simulate import simulate

CLEAN = {"snr": 1e6, "particles": 24, "views": 4, "box": 48}


def correlation(first, second):
    return np.corrcoef(np.ravel(first), np.ravel(second))[0, 1]


def simulated(directory, **changes):
    """Simulate, and read everything back."""
    settings = SimulationSettings(**changes)
    simulate(settings, directory)
    particles = read_particles(directory / "particles.xmd")
    images = StackReader(particles).read(np.arange(len(particles)))
    views = mrcfile.read(directory / "views.mrcs").reshape(-1, settings.box, settings.box)
    return particles, images, views, read_truth(directory / "truth.csv")


@pytest.mark.parametrize("box", [48, 47])
@pytest.mark.parametrize("sign", [1, -1])
def test_truth_aligns_the_particles_to_their_views(tmp_path, box, sign):
    changes = {**CLEAN, "box": box, "no_ctf": True, "invert": sign < 0}
    particles, images, views, truth = simulated(tmp_path, **changes)
    assert particles.ctf is None
    aligned = apply(images, truth.poses)
    assert min(correlation(a, sign * v) for a, v in zip(aligned, views[truth.view], strict=True)) > 0.999
    reach = np.abs(np.stack(dataclasses.astuple(invert(truth.poses))[1:]))
    assert reach.max() <= 0.12 * box
    assert reach.max() > 0.09 * box


@pytest.mark.scipion
def test_xmipp_aligns_the_particles_by_the_truth(tmp_path):
    xmipp = pytest.importorskip("xmippLib")
    _, _, views, truth = simulated(tmp_path, **{**CLEAN, "snr": 0.5, "particles": 200, "no_ctf": True})
    totals = np.zeros_like(views)
    labels = (xmipp.MDL_ANGLE_PSI, xmipp.MDL_SHIFT_X, xmipp.MDL_SHIFT_Y)
    for number, (view, pose) in enumerate(zip(truth.view, np.stack(dataclasses.astuple(truth.poses), 1), strict=True)):
        table = xmipp.MetaData()
        row = table.addObject()
        table.setValue(xmipp.MDL_IMAGE, f"{number + 1:06d}@{tmp_path / 'particles.mrcs'}", row)
        for label, value in zip(labels, pose.tolist(), strict=True):
            table.setValue(label, value, row)
        aligned = xmipp.Image()
        aligned.readApplyGeo(table, row)
        totals[view] += aligned.getData()
    assert min(correlation(total, view) for total, view in zip(totals, views, strict=True)) > 0.97


@pytest.mark.parametrize("phase_flip", [False, True])
def test_particle_is_ctf_times_moved_view(tmp_path, phase_flip):
    changes = {**CLEAN, "astigmatism": 0.3, "phase_flip": phase_flip, "max_shift": 0.05, "defocus_max": 0.9}
    particles, images, views, truth = simulated(tmp_path, **changes)
    moved = apply(views[truth.view], invert(truth.poses))
    ctf = contrast_transfer(particles.ctf, *half_plane_frequencies(48, 3.54)).reshape(-1, 48, 25)
    expected = torch.fft.irfft2(torch.fft.rfft2(torch.from_numpy(moved)) * (ctf.abs() if phase_flip else ctf))
    # The simulation loses at the edge what this wraps around, and interpolates better.
    assert np.mean([correlation(a, b) for a, b in zip(images, expected.numpy(), strict=True)]) > 0.98
    assert np.ptp(particles.ctf.defocus_u - particles.ctf.defocus_v) > 500


def test_snr_is_variance_over_variance_in_the_whole_box(tmp_path):
    _, noisy, _, _ = simulated(tmp_path / "noisy", particles=300, box=48, snr=0.25)
    _, clean, _, _ = simulated(tmp_path / "clean", particles=300, box=48, snr=1e4)
    signal = clean * np.sqrt(0.25 / 1e4)
    assert noisy.var(axis=(1, 2)).mean() == pytest.approx(1.25, rel=0.01)
    assert np.corrcoef(noisy.ravel(), signal.ravel())[0, 1] == pytest.approx(np.sqrt(0.2), abs=0.01)
    noise = (noisy - signal)[:50]
    power = np.abs(np.fft.rfft2(noise)).mean(axis=0)
    assert power[2:20, 2:20].mean() == pytest.approx(power[2:20, -6:].mean(), rel=0.05)


def test_same_seed_same_bytes_another_seed_other_particles_of_the_same_views(tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        simulate(SimulationSettings(particles=20, box=32, seed=seed), tmp_path / name)
    first, second, third = ((tmp_path / name / "particles.mrcs").read_bytes() for name in "abc")
    assert first[1024:] == second[1024:]
    assert first[1024:] != third[1024:]
    assert (tmp_path / "a" / "truth.csv").read_text() == (tmp_path / "b" / "truth.csv").read_text()
    views = [mrcfile.read(tmp_path / name / "views.mrcs") for name in "ac"]
    assert correlation(*views) > 0.9999


def test_view_sizes_follow_the_ratio_and_leave_room_for_junk():
    sizes = view_sizes(SimulationSettings(particles=1000, views=5, view_ratio=8.0, junk_fraction=0.1))
    assert sizes.sum() == 1000
    assert sizes[-1] == 100
    assert sizes[0] / sizes[4] == pytest.approx(8.0, rel=0.05)
    assert list(sizes[:5]) == sorted(sizes[:5], reverse=True)


def test_order_is_shuffled_or_in_blocks():
    settings = SimulationSettings(particles=60, views=3)
    shuffled, blocks = draw_particles(settings), draw_particles(dataclasses.replace(settings, order="blocks"))
    assert (np.diff(blocks.view) >= 0).all()
    assert (np.diff(shuffled.view) < 0).any()
    assert sorted(shuffled.view) == sorted(blocks.view)


def test_junk_shows_no_view(tmp_path):
    _, images, views, truth = simulated(tmp_path, **{**CLEAN, "particles": 60, "junk_fraction": 0.5, "no_ctf": True})
    assert (truth.view == -1).sum() == 30
    fits = [max(correlation(image, view) for view in views) for image in apply(images, truth.poses)]
    assert min(np.array(fits)[truth.view >= 0]) > 0.99
    assert np.median(np.array(fits)[truth.view < 0]) < 0.5
    spread = images[truth.view < 0].std(axis=(1, 2))
    assert spread.min() < 1.2
    assert spread.max() > 100.0


def test_noise_alone_and_particles_off_centre_are_as_many_as_asked_for_and_named_in_the_truth(tmp_path):
    changes = {**CLEAN, "particles": 80, "no_ctf": True, "noise_fraction": 0.25, "off_centre_fraction": 0.2}
    _, images, views, truth = simulated(tmp_path, **changes)
    table = np.genfromtxt(tmp_path / "truth.csv", delimiter=",", names=True)
    noise, off_centre = table["noise"] > 0, table["offCentre"] > 0
    assert (noise.sum(), off_centre.sum()) == (20, 16)
    np.testing.assert_array_equal(noise, truth.view == -1)
    assert images[noise].std(axis=(1, 2)) == pytest.approx(np.ones(20), abs=0.1)
    fits = [correlation(a, views[v]) for a, v in zip(apply(images, truth.poses), truth.view, strict=True)]
    assert min(np.array(fits)[~noise & ~off_centre]) > 0.99
    assert min(np.array(fits)[off_centre]) > 0.9  # what left the box is lost
    reach = np.abs(np.stack(dataclasses.astuple(invert(truth.poses))[1:])).max(axis=0) / 48
    assert reach[~off_centre].max() <= 0.12 < reach[off_centre].min()
    assert 0.17 < reach[off_centre].max() <= 0.2


def test_noise_and_off_centre_particles_leave_the_others_as_they_are():
    settings = SimulationSettings(particles=60, views=3)
    plain, moved = draw_particles(settings), draw_particles(dataclasses.replace(settings, off_centre_fraction=0.5))
    stay = ~moved.off_centre
    np.testing.assert_array_equal(plain.poses.shift_x_px[stay], moved.poses.shift_x_px[stay])
    np.testing.assert_array_equal(plain.poses.psi_deg, moved.poses.psi_deg)


def test_second_conformation_has_views_of_its_own(tmp_path):
    changes = {**CLEAN, "second_conformation": 0.5, "no_ctf": True, "particles": 40}
    _, images, views, truth = simulated(tmp_path, **changes)
    assert len(views) == 8
    assert 5 < truth.conformation.sum() < 35
    aligned = apply(images, truth.poses)
    right = [correlation(a, views[v + 4 * c]) for a, v, c in zip(aligned, truth.view, truth.conformation, strict=True)]
    wrong = [
        correlation(a, views[v + 4 * (1 - c)]) for a, v, c in zip(aligned, truth.view, truth.conformation, strict=True)
    ]
    assert min(right) > 0.99
    assert np.median(wrong) < 0.98


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8", "int16", "uint16"])
def test_stacks_of_every_format_hold_the_same_images(tmp_path, dtype):
    changes = {"particles": 23, "box": 32, "stacks": 4}
    _, expected, _, _ = simulated(tmp_path / "one", particles=23, box=32)
    particles, images, _, _ = simulated(tmp_path / "many", **changes, stack_dtype=dtype)
    assert len(particles.stacks) == 4
    with mrcfile.open(tmp_path / "many" / "particles_1.mrcs") as stack:
        assert stack.data.dtype == dtype
        assert stack.is_image_stack()
        assert float(stack.voxel_size.x) == pytest.approx(3.54, rel=1e-5)
    assert correlation(images, expected) > 0.999


def test_xmipp_reads_the_metadata(tmp_path):
    xmipp = pytest.importorskip("xmippLib")
    _, _, _, truth = simulated(tmp_path, particles=12, box=32)
    table = xmipp.MetaData(f"particles@{tmp_path / 'particles.xmd'}")
    rows = list(table)
    assert len(rows) == 12
    assert [table.getValue(xmipp.MDL_ITEM_ID, row) for row in rows] == truth.ids.tolist()
    assert table.getValue(xmipp.MDL_CTF_VOLTAGE, rows[0]) == 300.0
    assert table.getValue(xmipp.MDL_IMAGE, rows[11]) == "000012@particles.mrcs"
    assert 6000 <= table.getValue(xmipp.MDL_CTF_DEFOCUSU, rows[3]) <= 20000


def test_settings_and_directions_are_recorded(tmp_path):
    simulate(SimulationSettings(particles=4, views=3, box=32), tmp_path)
    record = json.loads((tmp_path / "simulation.json").read_text())
    assert record["settings"]["views"] == 3
    assert np.shape(record["directions_rot_tilt_deg"]) == (3, 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "particles.mrcs",
        "particles.xmd",
        "simulation.json",
        "truth.csv",
        "views.mrcs",
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"defocus_min": 2.0, "defocus_max": 1.0}, "--defocus-min"),
        ({"map": "a.mrc", "structure": "b.cif"}, "--map and --structure"),
        ({"stacks": 9, "particles": 3}, "--stacks 9"),
        ({"phantom": "cow"}, "--phantom cow"),
        ({"junk_fraction": 1.5}, "--junk-fraction"),
        ({"junk_fraction": 0.5, "noise_fraction": 0.6}, "--noise-fraction"),
        ({"off_centre_fraction": 0.1, "off_centre_shift": 0.1}, "--off-centre-shift"),
    ],
)
def test_impossible_settings_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        SimulationSettings(**changes)


def test_ctf_carries_signal_as_far_as_its_phase_slopes():
    """At Nyquist the CTF moves signal by dχ/ds/2π; the enlarged box holds it."""
    settings = SimulationSettings(box=64, defocus_max=2.0)
    s, step = 0.5 / 3.54, 1e-5
    wavelength = 0.0196875

    def phase(frequency):
        return np.pi * wavelength * 2e4 * frequency**2 - 0.5 * np.pi * 2.7e7 * wavelength**3 * frequency**4

    slope = (phase(s + step) - phase(s - step)) / (2 * step) / (2 * np.pi)
    assert delocalisation_px(settings) == int(np.ceil(slope / 3.54))
    assert [fast_length(n) for n in (17, 64, 98)] == [18, 64, 100]


@pytest.fixture
def one_thread():
    """Threads that wait for each other on a busy machine count as CPU time."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("one_thread")
def test_simulating_is_quick(tmp_path):
    """30,000 of 128 px in under 3 minutes on two cores are 12 CPU ms each; half as many again for a busy machine,
    twice for the calibration of the SNR, and the views."""
    settings = SimulationSettings(particles=128, views=4, box=128, sampling_rate=1.77)
    begun = time.process_time()
    simulate(settings, tmp_path)
    assert time.process_time() - begun < 5.0
