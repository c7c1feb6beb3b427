"""Metadata: Xmipp's and RELION's, ours and theirs, good and bad."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alignpca2d_core.errors import InputError
from alignpca2d_core.io.particle_set import (
    ParticleSet,
    Table,
    read_blocks,
    read_particles,
    write_blocks,
    write_particles,
)

READ = {
    "relion/class_averages.star": 13,
    "relion/cryocat_relion_3.0.star": 3,
    "relion/cryocat_relion_3.1_optics2.star": 3,
    "relion/relion5.star": 17,
    "relion/scipion_input_particles.star": 2021,
    "starfile/one_loop.star": 16,
    "starfile/rln3.1_data_style.star": 2,
    "starfile/single_line_end_of_multiblock.star": 2,
    "starfile/single_line_middle_of_multiblock.star": 1,
    "xmipp/input_particles.xmd": 500,
    "xmipp/input_particles_two_sets.xmd": 2,
    "xmipp/pythoninterface_importObject.xmd": 1,
    "xmipp/pythoninterface_test.xmd": 3,
    "xmipp/pythoninterface_testBlock.xmd": 3,
    "xmipp/pythoninterface_test_row.xmd": 1,
    "xmipp/tux.xmd": 4,
}
"""Files of ../shared/data/metadata that list images, with how many; see REFUSED for the others."""

NO_IMAGES = "no block has a column of images"
REFUSED = {
    "starfile/basic_double_quote.star": NO_IMAGES,
    "starfile/basic_single_quote.star": NO_IMAGES,
    "starfile/default_pipeline.star": NO_IMAGES,
    "starfile/empty_loop.star": NO_IMAGES,
    "starfile/loop_double_quote.star": NO_IMAGES,
    "starfile/loop_single_quote.star": NO_IMAGES,
    "starfile/postprocess.star": NO_IMAGES,
    "starfile/run_it025_optimiser_2D.star": NO_IMAGES,
    "starfile/run_it025_sampling_2D.star": NO_IMAGES,
    "starfile/two_basic_blocks.star": NO_IMAGES,
    "starfile/two_single_line_loop_blocks.star": NO_IMAGES,
    "xmipp/metadata_ReadWriteAppendBlock.xmd": NO_IMAGES,
    "xmipp/metadata_WriteIntermediateBlock.xmd": NO_IMAGES,
    "xmipp/metadata_WriteIntermediateBlock2.xmd": NO_IMAGES,
    "xmipp/metadata_mDsource.sqlite": "is a Scipion set (.sqlite)",
    "xmipp/metadata_mDsource.xmd": NO_IMAGES,
    "xmipp/metadata_mDsource.xml": "is not a STAR file",
    "xmipp/metadata_noXmipp.xmd": NO_IMAGES,
    "xmipp/metadata_symop.star": NO_IMAGES,
    "xmipp/sampling_experimental_images.xmd": "line 14: row 1 has 10 values for 9 labels",
    "xmipp/sampling_neigh_ref_c1_exp_sampling.xmd": NO_IMAGES,
    "xmipp/sampling_ref_c1_exp_sampling.xmd": NO_IMAGES,
    "xmipp/sampling_refkk_sampling.xmd": NO_IMAGES,
    "xmipp/sampling_test_sampling.xmd": NO_IMAGES,
}
"""The other files, with what the refusal says."""

UNREADABLE_BLOCKS = {
    "xmipp/metadata_mDsource.sqlite",
    "xmipp/metadata_mDsource.xml",
    "xmipp/metadata_symop.star",
    "xmipp/sampling_experimental_images.xmd",
}
"""Not STAR, several tables in one block, ragged rows: :func:`read_blocks` refuses these and reads the rest."""


def write(folder: Path, text: str, name: str = "particles.xmd") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def loop(labels: str, *rows: str, block: str = "particles") -> str:
    head = "".join(f" _{label}\n" for label in labels.split())
    return f"data_{block}\nloop_\n{head}" + "".join(f"{row}\n" for row in rows)


def refusal(path: Path | str) -> str:
    """The one line with which :func:`read_particles` refuses a file."""
    with pytest.raises(InputError) as caught:
        read_particles(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# ------------------------------------------------------------------ third-party files


def test_every_third_party_file_is_expected(shared_data: Path) -> None:
    folder = shared_data / "metadata"
    present = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert present == READ.keys() | REFUSED.keys()
    assert len(present) == 40


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


@pytest.mark.parametrize("name", sorted(READ.keys() | REFUSED.keys()))
def test_blocks_agree_with_starfile(shared_data: Path, name: str) -> None:
    """Same blocks, labels and values as the starfile library gives, where it can read the file at all."""
    starfile = pytest.importorskip("starfile")
    path = shared_data / "metadata" / name
    if name in UNREADABLE_BLOCKS:
        with pytest.raises(InputError):
            read_blocks(path)
        return
    ours, theirs = read_blocks(path), starfile.read(path, always_dict=True)
    assert list(ours) == list(theirs)
    for block, table in ours.items():
        assert list(table.columns) == list(theirs[block])
        for label, column in table.columns.items():
            other = theirs[block][label]
            expected = np.atleast_1d(np.asarray(other))
            assert len(column) == len(expected)
            if column.dtype == object:
                assert all(map(same_text, column, expected))
            else:
                np.testing.assert_allclose(column, expected.astype(float), rtol=1e-12)


def same_text(ours: str, theirs: object) -> bool:
    """Whether starfile means the same text: it makes an empty value NaN and takes names of digits for numbers."""
    if isinstance(theirs, float):
        return float(ours or "nan") == theirs or not ours
    return ours.strip() == str(theirs).strip()


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


# ------------------------------------------------------------------ layouts


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("000001@stack.mrcs", ("stack.mrcs", 0)),
        ("12@stack.mrcs", ("stack.mrcs", 11)),
        ("'000003@my stack.mrcs'", ("my stack.mrcs", 2)),
        ('"000003@it\'s mine.mrcs"', ("it's mine.mrcs", 2)),
        ("""'000003@a "b" c.mrcs'""", ('a "b" c.mrcs', 2)),
        ("000003@o'brien.mrcs", ("o'brien.mrcs", 2)),
        ("000003@run#1.mrcs", ("run#1.mrcs", 2)),
        ("2@stack.mrc:mrcs", ("stack.mrc", 1)),
        ("2@day_α.mrcs", ("day_α.mrcs", 1)),
        ("single.mrc", ("single.mrc", 0)),
    ],
)
def test_image_names(tmp_path: Path, name: str, expected: tuple[str, int]) -> None:
    particles = read_particles(write(tmp_path, loop("image itemId", f" {name}   7 ")))
    assert (str(particles.stacks[0]), particles.index_in_stack[0]) == expected
    assert particles.ids[0] == 7
    assert particles.lone == ({0} if name == "single.mrc" else set())


@pytest.mark.parametrize(
    "text",
    [
        "data_\n\nloop_ \n_image #1 \n_itemId #2\n1@a.mrcs 5\n2@a.mrcs 6\n",
        "# XMIPP_STAR_1 * \n# \ndata_noname\nloop_\n _image\n _itemId\n 1@a.mrcs 5 \n 2@a.mrcs 6 \n",
        "\n  data_images  # comment\n\tloop_\n\t_image\t#1\n_itemId#2\n\n1@a.mrcs\t5\n\n2@a.mrcs 6 # last\n\n",
        "data_particles\r\nloop_\r\n_image #1\r\n_itemId #2\r\n1@a.mrcs 5\r\n2@a.mrcs 6\r\n",
        "\ufeffdata_particles\nloop_\n_image\n_itemId\n1@a.mrcs 5\n2@a.mrcs 6",
        "data_a\n_key value\ndata_particles\nloop_\n_image\n_itemId\n'1@a.mrcs' \"5\"\n2@a.mrcs 6\ndata_b\nloop_\n",
    ],
    ids=["relion", "xmipp", "untidy", "crlf", "bom", "among-others"],
)
def test_layouts(tmp_path: Path, text: str) -> None:
    particles = read_particles(write(tmp_path, text))
    np.testing.assert_array_equal(particles.ids, [5, 6])
    np.testing.assert_array_equal(particles.index_in_stack, [0, 1])
    assert particles.stacks == (Path("a.mrcs"),)
    assert particles.warnings == []


def test_rows_that_begin_like_keywords(tmp_path: Path) -> None:
    text = loop("micrograph image", "data_2021/m.mrc 1@a.mrcs", "loop_1/m.mrc 2@a.mrcs")
    assert list(read_particles(write(tmp_path, text)).table["micrograph"]) == ["data_2021/m.mrc", "loop_1/m.mrc"]


def test_single_row_without_loop(tmp_path: Path) -> None:
    text = "data_noname\n _image '3@a b.mrcs'\n _ctfDefocusU 12000\n _comment ''\n"
    particles = read_particles(write(tmp_path, text))
    assert (len(particles), particles.index_in_stack[0], particles.stacks[0].name) == (1, 2, "a b.mrcs")
    assert particles.table["ctfDefocusU"][0] == 12000
    assert particles.table["comment"][0] == ""


def test_vectors_and_empty_values_stay_in_their_column(tmp_path: Path) -> None:
    rows = ("1@a.mrcs ' 1.0  2.0 ' '' 4", "2@a.mrcs ' ' x 5")
    table = read_particles(write(tmp_path, loop("image classificationData comment ref", *rows))).table
    assert list(table["classificationData"]) == [" 1.0  2.0 ", " "]
    assert list(table["comment"]) == ["", "x"]
    np.testing.assert_array_equal(table["ref"], [4, 5])


def test_types_of_columns(tmp_path: Path) -> None:
    rows = ("1@a 1 1.5 nan 007 1", "2@a 2 2 -inf 008 x")
    table = read_blocks(write(tmp_path, loop("image n f odd micrograph mixed", *rows)))["particles"]
    assert table["n"].dtype == np.int64
    assert table["f"].dtype == np.float64
    np.testing.assert_array_equal(table["odd"], [np.nan, -np.inf])
    assert list(table["micrograph"]) == ["007", "008"]
    assert list(table["mixed"]) == ["1", "x"]


def test_text_that_begins_late_keeps_the_numbers_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alignpca2d_core.io.star.star_rows.PIECE_ROWS", 2)
    rows = [f"{n}@a.mrcs 0{n}.50 {n}" for n in range(1, 6)] + ["6@a.mrcs none 6.5"]
    table = read_particles(write(tmp_path, loop("image odd number", *rows))).table
    assert list(table["odd"]) == ["01.50", "02.50", "03.50", "04.50", "05.50", "none"]
    np.testing.assert_array_equal(table["number"], [1, 2, 3, 4, 5, 6.5])


def test_pieces_of_the_file_are_cut_between_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alignpca2d_core.io.star.star_rows.PIECE_BYTES", 7)
    rows = [f"'{n}@a b.mrcs' {n} # row {n}" for n in range(1, 20)]
    particles = read_particles(write(tmp_path, loop("image itemId", *rows)))
    np.testing.assert_array_equal(particles.ids, np.arange(1, 20))
    assert [path.name for path in particles.stacks] == ["a b.mrcs"]


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "particles.xmd"
    path.write_bytes(loop("image", "1@caf\u00e9.mrcs").encode("latin-1"))
    particles = read_particles(path)
    write_particles(tmp_path / "out.xmd", particles)
    assert b"@caf\xe9.mrcs" in (tmp_path / "out.xmd").read_bytes()


# ------------------------------------------------------------------ meaning


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


# ------------------------------------------------------------------ bad input


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


# ------------------------------------------------------------------ writing

words = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=12)


@settings(deadline=None, max_examples=150)
@given(
    text=st.lists(
        words.filter(lambda word: not {"' ", '" '} & {word[i : i + 2] for i in range(len(word))}), min_size=1
    ),
    numbers=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1),
)
def test_tables_survive_the_file(
    tmp_path_factory: pytest.TempPathFactory, text: list[str], numbers: list[float]
) -> None:
    rows = min(len(text), len(numbers))
    marked = np.array([f"a {word} z" for word in text[:rows]], dtype=object)
    table = Table("t", {"comment": marked, "value": np.array(numbers[:rows]), "n": np.arange(rows)})
    path = tmp_path_factory.mktemp("star") / "table.xmd"
    write_blocks(path, {"t": table, "u": table})
    for read in read_blocks(path).values():
        assert list(read["comment"]) == list(marked)
        np.testing.assert_allclose(read["value"], table["value"], rtol=1e-11)
        np.testing.assert_array_equal(read["n"], table["n"])


def test_written_particles_keep_the_columns_and_their_order(tmp_path: Path) -> None:
    text = loop("ref image itemId classificationData", "1 '1@a b.mrc' 4 ' 1.0 2.0 '", "2 '2@a b.mrc' 9 ' 3.0 4.0 '")
    write_particles(
        tmp_path / "out.xmd", read_particles(write(tmp_path, text)), {"ref": np.array([7, 8]), "maxCC": np.ones(2)}
    )
    written = read_blocks(tmp_path / "out.xmd")["particles"]
    assert list(written.columns) == ["ref", "image", "itemId", "classificationData", "enabled", "maxCC"]
    assert list(written["image"]) == ["000001@a b.mrc:mrcs", "000002@a b.mrc:mrcs"]
    assert list(written["classificationData"]) == [" 1.0 2.0 ", " 3.0 4.0 "]
    np.testing.assert_array_equal(written["ref"], [7, 8])
    np.testing.assert_array_equal(written["itemId"], [4, 9])


def test_relion_particles_are_written_with_xmipps_labels(shared_data: Path, tmp_path: Path) -> None:
    source = read_particles(shared_data / "stacks/relion_ctf_pointmass/relion_proj_batch.star")
    write_particles(tmp_path / "out.xmd", source)
    assert_same_particles(read_particles(tmp_path / "out.xmd"), source)


def test_a_bare_stack_is_written_as_metadata(tmp_path: Path, shared_data: Path) -> None:
    stack = shared_data / "stacks/empiar10076/empiar_10076_7.mrc"
    write_particles(tmp_path / "out.xmd", read_particles(stack), {"ref": np.arange(7)})
    written = read_particles(tmp_path / "out.xmd")
    assert written.stacks == (stack,)
    assert list(written.table["image"]) == [f"{number:06d}@{stack}:mrcs" for number in range(1, 8)]
    np.testing.assert_array_equal(written.table["ref"], np.arange(7))


def assert_same_particles(particles: ParticleSet, expected: ParticleSet) -> None:
    assert particles.image_names() == expected.image_names()
    assert particles.sampling_rate == expected.sampling_rate
    np.testing.assert_array_equal(particles.ids, expected.ids)
    assert particles.ctf is not None
    assert expected.ctf is not None
    for name in ("defocus_u", "defocus_v", "defocus_angle", "voltage", "amplitude_contrast"):
        np.testing.assert_allclose(getattr(particles.ctf, name), getattr(expected.ctf, name), rtol=1e-9)


# ------------------------------------------------------------------ against Xmipp


def test_xmipp_reads_what_we_write(shared_data: Path, tmp_path: Path) -> None:
    xmipp = pytest.importorskip("xmippLib")
    source = read_particles(shared_data / "metadata/xmipp/input_particles.xmd")
    write_particles(tmp_path / "out.xmd", source, {"ref": np.arange(500) % 7, "maxCC": np.linspace(0, 1e-5, 500)})
    table = xmipp.MetaData(f"particles@{tmp_path / 'out.xmd'}")
    columns: dict[Any, Any] = {
        xmipp.MDL_IMAGE: source.image_names(),
        xmipp.MDL_ITEM_ID: source.ids,
        xmipp.MDL_CTF_DEFOCUSU: source.table["ctfDefocusU"],
        xmipp.MDL_REF: np.arange(500) % 7,
        xmipp.MDL_MAXCC: np.linspace(0, 1e-5, 500),
    }
    for label, expected in columns.items():
        values = table.getColumnValues(label)
        if label == xmipp.MDL_IMAGE:
            assert values == expected
        else:
            np.testing.assert_allclose(values, expected, rtol=1e-9)


def test_we_read_what_xmipp_writes(tmp_path: Path) -> None:
    xmipp = pytest.importorskip("xmippLib")
    names = ["000001@plain.mrcs", "000012@with space.mrcs", "000003@it's odd.mrcs", '000004@a "b" c.mrcs']
    table = xmipp.MetaData()
    for number, name in enumerate(names):
        row = table.addObject()
        table.setValue(xmipp.MDL_IMAGE, name, row)
        table.setValue(xmipp.MDL_ITEM_ID, number + 5, row)
        table.setValue(xmipp.MDL_ENABLED, 1 - 2 * (number % 2), row)
        table.setValue(xmipp.MDL_SHIFT_X, 0.25 * number, row)
        table.setValue(xmipp.MDL_CLASSIFICATION_DATA, [1.0, float(number)], row)
    table.write(f"particles@{tmp_path / 'theirs.xmd'}")
    particles = read_particles(tmp_path / "theirs.xmd")
    assert particles.image_names() == names
    np.testing.assert_array_equal(particles.ids, [5, 6, 7, 8])
    np.testing.assert_array_equal(particles.enabled, [True, False, True, False])
    np.testing.assert_array_equal(particles.table["shiftX"], [0, 0.25, 0.5, 0.75])

    write_particles(tmp_path / "ours.xmd", particles)
    back = xmipp.MetaData(f"particles@{tmp_path / 'ours.xmd'}")
    assert back.getColumnValues(xmipp.MDL_IMAGE) == names
    assert back.getColumnValues(xmipp.MDL_CLASSIFICATION_DATA)[2] == [1.0, 2.0]


def test_a_database_is_no_metadata(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "particles.sqlite") as database:
        database.execute("create table images (id integer)")
    database.close()
    assert "is a Scipion set (.sqlite)" in refusal(tmp_path / "particles.sqlite")
