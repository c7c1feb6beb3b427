"""Images with a ramp, a constant border, gold, hot pixels or dust: found, repaired and counted; clean ones stay."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from simulated import SimulatedSet, run

from alignpca2d_core.io.particle_reading import read_particles
from alignpca2d_core.io.stacks import StackReader, write_stack
from alignpca2d_core.preprocessing.image_defects import ImageRepair
from alignpca2d_core.preprocessing.preprocess import background_ring

BOX = 48
Images = NDArray[np.float32]
Fault = Callable[[Images, np.random.Generator], None]


def repair(limit: float | None = 8.0, radius: float = 20.0) -> ImageRepair:
    particle = ~background_ring(BOX, radius)
    return ImageRepair(background_ring(BOX, radius + 3), particle, torch.ones(BOX, BOX, dtype=torch.bool), limit)


def noise(count: int = 40, seed: int = 0) -> Images:
    return np.random.default_rng(seed).normal(size=(count, BOX, BOX)).astype(np.float32)


def disc(x: float, y: float, radius: float) -> NDArray[np.bool_]:
    rows, columns = np.mgrid[:BOX, :BOX]
    return np.hypot(columns - x, rows - y) <= radius


# ---------------------------------------------------------------------------------------------------- faults


def ramp(deviations: float) -> Fault:
    def spoil(images: Images, rng: np.random.Generator) -> None:
        axis = np.linspace(-0.5, 0.5, BOX)
        angle = rng.uniform(0, 2 * np.pi, len(images))[:, None, None]
        images += deviations * (np.cos(angle) * axis + np.sin(angle) * axis[:, None])

    return spoil


def border(depth: int, value: float, normalised: bool = False) -> Fault:
    def spoil(images: Images, rng: np.random.Generator) -> None:
        for image in images:
            turned = np.rot90(image, rng.integers(4))
            turned[:depth] = value
            if normalised:
                image[:] = (image - image.mean()) / image.std()

    return spoil


def corner(images: Images, rng: np.random.Generator) -> None:
    images[:, :6] = images[:, :, -9:] = 0.0


def bead(images: Images, rng: np.random.Generator) -> None:
    for image in images:
        x, y = rng.uniform(4, BOX - 4, 2)
        soft = np.clip(5.5 - np.hypot(*(np.mgrid[:BOX, :BOX] - np.array([y, x])[:, None, None])), 0, 1)
        image -= (25 * soft).astype(np.float32)


def hot_pixels(images: Images, rng: np.random.Generator) -> None:
    for image in images:
        image[rng.integers(0, BOX, 3), rng.integers(0, BOX, 3)] = rng.choice([-60.0, 80.0, 5000.0], 3)


def dust(images: Images, rng: np.random.Generator) -> None:
    for image in images:
        image[disc(*rng.uniform(0, BOX, 2), 2.5)] += 15


FAULTS: dict[str, Fault] = {
    "thin border": border(1, 0.0),
    "border": border(5, -10.0),
    "border, normalised since": border(7, -8.0, normalised=True),
    "two borders": corner,
    "bead": bead,
    "hot pixels": hot_pixels,
    "dust": dust,
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_is_wrong_is_replaced_and_the_rest_is_as_it_was(name: str) -> None:
    clean = noise()
    spoilt = clean.copy()
    FAULTS[name](spoilt[::2], np.random.default_rng(1))
    wanted, found = repair().clean(torch.from_numpy(clean)), repair().clean(torch.from_numpy(spoilt))
    assert not wanted.repaired.any() and wanted.usable.all()
    assert found.usable.all() and not found.damaged.any()
    assert found.repaired[::2].all() and not found.repaired[1::2].any()
    assert float(found.images.abs().max()) < 8
    outside = background_ring(BOX, 23)
    torch.testing.assert_close(found.images[:, outside].std(1), torch.ones(40), atol=0.12, rtol=0)
    near = (found.images - wanted.images).abs() < 0.5
    assert near[1::2].all()
    assert float(near[::2].float().mean()) > 0.7


def test_normalisation_of_clean_noise_is_what_it_was() -> None:
    images = 251.5 * noise(seed=3) + 3e4
    outside = background_ring(BOX, 23).numpy()
    mean, deviation = images[:, outside].mean(1), images[:, outside].std(1)
    plain = (images - mean[:, None, None]) / deviation[:, None, None]
    found = repair().clean(torch.from_numpy(images)).images.numpy()
    # A plane through noise has slopes of some hundredths of a deviation.
    assert np.abs(found - plain).max() < 0.25
    assert np.corrcoef(found.ravel(), plain.ravel())[0, 1] > 0.999


@pytest.mark.parametrize("deviations", [1.0, 6.0, 100.0])
def test_a_ramp_is_taken_off(deviations: float) -> None:
    clean = noise()
    spoilt = clean.copy()
    ramp(deviations)(spoilt, np.random.default_rng(2))
    wanted, found = repair().clean(torch.from_numpy(clean)), repair().clean(torch.from_numpy(spoilt))
    torch.testing.assert_close(found.images, wanted.images, atol=0.01, rtol=0)
    assert not found.repaired.any()


def test_what_is_found_depends_on_the_image_alone() -> None:
    images = noise()
    bead(images[::3], np.random.default_rng(4))
    together = repair().clean(torch.from_numpy(images)).images
    apart = torch.cat([repair().clean(torch.from_numpy(images[k : k + 1])).images for k in range(len(images))])
    torch.testing.assert_close(together, apart, atol=1e-4, rtol=0)


def test_a_border_over_the_particle_sets_it_aside() -> None:
    images = noise(4)
    images[1, :30] = 0.0
    images[2, :, :22] = images[2, :, 30:] = 3.0
    found = repair().clean(torch.from_numpy(images))
    assert found.damaged.tolist() == [False, True, True, False]
    assert found.usable.tolist() == [True, False, False, True]
    assert not found.images[1].any()


def test_images_without_noise_or_masked_all_round_are_left_alone() -> None:
    signal = (disc(24, 24, 9) * 5.0 + disc(30, 20, 3) * 40.0).astype(np.float32)[None]
    masked = noise(1) * disc(24, 24, 19)
    for images in (signal, masked):
        found = repair().clean(torch.from_numpy(images.astype(np.float32)))
        assert found.usable.all() and not found.repaired.any()
        inside = disc(24, 24, 19)
        assert np.corrcoef(found.images[0].numpy()[inside], images[0][inside])[0, 1] > 0.999


@pytest.mark.parametrize("height", [0.5, 5.0, 30.0])
def test_the_limit_follows_what_particles_usually_hold(height: float) -> None:
    images = noise(60, seed=5) + (height * disc(26, 22, 6)).astype(np.float32)
    bead(images[::4], np.random.default_rng(6))
    limit = repair(None).usual_limit(torch.from_numpy(images))
    assert limit is not None
    found = repair(limit).clean(torch.from_numpy(images))
    assert not found.repaired[np.arange(60) % 4 > 0].any()
    if height < 10:
        assert (found.repaired | found.damaged)[::4].all()
    assert repair(None).usual_limit(torch.from_numpy(images[:10])) is None


# ------------------------------------------------------------------------------------------- whole classifications


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> SimulatedSet:
    folder = tmp_path_factory.mktemp("simulated")
    made = SimulatedSet.make(folder, particles=240, box=BOX, sampling_rate=4.72, snr=0.3, seed=3)
    run(made.metadata, folder / "out", classes=6, resolution=10.0)
    return made


@pytest.mark.parametrize("name", ["ramp", "border, normalised since", "bead", "hot pixels"])
def test_classes_are_those_of_the_clean_set(simulated: SimulatedSet, tmp_path: Path, name: str) -> None:
    shutil.copytree(simulated.folder, tmp_path / "set")
    spoilt = SimulatedSet(tmp_path / "set")
    particles = read_particles(spoilt.metadata)
    with StackReader(particles) as reader:
        images = reader.read(np.arange(len(particles)))
    (ramp(6.0) if name == "ramp" else FAULTS[name])(images[:72], np.random.default_rng(7))
    write_stack(particles.stacks[0], images, 4.72)
    run(spoilt.metadata, tmp_path / "out", classes=6, resolution=10.0)
    wanted, found = simulated.figures(simulated.folder / "out"), spoilt.figures(tmp_path / "out")
    assert wanted["average_correlation"] > 0.97
    assert found["average_correlation"] > wanted["average_correlation"] - 0.01
    assert found["purity"] > 0.98
    said = json.loads((tmp_path / "out" / "summary.json").read_text())
    if name != "ramp":
        counted = said["counts"]["repaired"] + said["counts"]["damaged"]
        assert 68 <= counted <= 72
        assert any("particles with constant borders, or outliers" in line for line in said["warnings"])
