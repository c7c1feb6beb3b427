"""Joining the batches of a stream."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from alignpca2d_core.errors import InputError
from alignpca2d_core.io.concatenation import concatenate
from alignpca2d_core.io.particle_reading import read_particles
from alignpca2d_core.io.particle_set import ParticleSet, write_particles
from alignpca2d_core.io.stacks import StackReader, write_stack

CTF = "ctfDefocusU ctfVoltage ctfSphericalAberration ctfQ0"


def batch(folder: Path, name: str, labels: str, *rows: str) -> ParticleSet:
    head = "".join(f" _{label}\n" for label in labels.split())
    (folder / name).write_text(f"data_particles\nloop_\n{head}" + "".join(f"{row}\n" for row in rows))
    return read_particles(folder / name)


def test_parts_of_a_set_joined_are_the_set(shared_data: Path) -> None:
    whole = read_particles(shared_data / "metadata/relion/scipion_input_particles.star")
    parts = [whole.subset(slice(0, 700)), whole.subset(slice(700, 701)), whole.subset(slice(701, None))]
    joined = concatenate(parts)
    assert joined.image_names() == whole.image_names()
    assert joined.stacks == whole.stacks
    assert (joined.sampling_rate, joined.dialect, joined.warnings) == (whole.sampling_rate, "relion", [])
    np.testing.assert_array_equal(joined.ids, whole.ids)
    for label, column in whole.table.columns.items():
        np.testing.assert_array_equal(joined.table[label], column)
    assert joined.ctf is not None
    assert whole.ctf is not None
    np.testing.assert_array_equal(joined.ctf.defocus_u, whole.ctf.defocus_u)


def test_images_of_different_stacks_stay_with_their_rows(tmp_path: Path) -> None:
    for number in (1, 2):
        write_stack(tmp_path / f"{number}.mrcs", np.full((2, 4, 4), number) + np.arange(2)[:, None, None] / 10)
    first = batch(tmp_path, "a.xmd", "image itemId", "1@1.mrcs 5", "2@2.mrcs 6")
    second = batch(tmp_path, "b.xmd", "image itemId", "1@2.mrcs 7", "2@1.mrcs 8")
    joined = concatenate([first, second])
    images = StackReader(joined).read(np.arange(4))
    np.testing.assert_allclose(images[:, 0, 0], [1, 2.1, 2, 1.1], rtol=1e-6)
    assert len(joined.stacks) == 2
    write_particles(tmp_path / "joined.xmd", joined)
    np.testing.assert_array_equal(read_particles(tmp_path / "joined.xmd").ids, [5, 6, 7, 8])


def test_columns_of_only_some_sets_are_left_out_with_a_warning(tmp_path: Path) -> None:
    first = batch(tmp_path, "a.xmd", "image itemId zScore", "1@a 5 0.5")
    joined = concatenate([first, batch(tmp_path, "b.xmd", "image itemId", "1@a 6")])
    assert list(joined.table.columns) == ["image", "itemId"]
    assert "zScore" in joined.warnings[0]


def test_sets_of_different_programs_meet_in_xmipps_labels(tmp_path: Path, shared_data: Path) -> None:
    relion = read_particles(shared_data / "stacks/aspire_sample/sample_particles_relion31.star")
    write_particles(tmp_path / "xmipp.xmd", relion)
    xmipp = read_particles(tmp_path / "xmipp.xmd")
    xmipp.ids = xmipp.ids + 100
    joined = concatenate([xmipp, relion])
    assert joined.dialect == "xmipp"
    assert joined.image_names() == relion.image_names() * 2
    np.testing.assert_array_equal(joined.table["ctfDefocusU"][:17], joined.table["ctfDefocusU"][17:])


def test_identifiers_that_come_twice_are_replaced(tmp_path: Path) -> None:
    first = batch(tmp_path, "a.xmd", "image itemId", "1@a 5")
    joined = concatenate([first, batch(tmp_path, "b.xmd", "image itemId", "2@a 5")])
    np.testing.assert_array_equal(joined.ids, [1, 2])
    assert "come twice" in joined.warnings[0]


def test_sets_of_several_pixel_sizes_keep_that_of_each_particle(tmp_path: Path) -> None:
    plain = batch(tmp_path, "plain.xmd", "image itemId samplingRate", "1@a 1 1.0")
    other = batch(tmp_path, "other.xmd", "image itemId samplingRate", "1@a 2 1.5")
    joined = concatenate([plain, other])
    assert joined.pixel_sizes is not None
    np.testing.assert_allclose(joined.pixel_sizes, [1.0, 1.5])


def test_sets_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    plain = batch(tmp_path, "plain.xmd", "image itemId samplingRate", "1@a 1 1.0")
    with_ctf = batch(tmp_path, "ctf.xmd", f"image itemId {CTF}", "1@a 3 12000 300 2.7 0.1")
    with pytest.raises(InputError, match=r"plain\.xmd: has no CTF"):
        concatenate([with_ctf, plain])
