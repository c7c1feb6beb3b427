"""Particles of Scipion → files of the core, and the core's tables → Scipion's transforms and classes."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import pytest

from alignpca2d_core.io.particle_reading import read_particles
from alignpca2d_core.io.stacks import StackReader
from alignpca2d_core.settings import Settings

pytest.importorskip("pwem", reason="Scipion is not installed")
pytestmark = pytest.mark.scipion

BOX, SAMPLING = 16, 2.5


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Image names are relative to where the protocol runs."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(9, BOX, BOX)).astype(np.float32)


@pytest.fixture
def make_set(tmp_path: Path) -> Callable[..., Any]:
    """A SetOfParticles from locations; ids are given, CTF values follow from them."""
    from pwem.objects import Acquisition, CTFModel, Particle, SetOfParticles

    def make(ids: Sequence[int], locations: Sequence[tuple[int, str]], disabled: Sequence[int] = ()) -> Any:
        database = tmp_path / "particles.sqlite"
        database.unlink(missing_ok=True)
        particles = SetOfParticles(filename=str(database))
        particles._setFirstDim = lambda image: particles.setDim((BOX, BOX, 1))  # pwem asks EMAN2 about some formats
        particles.setSamplingRate(SAMPLING)
        particles.setHasCTF(True)
        particles.setAcquisition(
            Acquisition(magnification=50000, voltage=200, sphericalAberration=1.4, amplitudeContrast=0.08)
        )
        for identifier, location in zip(ids, locations, strict=True):
            particle = Particle(objId=identifier)
            particle.setLocation(*location)
            ctf = CTFModel(phaseShift=float(identifier % 90))
            ctf.setStandardDefocus(10000.0 + identifier, 9000.0 + identifier, identifier % 180)
            particle.setCTF(ctf)
            particle.setEnabled(identifier not in disabled)
            particles.append(particle)
        particles.write()
        return particles

    return make


def write_stack(name: str, images: np.ndarray) -> str:
    with mrcfile.new(name, overwrite=True) as stack:
        stack.set_data(images)
        stack.set_image_stack()
        stack.voxel_size = SAMPLING
    return name


def test_core_reads_what_scipion_holds(make_set: Callable[..., Any], images: np.ndarray) -> None:
    from alignpca2d_plugin.convert import write_particles

    first, second = write_stack("a b's.mrcs", images[:5]), write_stack("other.mrc", images[5:])
    ids = [3, 4, 10, 1000, 2_000_000]
    locations = [(2, first), (5, first), (1, second), (4, second), (3, first)]
    particles = make_set(ids, locations, disabled=[10])
    assert write_particles(particles, "in.xmd", with_ctf=True) == 4
    read = read_particles("in.xmd")
    kept = [0, 1, 3, 4]
    np.testing.assert_array_equal(read.ids, np.array(ids)[kept])
    assert read.sampling_rate == SAMPLING
    assert read.ctf is not None
    np.testing.assert_allclose(read.ctf.defocus_u, 10000 + read.ids)
    np.testing.assert_allclose(read.ctf.defocus_v, 9000 + read.ids)
    np.testing.assert_allclose(read.ctf.defocus_angle, read.ids % 180)
    np.testing.assert_allclose(read.ctf.phase_shift, read.ids % 90)
    for field, value in (("voltage", 200), ("spherical_aberration", 1.4), ("amplitude_contrast", 0.08)):
        np.testing.assert_allclose(getattr(read.ctf, field), value)
    with StackReader(read) as reader:
        np.testing.assert_array_equal(reader.read(np.arange(4)), images[[1, 4, 8, 2]])
    assert write_particles(particles, "some.xmd", with_ctf=False, ids={4, 10, 1000}) == 2
    some = read_particles("some.xmd")
    np.testing.assert_array_equal(some.ids, [4, 1000])
    assert some.ctf is None


def foreign_stack(kind: str, images: np.ndarray) -> list[tuple[int, str]]:
    """The images in a format that the core does not read, and where each is."""
    from pwem import emlib

    if kind == "hdf":
        h5py = pytest.importorskip("h5py")
        with h5py.File("stack.hdf", "w") as stream:
            group = stream.create_group("MDF/images")
            group.attrs["imageid_max"] = np.int32(len(images) - 1)
            for number, image in enumerate(images):
                group.create_group(str(number)).create_dataset("image", data=image)
        return [(number + 1, "stack.hdf") for number in range(len(images))]
    writer = emlib.Image()
    locations = []
    for number, image in enumerate(images):
        writer.setData(image)
        if kind in ("spi", "none"):
            writer.write(f"{number}.spi")
            locations.append((0, f"{number}.spi"))
        else:
            writer.write((number + 1, f"stack.{kind}"))
            locations.append((number + 1, f"stack.{kind}"))
    if kind == "none":
        return [(0, shutil.move(name, name[:-4])) for _, name in locations]
    return locations


@pytest.mark.parametrize("kind", ["stk", "hdf", "spi", "none", "img"])
def test_foreign_formats_are_converted(make_set: Callable[..., Any], images: np.ndarray, kind: str) -> None:
    from alignpca2d_plugin.convert import write_particles

    locations = foreign_stack(kind, images[:4])
    locations.append((2, write_stack("own.mrcs", images[4:])))
    assert write_particles(make_set(range(1, 6), locations, disabled=[2]), "in.xmd", with_ctf=False) == 4
    read = read_particles("in.xmd")
    assert {stack.name for stack in read.stacks} == {"in.mrcs", "own.mrcs"}
    mrcfile.validate("in.mrcs")
    with StackReader(read) as reader:
        assert reader.pixel_size == pytest.approx(SAMPLING)
        np.testing.assert_array_equal(reader.read(np.arange(4)), images[[0, 2, 3, 5]])


def test_images_of_two_sizes_or_none_are_refused(make_set: Callable[..., Any], images: np.ndarray) -> None:
    from alignpca2d_plugin.convert import write_particles

    locations = foreign_stack("stk", images[:2])
    locations += [(1, "small.stk"), (1, "missing.stk")]
    from pwem import emlib

    small = emlib.Image()
    small.setData(images[0, :8, :8])
    small.write((1, "small.stk"))
    with pytest.raises(ValueError, match=r"small.stk: \(8, 8\) pixels"):
        write_particles(make_set([1, 2, 3, 4], locations), "in.xmd", with_ctf=False)
    with pytest.raises(ValueError, match=r"missing.stk: cannot be read"):
        write_particles(make_set([5, 6], locations[::3]), "in.xmd", with_ctf=False)
    assert not Path("in.xmd").exists()


def test_particles_without_ctf_are_named(make_set: Callable[..., Any], images: np.ndarray) -> None:
    from alignpca2d_plugin.convert import write_particles

    particles = make_set([7], [(1, write_stack("p.mrcs", images))])
    particles._acquisition.setVoltage(None)
    particle = particles.getFirstItem()
    particle._acquisition = None
    particle.setAcquisition(particles.getAcquisition())
    particles.iterItems = lambda: [particle]
    with pytest.raises(ValueError, match="Particle 7 has no complete CTF"):
        write_particles(particles, "in.xmd", with_ctf=True)


def test_some_particles_without_ctf_are_counted_with_the_remedy(
    make_set: Callable[..., Any], images: np.ndarray
) -> None:
    from alignpca2d_plugin.convert import write_particles

    stack = write_stack("p.mrcs", images)
    particles = make_set([1, 2, 3, 4], [(1, stack)] * 4)
    items = [particle.clone() for particle in particles.iterItems()]
    items[1].setCTF(None)
    items[3].setCTF(None)
    particles.iterItems = lambda: items
    with pytest.raises(ValueError, match=r"Particle 2 has no complete CTF .*, nor have 1 others of 4\. Estimate it"):
        write_particles(particles, "in.xmd", with_ctf=True)
    assert not Path("in.xmd").exists()


def test_xmipp_agrees_with_our_columns(make_set: Callable[..., Any], images: np.ndarray) -> None:
    """xmippLib reads our file, and finds what xmipp3.convert would have written."""
    convert = pytest.importorskip("xmipp3.convert")
    from pwem import emlib

    from alignpca2d_plugin.constants import CTF_LABELS, ID_LABEL, IMAGE_LABEL
    from alignpca2d_plugin.convert import write_particles

    name = write_stack("p.mrcs", images)
    particles = make_set([2, 5, 6], [(1, name), (9, name), (4, name)])
    write_particles(particles, "ours.xmd", with_ctf=True)
    convert.writeSetOfParticles(particles, "theirs.xmd")
    ours, theirs = emlib.MetaData("particles@ours.xmd"), emlib.MetaData("Particles@theirs.xmd")
    for label in (ID_LABEL, IMAGE_LABEL, *CTF_LABELS):
        code = emlib.str2Label(label)
        if theirs.containsLabel(code):
            assert ours.getColumnValues(code) == theirs.getColumnValues(code), label
    assert theirs.containsLabel(emlib.str2Label("ctfDefocusU"))


def test_alignments_are_xmipps(make_set: Callable[..., Any]) -> None:
    convert = pytest.importorskip("xmipp3.convert")
    from pwem.constants import ALIGN_2D
    from pwem.emlib import metadata as md

    from alignpca2d_plugin.results import Assignment, alignment_2d

    for psi, x, y, flip in ((0, 0, 0, 0), (33.25, 1.5, -7.75, 0), (-178.5, -3, 2, 0), (51.5, 2, -1, 1)):
        row = md.Row()
        for label, value in ((md.MDL_ANGLE_PSI, psi), (md.MDL_SHIFT_X, x), (md.MDL_SHIFT_Y, y)):
            row.setValue(label, float(value))
        row.setValue(md.MDL_FLIP, bool(flip))
        theirs = convert.rowToAlignment(row, ALIGN_2D).getMatrix()
        np.testing.assert_allclose(alignment_2d(Assignment(1, psi, x, y, 0.0, flip)).getMatrix(), theirs, atol=1e-12)


def test_alignments_are_given_to_the_core_as_they_came_from_it() -> None:
    from pwem.objects import Particle
    from pyworkflow.object import Float

    from alignpca2d_plugin.convert import angle_along, whole_pose
    from alignpca2d_plugin.results import Assignment, alignment_2d

    particles = [Particle(objId=number) for number in (1, 2, 3)]
    poses = ((33.25, 1.5, -7.75, 0), (-178.5, -3.0, 2.0, 0), (51.5, 2.0, -1.0, 1))
    for particle, (psi, x, y, flip) in zip(particles, poses, strict=True):
        assert whole_pose(particle) is angle_along(particle) is None
        particle.setTransform(alignment_2d(Assignment(1, psi, x, y, 0.0, flip)))
        np.testing.assert_allclose([float(value) for value in whole_pose(particle)], (psi, x, y, flip), atol=1e-5)
        assert angle_along(particle)[1:] == ["0", "0", "0"]
    particles[0]._rlnAnglePsiPrior = Float(12.5)
    assert float(angle_along(particles[0])[0]) == -12.5


def test_poses_are_written_where_they_are_asked_for(make_set: Callable[..., Any], images: np.ndarray) -> None:
    from alignpca2d_plugin.convert import POSE_LABELS, whole_pose, write_particles
    from alignpca2d_plugin.results import Assignment, alignment_2d, read_rows

    with mrcfile.new("stack.mrcs", images) as stack:
        stack.set_image_stack()
    particles = make_set([1, 2], [(1, "stack.mrcs"), (2, "stack.mrcs")])
    with pytest.raises(ValueError, match="Particle 1 has no alignment in the plane"):
        write_particles(particles, "posed.xmd", with_ctf=True, pose_of=whole_pose)

    class Aligned:
        """The set, its particles with transforms."""

        def getAcquisition(self) -> Any:
            return particles.getAcquisition()

        def iterItems(self) -> Any:
            for particle in particles.iterItems():
                particle.setTransform(alignment_2d(Assignment(1, 10.0 * particle.getObjId(), 1.0, 2.0, 0.0)))
                yield particle

    write_particles(Aligned(), "posed.xmd", with_ctf=True, pose_of=whole_pose)
    found = [tuple(map(float, row)) for row in read_rows("posed.xmd", "particles", POSE_LABELS)]
    np.testing.assert_allclose(found, [(10, 1, 2, 0), (20, 1, 2, 0)], atol=1e-5)


def test_classes_are_filled_by_id_whatever_the_order(make_set: Callable[..., Any], images: np.ndarray) -> None:
    from pwem.objects import SetOfClasses2D

    from alignpca2d_plugin.class_sets import fill_classes

    name = write_stack("classes.mrcs", images[:2])
    ids = [2, 30, 31, 500]
    particles = make_set(ids, [(k + 1, name) for k in range(4)])
    # id 31 could not be used; the others stand in another order than in the set
    rows = [
        (500, 2, 90.0, 1, 2, 0.7, 0),
        (2, 1, 10.0, -1, 0, 0.6, 0),
        (31, 0, 0, 0, 0, 0, 0),
        (30, 2, -20.0, 3, 4, 0.5, 0),
    ]
    labels = ("itemId", "ref", "anglePsi", "shiftX", "shiftY", "scoreByAlignability", "flip")
    Path("particles.xmd").write_text(table("particles", labels, rows))
    classes_rows = [(1, "000002@'odd name'/classes.mrcs", 1, 12.5, 0.9), (2, "000001@classes.mrcs", 2, 11.0, 0.8)]
    columns = ("ref", "image", "classCount", "resolutionFRC", "fom")
    Path("classes.xmd").write_text(table("classes", columns, classes_rows) + "data_class000001_images\nloop_\n _ref\n")
    classes = SetOfClasses2D(filename="classes.sqlite")
    classes.setImages(particles)
    fill_classes(classes, ".")
    found = {
        item.getObjId(): {
            p.getObjId(): (p.getTransform().getMatrix()[:2, 3].tolist(), p._alignpca2d_score.get()) for p in item
        }
        for item in classes.iterItems()
    }
    assert found == {1: {2: ([-1.0, 0.0], 0.6)}, 2: {30: ([3.0, 4.0], 0.5), 500: ([1.0, 2.0], 0.7)}}
    first = classes[1]
    assert first.getRepresentative().getLocation() == (2, "./classes.mrcs")
    assert (first._alignpca2d_resolution.get(), first._alignpca2d_quality.get()) == (12.5, 0.9)


def table(block: str, labels: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    text = f"# XMIPP_STAR_1 *\n#\ndata_{block}\nloop_\n" + "".join(f" _{label}\n" for label in labels)
    return text + "".join(" ".join(str(value) for value in row) + "\n" for row in rows)


def test_missing_tables_and_columns_are_named() -> None:
    from alignpca2d_plugin.results import read_rows

    Path("t.xmd").write_text(table("one", ("a", "b"), [(1, 2)]) + table("two", ("c",), [(3,), (4,)]))
    assert list(read_rows("t.xmd", "one", ("b", "a"))) == [("2", "1")]
    assert list(read_rows("t.xmd", "two", ("c",))) == [("3",), ("4",)]
    with pytest.raises(ValueError, match="no block three"):
        list(read_rows("t.xmd", "three", ("a",)))
    with pytest.raises(ValueError, match="block one has no column c"):
        list(read_rows("t.xmd", "one", ("c",)))


def test_form_and_core_have_the_same_defaults_and_bounds() -> None:
    """One setting, one default: what the form leaves automatic is what the core leaves to itself."""
    from pwem import Domain
    from pyworkflow.project import Project

    from alignpca2d_plugin.constants import AUTOMATIC, PRESETS

    protocol = Domain.getProtocols()["ProtAlignPCA2D"](project=Project(Domain, "."))
    names = {
        "classes": "numberOfClasses",
        "resolution": "resolution",
        "variance": "variance",
        "mask_diameter": "maskDiameter",
        "no_align": "keepAlignment",
        "psi_range": "psiRange",
        "tube_diameter": "tubeDiameter",
        "low_resolution": "lowResolution",
        "initial_particles": "initialParticles",
        "batch_size": "batchSize",
        "revisit": "revisit",
        "iterations": "iterations",
        "rounds": "rounds",
        "seed": "seed",
        "good_score": "goodScore",
        "good_resolution": "goodResolution",
        "good_particles": "goodCount",
        "invert": "invertContrast",
    }
    options = {option.name: option for option in dataclasses.fields(Settings)}
    for core, form in names.items():
        option, parameter = options[core], protocol.getParam(form)
        assert protocol.getAttributeValue(form) == (AUTOMATIC if option.default is None else option.default), form
        for bound, outside in (("low", -1e-3), ("high", 1e-3)):
            limit = option.metadata.get(bound)
            if limit is not None and limit < 1e6:
                step = int(np.sign(outside)) if isinstance(limit, int) else outside
                assert not parameter.validate(limit), (form, bound)
                if limit + step != AUTOMATIC:
                    assert parameter.validate(limit + step), (form, bound)
    assert tuple(PRESETS) == options["preset"].metadata["choices"]
    assert PRESETS[protocol.preset.get()] == options["preset"].default


def test_premultiplied_optics_groups(make_set: Callable[..., Any], images: np.ndarray) -> None:
    """As scipion-em-relion notes them: the table of groups in the acquisition, the group's number in the particle."""
    from pyworkflow.object import Integer, String

    from alignpca2d_plugin.convert import write_particles

    with mrcfile.new("stack.mrcs", images) as stack:
        stack.set_image_stack()
    particles = make_set(range(1, 10), [(index, "stack.mrcs") for index in range(1, 10)])
    names = "_rlnOpticsGroupName #1\n_rlnOpticsGroup #2\n_rlnCtfDataAreCtfPremultiplied #3\n"
    text = "\n# version 30001\n\ndata_optics\n\nloop_\n" + names + "opticsGroup1 1 0\n'optics group 2' 2 1\n\n"

    class Tagged:
        """The set, its particles in optics groups by turns."""

        def getAcquisition(self) -> Any:
            acquisition = particles.getAcquisition()
            acquisition.opticsGroupInfo = String(text)
            return acquisition

        def iterItems(self) -> Any:
            for particle in particles.iterItems():
                particle._rlnOpticsGroup = Integer(1 + particle.getObjId() % 2)
                yield particle

    assert write_particles(particles, "plain.xmd", with_ctf=True) == 9
    assert "rlnCtfDataAreCtfPremultiplied" not in read_particles("plain.xmd").table
    assert write_particles(Tagged(), "tagged.xmd", with_ctf=True) == 9
    found = read_particles("tagged.xmd").ctf
    assert found is not None and found.premultiplied is not None
    assert found.premultiplied.tolist() == [bool(identifier % 2) for identifier in range(1, 10)]
