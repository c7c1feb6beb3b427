"""What metadata says of the particles: Xmipp's and RELION's, good and bad."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest
from star_files import READ, REFUSED, loop, refusal, write

from alignpca2d_core.io.particle_reading import read_particles


@pytest.mark.parametrize("name", READ)
def test_third_party_particles_are_read(shared_data: Path, name: str) -> None:
    particles = read_particles(shared_data / "metadata" / name)
    assert len(particles) == len(particles.ids) == len(particles.enabled) == len(particles.table) == READ[name]
    assert particles.dialect == ("xmipp" if name.endswith(".xmd") else "relion")


@pytest.mark.parametrize("name", REFUSED)
def test_third_party_files_without_particles_are_refused(shared_data: Path, name: str) -> None:
    message = refusal(shared_data / "metadata" / name)
    assert REFUSED[name] in message
    assert name in message


def test_relion_optics_groups(shared_data: Path) -> None:
    particles = read_particles(shared_data / "stacks/aspire_sample/sample_particles_relion31.star")
    assert particles.sampling_rate == 1.4
    assert particles.ctf is not None
    groups = particles.table["rlnOpticsGroup"]
    assert set(groups) == {1, 2}
    np.testing.assert_array_equal(particles.ctf.voltage, np.where(groups == 1, 300.0, 200.0))
    assert particles.ctf.defocus_u[0] == 21186.804688
    assert particles.stacks[0].is_file()


def test_relion30_pixel_size_from_magnification(shared_data: Path) -> None:
    particles = read_particles(shared_data / "stacks/empiar10076/empiar_10076_7.star")
    assert particles.sampling_rate == pytest.approx(1.31, abs=1e-4)
    np.testing.assert_array_equal(particles.index_in_stack, np.arange(7))


def test_incomplete_ctf_is_left_out_with_a_warning(shared_data: Path) -> None:
    particles = read_particles(shared_data / "stacks/aspire_sample/sample_incomplete_ctf_params.star")
    assert particles.ctf is None
    assert any("rlnVoltage" in warning for warning in particles.warnings)


def test_disabled_rows_and_identifiers(tmp_path: Path) -> None:
    text = loop("image enabled itemId", "1@a.mrcs 1 10", "2@a.mrcs -1 20", "3@a.mrcs 0 30")
    particles = read_particles(write(tmp_path, text))
    np.testing.assert_array_equal(particles.enabled, [True, False, False])
    np.testing.assert_array_equal(particles.ids, [10, 20, 30])


@pytest.mark.parametrize("ids", ["4 4", "0 1", "-1 2", "1.5 2.5", "a b"])
def test_identifiers_that_cannot_serve_are_replaced_with_a_warning(tmp_path: Path, ids: str) -> None:
    first, second = ids.split()
    particles = read_particles(write(tmp_path, loop("image itemId", f"1@a {first}", f"2@a {second}")))
    np.testing.assert_array_equal(particles.ids, [1, 2])
    assert "numbered from 1" in particles.warnings[0]


def test_rows_whose_ctf_makes_no_sense_are_set_aside(tmp_path: Path) -> None:
    labels = "image ctfDefocusU ctfVoltage ctfSphericalAberration ctfQ0"
    rows = ("1@a 12000 300 2.7 0.1", "2@a nan 300 2.7 0.1", "3@a 12000 0 2.7 0.1")
    particles = read_particles(write(tmp_path, loop(labels, *rows)))
    np.testing.assert_array_equal(particles.enabled, [True, False, False])
    assert "2 rows (the first is 2)" in particles.warnings[0]
    assert particles.ctf is not None
    assert (particles.ctf.defocus_v[0], particles.ctf.phase_shift[0]) == (12000, 0)


def test_pixel_sizes_that_almost_agree_are_averaged(tmp_path: Path) -> None:
    particles = read_particles(write(tmp_path, loop("image samplingRate", "1@a 1.00", "2@a 1.01")))
    assert particles.sampling_rate == pytest.approx(1.005)
    assert len(particles.warnings) == 1


def test_stack_is_found_from_here_then_beside_the_metadata_then_above(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, here = tmp_path / "project", tmp_path / "here"
    (project / "job").mkdir(parents=True)
    here.mkdir()
    monkeypatch.chdir(here)
    path = write(project / "job", loop("image", "1@job/a.mrcs"))
    found = []
    for folder in (project, project / "job", here):
        (folder / "job").mkdir(exist_ok=True)
        (folder / "job" / "a.mrcs").touch()
        found.append(read_particles(path).stacks[0])
    assert found == [project / "job/a.mrcs", project / "job/job/a.mrcs", Path("job/a.mrcs")]


def test_one_block_of_many_can_be_asked_for(tmp_path: Path) -> None:
    text = loop("image", "1@a.mrcs", block="classes") + loop(
        "image", "1@b.mrcs", "2@b.mrcs", block="class000001_images"
    )
    path = write(tmp_path, text)
    assert len(read_particles(path)) == 1
    assert read_particles(path).warnings == []
    assert len(read_particles(f"class000001_images@{path}")) == 2
    assert "has no block 'nothing'" in refusal(f"nothing@{path}")


def test_a_block_that_had_to_be_guessed_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, loop("image", "1@a.mrcs", block="left") + loop("image", "1@b.mrcs", block="right"))
    particles = read_particles(path)
    assert particles.stacks == (Path("a.mrcs"),)
    assert "block 'left' is read" in particles.warnings[0]
    assert "right" in particles.warnings[0]


def test_bare_stack(shared_data: Path) -> None:
    particles = read_particles(shared_data / "stacks/slicem/mixture_2D.mrcs")
    assert (len(particles), particles.dialect, particles.ctf) == (100, "stack", None)
    np.testing.assert_array_equal(particles.ids, np.arange(1, 101))


def test_subset_keeps_columns_together(shared_data: Path) -> None:
    particles = read_particles(shared_data / "metadata/relion/relion5.star")
    rows = np.array([3, 1, 16])
    part = particles.subset(rows)
    assert len(part) == len(part.table) == 3
    assert part.ctf is not None
    assert particles.ctf is not None
    np.testing.assert_array_equal(part.ctf.defocus_u, particles.ctf.defocus_u[rows])
    assert part.image_names() == [particles.image_names()[row] for row in rows]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("\n\n", "is not a STAR file"),
        ("hello\n", "is not a STAR file"),
        (loop("image itemId"), "holds no particles"),
        (loop("image itemId", "1@a 1", "2@a"), "line 6: row 2 has 1 values for 2 labels"),
        (loop("image itemId", "1@a 1", "2@a 2 3"), "line 6: row 2 has 3 values for 2 labels"),
        (loop("image itemId", "1@a 1 2 3 4"), "line 5: row 1 has 5 values for 2 labels"),
        (loop("image itemId", "1@a 1", "'2@a 2"), "row 2"),
        (loop("itemId image", "1 1@a", "2"), "line 6: row 2 has 1 values for 2 labels"),
        (loop("image image", "1@a 2@a"), "label _image comes twice"),
        (loop("image", "1@a") + loop("image", "2@a"), "two blocks named 'particles'"),
        (loop("image", "1@a") + "loop_\n_image\n2@a\n", "holds more than one table"),
        ("data_particles\n_image\n1@a\n", "values without a loop_ line"),
        ("data_particles\n_image 1@a 2@a\n", "line 2: _image has 2 values"),
        (loop("image", "0@a.mrcs"), "row 1: '0@a.mrcs' is no image name"),
        (loop("image", "1@a.mrcs", "-1@a.mrcs"), "row 2: '-1@a.mrcs' is no image name"),
        (loop("image", "x@a.mrcs"), "row 1: 'x@a.mrcs' is no image name"),
        (loop("image", "5@"), "row 1: '5@' is no image name"),
        (loop("image", "99999999999999999999@a"), "row 1: '99999999999999999999@a' is no image name"),
        (loop("image", "1@a", "2@\0"), "line 5: holds a zero byte"),
        ("data_particles\nloop_\n_image\n_itemId", "holds no particles"),
        (loop("image", "''"), "row 1: '' is no image name"),
        (loop("image ctfDefocusU", "1@a 5", "2@a high"), "row 2: ctfDefocusU 'high' is not a number"),
        (loop("rlnOpticsGroup", "1", block="optics") + loop("rlnImageName rlnOpticsGroup", "1@a 1", "2@a 7"),
         "row 2: optics group 7 is not in data_optics"),
    ],
)  # fmt: skip
def test_bad_metadata_is_refused_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path, text)
    assert message in refusal(path)
    assert str(path) in refusal(path)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "none.xmd")
    assert "is a folder; give the file that lists its particles" in refusal(tmp_path)


def test_a_database_is_no_metadata(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "particles.sqlite") as database:
        database.execute("create table images (id integer)")
    database.close()
    assert "is a Scipion set (.sqlite)" in refusal(tmp_path / "particles.sqlite")
