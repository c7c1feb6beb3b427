"""Particles written as metadata: read back as they were, by us and by Xmipp."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from star_files import loop, write

from alignpca2d_core.io.particle_reading import read_particles
from alignpca2d_core.io.particle_set import ParticleSet, write_particles
from alignpca2d_core.io.star.star_reader import Table, read_blocks
from alignpca2d_core.io.star.star_writer import write_blocks

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
    names = read_blocks(tmp_path / "out.xmd")["particles"]["image"]
    assert list(names) == [f"{number:06d}@{stack}:mrcs" for number in range(1, 8)]
    np.testing.assert_array_equal(written.table["ref"], np.arange(7))


def assert_same_particles(particles: ParticleSet, expected: ParticleSet) -> None:
    assert particles.image_names() == expected.image_names()
    assert particles.sampling_rate == expected.sampling_rate
    np.testing.assert_array_equal(particles.ids, expected.ids)
    assert particles.ctf is not None
    assert expected.ctf is not None
    for name in ("defocus_u", "defocus_v", "defocus_angle", "voltage", "amplitude_contrast"):
        np.testing.assert_allclose(getattr(particles.ctf, name), getattr(expected.ctf, name), rtol=1e-9)


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
