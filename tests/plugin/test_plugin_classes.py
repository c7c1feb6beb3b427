"""The classes that the protocol delivers, in the hands of others' code: pwem, xmippLib, xmipp3.convert, emtable."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import pytest

from alignpca2d_core.fourier import rigid_transforms
from alignpca2d_core.io.particle_reading import read_particles

pytest.importorskip("pwem", reason="Scipion is not installed")
pytestmark = pytest.mark.scipion

PARTICLES, VIEWS, CLASSES, BOX, SAMPLING, RESOLUTION = 400, 4, 6, 48, 5.0, 20.0


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A Scipion project, as the working directory."""
    from pwem import Domain
    from pyworkflow.project import Manager

    before = Path.cwd()
    Domain.getProtocols()
    project = Manager().createProject("Classes")
    os.chdir(project.path)
    yield project
    os.chdir(before)


@pytest.fixture(scope="module")
def run(project: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A finished run without CTF correction, so that a class average is the plain mean of its members."""
    from pwem import Domain

    from alignpca2d_plugin.simulation import connect, new_import, simulate

    folder = tmp_path_factory.mktemp("simulated")
    metadata = simulate(folder, particles=PARTICLES, views=VIEWS, box=BOX, sampling_rate=SAMPLING, snr=0.2)
    importing = new_import(project, metadata)
    project.launchProtocol(importing, wait=True)
    run = project.newProtocol(
        Domain.getProtocols()["ProtAlignPCA2D"],
        numberOfClasses=CLASSES,
        resolution=RESOLUTION,
        correctCtf=False,
        binThreads=1,
        useGpu=False,
    )
    connect(run, "inputParticles", importing, "outputParticles")
    project.launchProtocol(run, wait=True)
    assert run.isFinished(), run.getErrorMessage()
    return run


def low_passed(image: np.ndarray) -> np.ndarray:
    """Fourier components to RESOLUTION only."""
    x, y = np.meshgrid(np.fft.rfftfreq(BOX, SAMPLING), np.fft.fftfreq(BOX, SAMPLING))
    return np.fft.irfft2(np.fft.rfft2(image) * (np.hypot(x, y) < 1 / RESOLUTION), s=image.shape)


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Of two images, both low-passed alike, inside the circle of the box."""
    x, y = np.meshgrid(*2 * [np.arange(BOX) - BOX // 2])
    inside = np.hypot(x, y) < 0.8 * BOX / 2
    return float(np.corrcoef(low_passed(one)[inside], low_passed(other)[inside])[0, 1])


def background(image: np.ndarray) -> tuple[float, float]:
    """Mean and deviation outside the circle of the box, by which every program normalises before it averages."""
    x, y = np.meshgrid(*2 * [np.arange(BOX) - BOX // 2])
    outside = image[np.hypot(x, y) > BOX / 2 - 1]
    return float(outside.mean()), float(outside.std())


def aligned_by_its_labels(particle: Any) -> np.ndarray:
    """The particle's image as xmippLib moves it by the labels that xmipp3.convert writes of its transform."""
    from pwem import emlib
    from pwem.constants import ALIGN_2D
    from pwem.emlib import metadata as md

    convert = pytest.importorskip("xmipp3.convert")
    row, table, image = md.Row(), emlib.MetaData(), emlib.Image()
    convert.particleToRow(particle, row, alignType=ALIGN_2D)
    identifier = table.addObject()
    row.writeToMd(table, identifier)
    image.readApplyGeo(table, identifier)
    return np.array(image.getData())


def aligned_by_its_matrix(particle: Any) -> np.ndarray:
    """The particle's image as xmippLib moves it by its matrix.

    xmippLib looks for the shift in the matrix's third column, where a matrix of two dimensions has it; pwem hands
    over one of three, with the shift in the fourth, and so loses it.  Here it is put where it is looked for.
    """
    from pwem import emlib
    from pwem.emlib.image import ImageHandler

    image, matrix = emlib.Image(), particle.getTransform().getMatrix()
    matrix[:2, 2] = matrix[:2, 3]
    image.read(ImageHandler.locationToXmipp(particle))
    image.applyTransforMatScipion(matrix.flatten().tolist())
    return np.array(image.getData())


def raw(particle: Any) -> np.ndarray:
    from pwem import emlib
    from pwem.emlib.image import ImageHandler

    image = emlib.Image()
    image.read(ImageHandler.locationToXmipp(particle))
    return np.array(image.getData())


def agreement(item: Any, moved: Callable[[Any], np.ndarray]) -> float:
    """Correlation of a class's representative with the mean of its members as `moved` gives them."""
    total = np.zeros((BOX, BOX))
    for particle in item.iterItems():
        mean, deviation = background(raw(particle))
        total += (moved(particle) - mean) / deviation
    return correlation(total, raw(item.getRepresentative()))


@pytest.mark.parametrize("moved", [aligned_by_its_labels, aligned_by_its_matrix])
def test_averages_made_by_others_equal_the_representatives(run: Any, moved: Callable[[Any], np.ndarray]) -> None:
    found = [agreement(item, moved) for item in run.outputClasses.iterItems()]
    assert len(found) == CLASSES
    assert min(found) > 0.99


def test_members_that_are_not_aligned_do_not_reach_that_agreement(run: Any) -> None:
    assert max(agreement(item, raw) for item in run.outputClasses.iterItems()) < 0.9


def members(classes: Any) -> dict[int, dict[int, np.ndarray]]:
    """{class: {particle: 4 x 4 matrix}}"""
    return {
        item.getObjId(): {p.getObjId(): p.getTransform().getMatrix() for p in item.iterItems()}
        for item in classes.iterItems()
    }


def assert_same_members(one: dict[int, dict[int, np.ndarray]], other: dict[int, dict[int, np.ndarray]]) -> None:
    assert {k: set(v) for k, v in one.items()} == {k: set(v) for k, v in other.items()}
    for number, particles in one.items():
        for particle, matrix in particles.items():
            np.testing.assert_allclose(other[number][particle], matrix, atol=2e-5)


def test_classes_survive_xmipps_round_trip(run: Any, tmp_path: Path) -> None:
    convert = pytest.importorskip("xmipp3.convert")
    from pwem.constants import ALIGN_2D
    from pwem.objects import SetOfClasses2D

    for path in (tmp_path / "classes.xmd", Path(run._getExtraPath("classes.xmd"))):
        if path.parent == tmp_path:
            convert.writeSetOfClasses2D(run.outputClasses, str(path))
        back = SetOfClasses2D(filename=str(tmp_path / "back.sqlite"))
        back.setImages(run.outputClasses.getImagesPointer())
        convert.readSetOfClasses2D(back, str(path), alignType=ALIGN_2D)
        assert_same_members(members(run.outputClasses), members(back))
        assert back[1].getRepresentative().getIndex() == 1
        back.close()
        (tmp_path / "back.sqlite").unlink()


@pytest.mark.parametrize("of", ["Classes", "Averages", "Particles"])
def test_subset_from_three_classes(project: Any, run: Any, of: str) -> None:
    """As the metadata viewer makes it: a file with the chosen ids for ProtUserSubSet."""
    from alignpca2d_plugin.viewers.subsets import KINDS, new_subset

    chosen, kind = [1, 3, CLASSES], KINDS[of]
    subset = new_subset(project, run, of, reversed(chosen))
    assert subset.getObjLabel() == f"{of.lower()} of 3 classes"
    project.launchProtocol(subset, wait=True)
    assert subset.isFinished(), subset.getErrorMessage()
    ((_, output),) = subset.iterOutputAttributes()
    whole = members(run.outputClasses)
    assert output.getClassName() == kind
    if kind == "SetOfClasses2D":
        assert_same_members({number: whole[number] for number in chosen}, members(output))
    elif kind == "SetOfAverages":
        locations = [image.getLocation() for image in output.iterItems()]
        assert locations == [run.outputClasses[number].getRepresentative().getLocation() for number in chosen]
        assert output.getSamplingRate() == pytest.approx(SAMPLING)
    else:
        assert output.getIdSet() == {particle for number in chosen for particle in whole[number]}
        assert output.hasAlignment2D()


def test_relion_star_of_the_classes_keeps_the_alignments(run: Any, tmp_path: Path) -> None:
    """pwem has no writer of RELION's files, which is the RELION plugin's; emtable, which both use, writes one here."""
    emtable = pytest.importorskip("emtable")
    table = emtable.Table(
        columns=["rlnImageName", "rlnImageId", "rlnClassNumber", "rlnAnglePsi", "rlnOriginXAngst", "rlnOriginYAngst"]
    )
    expected = {}
    for item in run.outputClasses.iterItems():
        for particle in item.iterItems():
            matrix = particle.getTransform().getMatrix()
            turn = np.rad2deg(np.arctan2(matrix[0, 1], matrix[0, 0]))
            poses = rigid_transforms.Poses.single(turn, matrix[0, 3], matrix[1, 3])
            psi, x, y = (float(value[0]) for value in rigid_transforms.to_relion(poses, SAMPLING))
            name = "{:06d}@{}".format(*particle.getLocation())
            table.addRow(name, particle.getObjId(), item.getObjId(), psi, x, y)
            expected[particle.getObjId()] = (item.getObjId(), matrix)
    with (tmp_path / "particles.star").open("w") as stream:
        table.writeStar(stream, tableName="particles")
    read = read_particles(tmp_path / "particles.star")
    assert len(read) == PARTICLES
    columns = read.table
    back = rigid_transforms.from_relion(
        *(columns[label].astype(float) for label in ("rlnAnglePsi", "rlnOriginXAngst", "rlnOriginYAngst")), SAMPLING
    )
    for row, identifier in enumerate(read.ids):
        number, matrix = expected[identifier]
        assert columns["rlnClassNumber"][row] == number
        np.testing.assert_allclose(rigid_transforms.to_matrix(back)[row], matrix[:2, [0, 1, 3]], atol=1e-4)


def test_averages_have_their_pixel_size_and_figures(run: Any) -> None:
    with mrcfile.open(run._getExtraPath("classes.mrcs")) as stack:
        assert stack.voxel_size.x == pytest.approx(SAMPLING)
        assert stack.data.shape == (CLASSES, BOX, BOX)
    averages = list(run.outputAverages.iterItems(iterate=False))
    assert [a.getLocation()[0] for a in averages] == list(range(1, CLASSES + 1))
    assert sum(a._alignpca2d_size.get() for a in averages) == PARTICLES
    assert all(2 * SAMPLING <= a._alignpca2d_resolution.get() < BOX * SAMPLING for a in averages)
