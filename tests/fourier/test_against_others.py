"""Our labels in the hands of others: what Xmipp and Scipion make of them must be our class averages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from simulated import SimulatedSet, run

from alignpca2d_core.fourier.band import Band
from alignpca2d_core.fourier.rigid_transforms import to_matrix
from alignpca2d_core.io.particle_reading import read_particles
from alignpca2d_core.preprocessing.preprocess import soft_mask
from alignpca2d_core.results.result_files import Classification, read_results

pytestmark = pytest.mark.scipion
CLASSES = 4
RATE, RESOLUTION = 5.0, 12.0


@dataclass(frozen=True)
class Classified:
    """A finished classification and where its files are."""

    directory: Path
    result: Classification
    box: int


@pytest.fixture(scope="module", params=["no CTF", "odd box", "CTF ignored"])
def classified(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Classified:
    folder = tmp_path_factory.mktemp("classified")
    box = 49 if request.param == "odd box" else 48
    simulation = {"no_ctf": request.param != "CTF ignored", "box": box, "particles": 160, "snr": 0.5}
    data = SimulatedSet.make(folder / "set", **simulation, sampling_rate=RATE)
    result = run(data.metadata, folder / "out", classes=CLASSES, ctf="none", resolution=RESOLUTION)
    return Classified(folder / "out", result, box)


def low_passed(images: NDArray[Any], box: int) -> NDArray[np.float32]:
    """The images without what lies beyond the resolution limit of the classification."""
    band = Band.make(box, box * RATE / RESOLUTION)
    return band.to_images(band.to_vectors(torch.from_numpy(np.asarray(images, dtype=np.float32)))).numpy()


def inside(box: int) -> NDArray[np.bool_]:
    return soft_mask(box, box / 2 - 6, 0.01).numpy() > 0.5


def agreement(averages: NDArray[Any], case: Classified) -> list[float]:
    """Correlation of each average with ours, inside the mask."""
    within = inside(case.box)
    theirs = low_passed(averages, case.box)
    return [float(np.corrcoef(a[within], b[within])[0, 1]) for a, b in zip(theirs, case.result.averages, strict=True)]


def averaged_by_xmipp(table: Any, xmipp: Any, box: int, psi: float = 1.0) -> NDArray[np.float64]:
    """Mean of the images of a table, each moved by Xmipp as its row says; (box, box)."""
    total = np.zeros((box, box))
    for item in table:
        table.setValue(xmipp.MDL_ANGLE_PSI, psi * table.getValue(xmipp.MDL_ANGLE_PSI, item), item)
        image = xmipp.Image()
        image.readApplyGeo(table, item)
        total += image.getData()
    return total / table.size()


def test_xmipps_averages_of_each_class_are_ours(classified: Classified) -> None:
    xmipp = pytest.importorskip("xmippLib")
    tables = [xmipp.MetaData(f"class{k + 1:06d}_images@{classified.directory / 'classes.xmd'}") for k in range(CLASSES)]
    assert [table.size() for table in tables] == classified.result.sizes.tolist()
    theirs = np.stack([averaged_by_xmipp(table, xmipp, classified.box) for table in tables])
    assert min(agreement(theirs, classified)) > 0.99
    # Grey values are those of particles whose background has a deviation of 1, as the simulated ones have.
    within, smooth = inside(classified.box), low_passed(theirs, classified.box)
    for a, b in zip(smooth, classified.result.averages, strict=True):
        assert float(np.polyfit(a[within], b[within], 1)[0]) == pytest.approx(1.0, abs=0.06)


def test_xmipps_averages_by_particles_xmd_are_ours(classified: Classified) -> None:
    xmipp = pytest.importorskip("xmippLib")
    table = xmipp.MetaData(f"particles@{classified.directory / 'particles.xmd'}")
    theirs = []
    for k in range(CLASSES):
        members = xmipp.MetaData()
        members.importObjects(table, xmipp.MDValueEQ(xmipp.MDL_REF, k + 1))
        theirs.append(averaged_by_xmipp(members, xmipp, classified.box))
    assert min(agreement(np.stack(theirs), classified)) > 0.99


def test_turned_the_other_way_they_are_not(classified: Classified) -> None:
    """The test above can fail: with the sign of psi changed, nothing fits."""
    xmipp = pytest.importorskip("xmippLib")
    table = xmipp.MetaData(f"class000001_images@{classified.directory / 'classes.xmd'}")
    wrong = averaged_by_xmipp(table, xmipp, classified.box, psi=-1.0)
    assert agreement(np.repeat(wrong[None], CLASSES, 0), classified)[0] < 0.95


def test_scipions_averages_of_each_class_are_ours(classified: Classified, tmp_path: Path) -> None:
    """Scipion reads the classes; its images are moved by its own matrices, as its ImageHandler does."""
    xmipp = pytest.importorskip("xmippLib")
    pytest.importorskip("pwem")
    convert = pytest.importorskip("xmipp3.convert")
    from pwem.constants import ALIGN_2D
    from pwem.objects import SetOfClasses2D, SetOfParticles

    images = SetOfParticles(filename=str(tmp_path / "images.sqlite"))
    images.setSamplingRate(RATE)
    images.write()
    classes = SetOfClasses2D(filename=str(tmp_path / "classes.sqlite"))
    classes.setImages(images)
    convert.readSetOfClasses2D(classes, str(classified.directory / "classes.xmd"), alignType=ALIGN_2D)
    classes.write()
    shape = (classified.box, classified.box)
    theirs, sizes = np.zeros((CLASSES, *shape)), []
    for item in classes.iterItems():
        for particle in item:
            image = xmipp.Image()
            image.read(particle.getLocation())
            matrix = particle.getTransform().getMatrix()[np.ix_([0, 1, 3], [0, 1, 3])]
            moved = image.applyWarpAffine(matrix.ravel().tolist(), shape, False, 0.0)
            theirs[item.getObjId() - 1] += moved.getData()
        sizes.append(item.getSize())
    assert sizes == classified.result.sizes.tolist()
    assert min(agreement(theirs, classified)) > 0.99


def test_pwems_image_handler_applies_our_matrix(classified: Classified, tmp_path: Path) -> None:
    image_handler = pytest.importorskip("pwem.emlib.image").ImageHandler
    particles, result = read_results(classified.directory)
    members = np.flatnonzero(result.assignments == 0)
    matrices = to_matrix(result.poses)
    total = np.zeros((classified.box, classified.box))
    for row in members:
        matrix = np.vstack([matrices[row], [0.0, 0.0, 1.0]])
        location = f"{particles.index_in_stack[row] + 1}@{particles.stacks[particles.stack_of[row]]}"
        image_handler.applyTransform(location, str(tmp_path / "moved.mrc"), matrix, total.shape)
        total += mrcfile.read(tmp_path / "moved.mrc")
    assert agreement(np.repeat(total[None], CLASSES, 0), classified)[0] > 0.99


def test_xmipp_reads_every_file_that_we_write(classified: Classified) -> None:
    xmipp = pytest.importorskip("xmippLib")
    directory, result = classified.directory, classified.result
    blocks = xmipp.getBlocksInMetaDataFile(str(directory / "classes.xmd"))
    assert blocks == ["classes", *(f"class{k + 1:06d}_images" for k in range(CLASSES))]
    table = xmipp.MetaData(f"particles@{directory / 'particles.xmd'}")
    assert table.size() == len(result.assignments)
    assert np.array_equal(table.getColumnValues(xmipp.MDL_REF), result.assignments + 1)
    for label, values in (
        (xmipp.MDL_ANGLE_PSI, result.poses.psi_deg),
        (xmipp.MDL_SHIFT_X, result.poses.shift_x_px),
        (xmipp.MDL_SHIFT_Y, result.poses.shift_y_px),
    ):
        np.testing.assert_allclose(table.getColumnValues(label), values, atol=1e-5)
    with mrcfile.open(directory / "classes.mrcs") as stack:
        averages = stack.data.copy()
    for k in range(CLASSES):
        image = xmipp.Image()
        image.read(f"{k + 1}@{directory / 'classes.mrcs'}")
        assert np.array_equal(image.getData(), averages[k])


def test_we_read_what_xmipp_writes_of_our_files(classified: Classified, tmp_path: Path) -> None:
    xmipp = pytest.importorskip("xmippLib")
    given = read_particles(classified.directory / "particles.xmd")
    xmipp.MetaData(f"particles@{classified.directory / 'particles.xmd'}").write(f"particles@{tmp_path / 'again.xmd'}")
    again = read_particles(tmp_path / "again.xmd")
    assert again.stacks == given.stacks
    for name in ("stack_of", "index_in_stack", "enabled"):
        assert np.array_equal(getattr(again, name), getattr(given, name))
    for label in ("ref", "anglePsi", "shiftX", "shiftY", "scoreByAlignability"):
        np.testing.assert_allclose(again.table[label], given.table[label], rtol=1e-5, atol=1e-5)
