"""The layout of star files: Xmipp's and RELION's, ours and theirs, tidy and untidy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from star_files import READ, REFUSED, UNREADABLE_BLOCKS, loop, write

from alignpca2d_core.errors import InputError
from alignpca2d_core.io.particle_reading import read_particles
from alignpca2d_core.io.particle_set import write_particles
from alignpca2d_core.io.star.star_reader import read_blocks


def test_every_third_party_file_is_expected(shared_data: Path) -> None:
    folder = shared_data / "metadata"
    present = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert present == READ.keys() | REFUSED.keys()
    assert len(present) == 40


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
