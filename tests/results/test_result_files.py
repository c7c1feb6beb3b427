"""The files of a classification: complete, atomic, readable by us, by Xmipp and by Scipion."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import mrcfile
import numpy as np
import pytest

from alignpca2d_core.commands.pictures import draw
from alignpca2d_core.errors import InputError
from alignpca2d_core.fourier.rigid_transforms import Poses, to_matrix
from alignpca2d_core.io.atomic_files import atomic_path, write_json
from alignpca2d_core.io.particle_reading import read_particles
from alignpca2d_core.io.particle_set import ParticleSet
from alignpca2d_core.io.stacks import write_stack
from alignpca2d_core.io.star.star_reader import read_blocks
from alignpca2d_core.results.class_quality import ClassVerdicts
from alignpca2d_core.results.result_files import Classification, read_results, write_results

COUNT, CLASSES, BOX = 12, 3, 8
ASSIGNED = np.array([0, 2, 1, 0, -1, 0, 1, 0, -1, 2, 0, 1])
ROW = "'{n:06d}@my particles.mrcs' {id} 15000.5 15200 12.5 300 2.7 0.1 {enabled} 41.0 mic_{n}.mrc"


@pytest.fixture
def particles(tmp_path: Path) -> ParticleSet:
    """Twelve particles whose ids are not in order; the fifth is disabled and all have an earlier alignment."""
    stack = tmp_path / "my particles.mrcs"
    write_stack(stack, np.random.default_rng(0).normal(size=(COUNT, BOX, BOX)), 2.0)
    labels = "image itemId ctfDefocusU ctfDefocusV ctfDefocusAngle ctfVoltage ctfSphericalAberration ctfQ0 enabled"
    head = "".join(f" _{label}\n" for label in (labels + " angleRot micrograph").split())
    rows = "\n".join(ROW.format(n=n, id=100 - n, enabled=-1 if n == 5 else 1) for n in range(1, COUNT + 1))
    (tmp_path / "particles.xmd").write_text(f"data_particles\nloop_\n{head}{rows}\n")
    return read_particles(tmp_path / "particles.xmd")


@pytest.fixture
def classification() -> Classification:
    random = np.random.default_rng(1)
    return Classification(
        assignments=ASSIGNED,
        poses=Poses(random.uniform(-180, 180, COUNT), random.normal(size=COUNT), random.normal(size=COUNT)),
        score=random.uniform(size=COUNT).astype(np.float32),
        averages=random.normal(size=(CLASSES, BOX, BOX)).astype(np.float32),
        sizes=np.array([5, 3, 2]),
        resolution_angstrom=np.array([7.25, 8.5, 19.0]),
        quality=np.array([0.9, 0.5, 0.125]),
        frc=random.uniform(size=(CLASSES, BOX // 2 + 1)),
        certainty=random.uniform(size=COUNT).astype(np.float32),
        verdicts=ClassVerdicts(("good", "doubtful", "junk"), *np.linspace(0, 1, 21).reshape(7, 3)),
    )


@pytest.fixture
def directory(tmp_path: Path, particles: ParticleSet, classification: Classification) -> Path:
    write_results(tmp_path / "out" / "run", particles, classification, 2.0, {"seed": 3, "warnings": ["odd"]}, draw)
    return tmp_path / "out" / "run"


def test_files(directory: Path) -> None:
    assert sorted(path.name for path in directory.iterdir()) == [
        "classes.mrcs",
        "classes.xmd",
        "gallery.png",
        "particles.xmd",
        "report.html",
        "summary.json",
    ]


def test_particles_keep_the_inputs_rows_and_columns(directory: Path, particles: ParticleSet) -> None:
    written = read_blocks(directory / "particles.xmd")["particles"]
    kept = list(particles.table.columns)
    added = ["ref", "anglePsi", "shiftX", "shiftY", "flip", "scoreByAlignability", "pMax", "zScoreResVar"]
    assert list(written.columns) == [*kept, *added]
    np.testing.assert_array_equal(written["itemId"], particles.ids)
    np.testing.assert_array_equal(written["ref"], ASSIGNED + 1)
    np.testing.assert_array_equal(written["enabled"], np.where(ASSIGNED >= 0, 1, -1))
    np.testing.assert_array_equal(written["flip"], 0)
    np.testing.assert_array_equal(written["angleRot"], 0)
    assert list(written["image"]) == particles.image_names()


def test_classes_have_a_row_each_and_a_block_of_their_particles(
    directory: Path, classification: Classification
) -> None:
    blocks = read_blocks(directory / "classes.xmd")
    assert list(blocks) == ["classes", *(f"class{number:06d}_images" for number in (1, 2, 3))]
    assert list(blocks["classes"]["image"]) == [f"00000{number}@classes.mrcs" for number in (1, 2, 3)]
    np.testing.assert_array_equal(blocks["classes"]["classCount"], classification.sizes)
    for number in (1, 2, 3):
        members = blocks[f"class{number:06d}_images"]
        np.testing.assert_array_equal(members["itemId"], 99 - np.flatnonzero(number - 1 == ASSIGNED))
        np.testing.assert_array_equal(members["ref"], number)


def test_averages_and_their_pixel_size(directory: Path, classification: Classification) -> None:
    with mrcfile.open(directory / "classes.mrcs") as stack:
        np.testing.assert_array_equal(stack.data, classification.averages)
        assert float(stack.voxel_size.x) == 2.0
        assert stack.is_image_stack()


def test_summary(directory: Path) -> None:
    summary = json.loads((directory / "summary.json").read_text())
    assert (summary["seed"], summary["warnings"]) == (3, ["odd"])
    assert summary["classes"]["size"] == [5, 3, 2]
    assert summary["classes"]["resolution_angstrom"] == [7.25, 8.5, 19.0]
    assert np.shape(summary["classes"]["frc"]) == (CLASSES, BOX // 2 + 1)
    assert summary["classes"]["verdict"] == ["good", "doubtful", "junk"]
    for feature in ("clear", "strength", "detail", "score_mean", "score_deviation"):
        assert len(summary["classes"][feature]) == CLASSES


def test_reading_back(directory: Path, particles: ParticleSet, classification: Classification) -> None:
    again, read = read_results(directory)
    used = ASSIGNED >= 0
    np.testing.assert_array_equal(again.ids, particles.ids)
    np.testing.assert_array_equal(again.enabled, used)
    np.testing.assert_array_equal(read.assignments, classification.assignments)
    np.testing.assert_allclose(read.poses.psi_deg[used], classification.poses.psi_deg[used], rtol=1e-10)
    np.testing.assert_allclose(read.poses.shift_x_px[used], classification.poses.shift_x_px[used], rtol=1e-10)
    np.testing.assert_allclose(read.score[used], classification.score[used], rtol=1e-6)
    np.testing.assert_allclose(read.certainty[used], classification.certainty[used], rtol=1e-6)
    np.testing.assert_array_equal(read.averages, classification.averages)
    np.testing.assert_array_equal(read.sizes, classification.sizes)
    np.testing.assert_array_equal(read.resolution_angstrom, classification.resolution_angstrom)
    np.testing.assert_array_equal(read.quality, classification.quality)
    np.testing.assert_allclose(read.frc, classification.frc, atol=1e-4)


def test_results_found_from_elsewhere(directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert read_particles(directory / "classes.xmd").stacks == (directory / "classes.mrcs",)


@pytest.mark.parametrize("missing", ["particles.xmd", "classes.xmd", "classes.mrcs", "summary.json"])
def test_incomplete_results_are_refused(directory: Path, missing: str) -> None:
    (directory / missing).unlink()
    with pytest.raises(InputError, match=missing):
        read_results(directory)


def test_results_of_two_runs_are_not_mixed(directory: Path, classification: Classification) -> None:
    write_stack(directory / "classes.mrcs", classification.averages[:2], 2.0)
    with pytest.raises(InputError, match="do not belong together"):
        read_results(directory)


def test_a_plain_metadata_file_is_no_result(directory: Path, particles: ParticleSet) -> None:
    (directory / "particles.xmd").write_bytes(particles.source.read_bytes())
    with pytest.raises(InputError, match="no column _ref"):
        read_results(directory)


def test_relion_input_gives_xmipp_output(tmp_path: Path, shared_data: Path, classification: Classification) -> None:
    source = read_particles(shared_data / "stacks/relion_ctf_pointmass/relion_proj_batch.star").subset(slice(COUNT))
    write_results(tmp_path / "out", source, classification, 3.54, {})
    again, _ = read_results(tmp_path / "out")
    assert again.dialect == "xmipp"
    assert again.sampling_rate == pytest.approx(3.54)
    assert again.ctf is not None
    assert source.ctf is not None
    np.testing.assert_allclose(again.ctf.defocus_u, source.ctf.defocus_u)


def test_names_in_the_metadata_cannot_lead_writing_elsewhere(tmp_path: Path, classification: Classification) -> None:
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    names = "".join(f"{n}@../../evil.mrcs ../../evil\n" for n in range(1, COUNT + 1))
    (inside / "particles.xmd").write_text(f"data_particles\nloop_\n_image\n_micrograph\n{names}")
    write_results(inside / "out", read_particles(inside / "particles.xmd"), classification, 1.0, {})
    outside = {path for path in tmp_path.rglob("*") if path.is_file() and inside / "out" not in path.parents}
    assert outside == {inside / "particles.xmd"}


def test_an_interrupted_write_keeps_the_old_file(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (directory / "classes.xmd").read_bytes()
    with pytest.raises(KeyboardInterrupt), atomic_path(directory / "classes.xmd") as temporary:
        temporary.write_text("half of")
        raise KeyboardInterrupt
    assert (directory / "classes.xmd").read_bytes() == before
    assert not [path for path in directory.iterdir() if path.name.startswith(".")]


def test_without_pillow_there_is_a_warning_in_place_of_the_gallery(
    tmp_path: Path, particles: ParticleSet, classification: Classification, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "alignpca2d_core.report", None)
    write_results(tmp_path / "out", particles, classification, 2.0, {}, draw)
    assert not (tmp_path / "out" / "gallery.png").exists()
    assert "gallery.png" in json.loads((tmp_path / "out" / "summary.json").read_text())["warnings"][0]


def test_json_holds_what_python_has_and_json_has_not(tmp_path: Path) -> None:
    content = {"a": np.float32(0.5), "b": np.arange(3), "c": float("nan"), "d": [np.inf, {"e": np.bool_(True)}],
               "path": tmp_path, 7: (1, "Å"), "empty": {}}  # fmt: skip
    write_json(tmp_path / "x.json", content)
    text = (tmp_path / "x.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"a": 0.5, "b": [0, 1, 2], "c": None, "d": [None, {"e": True}],
                                "path": str(tmp_path), "7": [1, "Å"], "empty": {}}  # fmt: skip
    assert '\n  "b": [0, 1, 2],\n' in text


# ------------------------------------------------------------------ others' readers


def test_xmipp_reads_the_classes(
    directory: Path, classification: Classification, monkeypatch: pytest.MonkeyPatch
) -> None:
    xmipp = pytest.importorskip("xmippLib")
    monkeypatch.chdir(directory)
    assert xmipp.getBlocksInMetaDataFile("classes.xmd")[:2] == ["classes", "class000001_images"]
    table = xmipp.MetaData("classes@classes.xmd")
    for label, expected in (
        (xmipp.MDL_REF, [1, 2, 3]),
        (xmipp.MDL_CLASS_COUNT, classification.sizes),
        (xmipp.MDL_RESOLUTION_FRC, classification.resolution_angstrom),
        (xmipp.MDL_FOM, classification.quality),
    ):
        np.testing.assert_allclose(table.getColumnValues(label), expected)
    image = xmipp.Image()
    image.read(table.getColumnValues(xmipp.MDL_IMAGE)[1])
    np.testing.assert_array_equal(image.getData(), classification.averages[1])
    members = xmipp.MetaData("class000001_images@classes.xmd")
    np.testing.assert_allclose(
        members.getColumnValues(xmipp.MDL_SCORE_BY_ALIGNABILITY), classification.score[ASSIGNED == 0], rtol=1e-6
    )
    np.testing.assert_allclose(
        members.getColumnValues(xmipp.MDL_PMAX), classification.certainty[ASSIGNED == 0], rtol=1e-6
    )


@pytest.mark.scipion
def test_scipion_reads_the_classes(directory: Path, particles: ParticleSet, classification: Classification) -> None:
    pytest.importorskip("pwem")
    convert = pytest.importorskip("xmipp3.convert")
    from pwem.constants import ALIGN_2D
    from pwem.objects import SetOfClasses2D, SetOfParticles

    images = SetOfParticles(filename=str(directory / "images.sqlite"))
    images.setSamplingRate(2.0)
    images.write()
    classes = SetOfClasses2D(filename=str(directory / "classes.sqlite"))
    classes.setImages(images)
    convert.readSetOfClasses2D(classes, str(directory / "classes.xmd"), alignType=ALIGN_2D)
    classes.write()

    matrices = to_matrix(classification.poses)
    found = []
    for item in classes.iterItems():
        assert item.getRepresentative().getLocation() == (item.getObjId(), "classes.mrcs")
        for particle in item:
            row = int(np.flatnonzero(particles.ids == particle.getObjId())[0])
            found.append(row)
            assert ASSIGNED[row] == item.getObjId() - 1
            assert particle.getIndex() == row + 1
            assert particle.getCTF().getDefocusU() == pytest.approx(15200)
            np.testing.assert_allclose(particle.getTransform().getMatrix()[:2][:, [0, 1, 3]], matrices[row], atol=1e-6)
    assert sorted(found) == np.flatnonzero(ASSIGNED >= 0).tolist()
