"""Stacks: every type of pixel, random and batched reading, damaged files, writing."""

from __future__ import annotations

import gc
import os
import tracemalloc
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import pytest
from numpy.typing import NDArray

from alignpca2d_core.errors import InputError
from alignpca2d_core.io import open_stacks
from alignpca2d_core.io.mrc import read_header
from alignpca2d_core.io.particle_reading import read_particles
from alignpca2d_core.io.particle_set import ParticleSet
from alignpca2d_core.io.stacks import StackReader, write_stack

READ = {
    "EMD-3197.map": (20, 20),
    "nomap_nostamp_hand.5.mrcs": (5, 64),
    "stk_id_TwoImages.mrc": (2, 220),
    "tiny_2x2.mrc": (1, 2),
    "tiny_stack.mrcs": (3, 16),
    "xmipp_image/singleImage.mrc": (1, 3),
    "xmipp_image/smallStack.mrcs": (4, 64),
}
"""Files of ../shared/data/badmrc that are read all the same: images and box."""

REFUSED = {
    "3pqr-mode0.ccp4": "69 × 100 pixels are not square",
    "EMD-3197.map.bz2": "compressed with bzip2",
    "emd_3197.map.gz": "compressed with gzip",
    "emd_3197.png": "is a PNG picture",
    "prot_gmm.mrc": "72 × 67 pixels are not square",
    "empty.mrc": "0 bytes",
    "lfs_pointer.mrcs": "is a Git LFS pointer",
    "dummy_text.mrc": "13 bytes",
    "xmipp_image/singleImage.spi": "is a SPIDER file",
    "xmipp_image/singleImage_swap.spi": "is a SPIDER file",
    "xmipp_image/smallStack.stk": "is a SPIDER stack",
    "xmipp_image/smallVolume.vol": "not an MRC stack",
    "xmipp_image/smallVolumeStack.stk": "is a SPIDER stack",
    "xmipp_image/smallVolumeStackCorrupted.stk": "is a SPIDER stack",
    "xmipp_image/smallStack.hed": "1 × 3 pixels are not square",
    "xmipp_image/smallStack.img": "is an IMAGIC file",
    "xmipp_image/singleImage.tif": "is a TIFF image",
    "xmipp_image/sum.spi": "is a SPIDER file",
}
"""The other files there, with what the refusal says."""


def save(path: Path, images: NDArray[Any], **header: Any) -> Path:
    """Write an MRC file with mrcfile, as others do."""
    with mrcfile.new(path, images, overwrite=True) as file:
        for name, value in header.items():
            file.header[name] = value
    return path


def particles_of(folder: Path, *names: str) -> ParticleSet:
    path = folder / "particles.xmd"
    path.write_text("data_particles\nloop_\n_image\n" + "".join(f"{name}\n" for name in names))
    return read_particles(path)


def refusal(particles: ParticleSet) -> str:
    with pytest.raises(InputError) as caught:
        StackReader(particles)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def numbered(count: int, box: int = 4, dtype: str = "f4") -> NDArray[Any]:
    """Image i is full of i + 1."""
    return np.broadcast_to(np.arange(1, count + 1)[:, None, None], (count, box, box)).astype(dtype)


# ------------------------------------------------------------------ reading


def test_every_odd_file_is_expected(shared_data: Path) -> None:
    folder = shared_data / "badmrc"
    present = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert present == READ.keys() | REFUSED.keys()


@pytest.mark.parametrize("name", READ)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # mrcfile's, about the headers that we come for
def test_odd_files_are_read_as_mrcfile_reads_them(shared_data: Path, name: str) -> None:
    path = shared_data / "badmrc" / name
    header = read_header(path)
    assert (header.count, header.box) == READ[name]
    with mrcfile.open(path, permissive=True) as file:
        expected = np.atleast_3d(file.data).reshape(header.count, header.box, header.box)
    images = StackReader(read_particles(path)).read(np.arange(header.count))
    np.testing.assert_array_equal(images, expected)


@pytest.mark.parametrize("name", REFUSED)
def test_odd_files_are_refused_in_one_line(shared_data: Path, name: str) -> None:
    with pytest.raises(InputError) as caught:
        read_header(shared_data / "badmrc" / name)
    assert REFUSED[name] in str(caught.value)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["i1", "i2", "u2", "f2", "f4"])
def test_types_of_pixels(tmp_path: Path, kind: str, order: str) -> None:
    low = 0 if kind == "u2" else -100
    values = np.random.default_rng(0).integers(low, 120, (5, 6, 6)).astype(order + kind)
    save(tmp_path / "a.mrcs", values)
    images = StackReader(read_particles(tmp_path / "a.mrcs")).read(np.array([4, 0, 2]))
    assert images.dtype == np.float32
    assert images.flags.c_contiguous
    np.testing.assert_array_equal(images, values[[4, 0, 2]].astype(np.float32))


@pytest.mark.parametrize("damage", [{"map": b"\0\0\0\0"}, {"machst": [0, 0, 0, 0]}, {"ispg": 1}, {"ispg": 401}])
def test_header_words_that_programs_leave_out(tmp_path: Path, damage: dict[str, Any]) -> None:
    save(tmp_path / "a.mrcs", numbered(3), **damage)
    np.testing.assert_array_equal(StackReader(read_particles(tmp_path / "a.mrcs")).read(np.arange(3)), numbered(3))


def test_extended_header_is_skipped(tmp_path: Path) -> None:
    with mrcfile.new(tmp_path / "a.mrcs", numbered(2)) as file:
        file.set_extended_header(np.zeros(100, dtype="V1"))
    assert read_header(tmp_path / "a.mrcs").offset == 1124
    np.testing.assert_array_equal(StackReader(read_particles(tmp_path / "a.mrcs")).read(np.arange(2)), numbered(2))


def test_one_image_with_and_without_a_third_dimension(tmp_path: Path) -> None:
    save(tmp_path / "flat.mrc", numbered(1)[0])
    save(tmp_path / "stack.mrcs", numbered(1))
    reader = StackReader(particles_of(tmp_path, "flat.mrc", "1@stack.mrcs"))
    assert reader.read(np.arange(2)).shape == (2, 4, 4)


def test_rows_in_any_order_from_many_stacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_stacks, "MOST_OPEN_FILES", 2)
    for number in range(5):
        save(tmp_path / f"{number}.mrcs", numbered(10) + 100 * number)
    random = np.random.default_rng(1)
    where = [(int(stack), int(image)) for stack, image in random.integers(0, (5, 10), (60, 2))]
    particles = particles_of(tmp_path, *(f"{image + 1}@{stack}.mrcs" for stack, image in where))
    expected = np.array([100 * stack + image + 1 for stack, image in where], dtype=np.float32)
    reader = StackReader(particles)
    rows = random.integers(0, 60, 200)
    np.testing.assert_array_equal(reader.read(rows)[:, 1, 2], expected[rows])
    assert reader.read(np.array([], dtype=int)).shape == (0, 4, 4)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="no list of open files")
def test_stacks_do_not_stay_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_stacks, "MOST_OPEN_FILES", 2)
    names = [save(tmp_path / f"{number}.mrcs", numbered(1)).name for number in range(5)]

    def open_files() -> int:
        """Of this folder alone: what other tests left open closes whenever its rubbish is collected."""
        links = (os.path.realpath(entry) for entry in Path("/proc/self/fd").iterdir())
        return sum(Path(link).parent == tmp_path.resolve() for link in links)

    before = open_files()
    with StackReader(particles_of(tmp_path, *(f"1@{name}" for name in names))) as closed:
        closed.read(np.arange(5))
        assert open_files() == before + 2
    assert open_files() == before
    forgotten = StackReader(particles_of(tmp_path, f"1@{names[0]}"))
    forgotten.read(np.array([0]))
    del forgotten
    gc.collect()
    assert open_files() == before


@pytest.mark.parametrize("size", [1, 3, 10, 100])
def test_batches_cover_the_rows_once_and_in_order(tmp_path: Path, size: int) -> None:
    save(tmp_path / "a.mrcs", numbered(10))
    reader = StackReader(read_particles(tmp_path / "a.mrcs"))
    rows = np.array([9, 1, 4, 4, 0, 7, 3])
    parts = list(reader.batches(rows, size))
    assert max(len(part) for part, _ in parts) <= size
    np.testing.assert_array_equal(np.concatenate([part for part, _ in parts]), rows)
    np.testing.assert_array_equal(np.concatenate([images[:, 0, 0] for _, images in parts]), rows + 1)


def test_leaving_batches_early_stops_the_reader(tmp_path: Path) -> None:
    save(tmp_path / "a.mrcs", numbered(10))
    batches = StackReader(read_particles(tmp_path / "a.mrcs")).batches(np.arange(10), 2)
    next(batches)
    batches.close()
    with pytest.raises(StopIteration):
        next(batches)


def test_memory_does_not_grow_with_the_set(tmp_path: Path) -> None:
    write_stack(tmp_path / "a.mrcs", np.zeros((1200, 64, 64), dtype=np.float32))
    reader = StackReader(read_particles(tmp_path / "a.mrcs"))
    batch_bytes = 60 * 64 * 64 * 4
    tracemalloc.start()
    try:
        for _ in reader.batches(np.random.default_rng(0).permutation(1200), 60):
            pass
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * batch_bytes


def test_pixel_size_and_box(shared_data: Path) -> None:
    reader = StackReader(read_particles(shared_data / "stacks/relion_ctf_pointmass/relion_proj_batch.mrcs"))
    assert (reader.box, len(reader)) == (64, 24)
    assert reader.pixel_size == pytest.approx(3.54)
    assert StackReader(read_particles(shared_data / "stacks/slicem/mixture_2D.mrcs")).pixel_size is None


# ------------------------------------------------------------------ bad input


def test_bad_stacks_are_refused_with_their_row(tmp_path: Path) -> None:
    save(tmp_path / "a.mrcs", numbered(3))
    save(tmp_path / "wide.mrcs", numbered(3, box=6))
    save(tmp_path / "oblong.mrcs", np.zeros((2, 4, 6), dtype="f4"))
    save(tmp_path / "fourier.mrcs", np.zeros((2, 4, 4), dtype="c8"))
    whole = (tmp_path / "a.mrcs").read_bytes()
    (tmp_path / "cut.mrcs").write_bytes(whole[:-20])
    (tmp_path / "noise.mrcs").write_bytes(np.random.default_rng(0).bytes(5000))
    (tmp_path / "minus.mrcs").write_bytes(whole[:92] + np.int32(-8).tobytes() + whole[96:])
    expected = {
        "1@none.mrcs": "none.mrcs: cannot be read (No such file or directory)",
        "4@a.mrcs": "asks for image 4, but",
        "a.mrcs": "holds 3 images; name one as number@stack",
        "1@wide.mrcs": "of 6 pixels, but",
        "1@oblong.mrcs": "6 × 4 pixels are not square",
        "1@fourier.mrcs": "complex numbers",
        "1@cut.mrcs": "is truncated (2 whole images of the 3",
        "1@noise.mrcs": "is not an MRC stack",
        "1@minus.mrcs": "extended header of -8 bytes",
    }
    for name, message in expected.items():
        line = refusal(particles_of(tmp_path, "1@a.mrcs", "2@a.mrcs", name))
        assert message in line, name
        assert f"{tmp_path / 'particles.xmd'}, row 3: " in line


def test_disabled_rows_may_be_broken(tmp_path: Path) -> None:
    save(tmp_path / "a.mrcs", numbered(3))
    particles = particles_of(tmp_path, "1@none.mrcs", "2@a.mrcs", "9@a.mrcs")
    particles.enabled[[0, 2]] = False
    np.testing.assert_array_equal(StackReader(particles).read(np.array([1])), numbered(3)[1:2])
    particles.enabled[1] = False
    assert "no particles that are enabled" in refusal(particles)


def test_a_stack_that_shrinks_while_it_is_read(tmp_path: Path) -> None:
    path = save(tmp_path / "a.mrcs", numbered(3))
    reader = StackReader(read_particles(path))
    os.truncate(path, 1024 + 70)
    np.testing.assert_array_equal(reader.read(np.array([0])), numbered(1))
    with pytest.raises(InputError, match="ends before image 3"):
        reader.read(np.array([1, 2]))


# ------------------------------------------------------------------ writing


@pytest.mark.parametrize("count", [1, 3, 300])
def test_written_stacks_are_valid_and_come_back(tmp_path: Path, count: int, capsys: pytest.CaptureFixture[str]) -> None:
    images = np.random.default_rng(0).normal(size=(count, 5, 5)).astype(np.float32)
    write_stack(tmp_path / "a.mrcs", images, 1.25)
    assert mrcfile.validate(tmp_path / "a.mrcs"), capsys.readouterr().out
    reader = StackReader(read_particles(tmp_path / "a.mrcs"))
    np.testing.assert_array_equal(reader.read(np.arange(count)), images)
    assert reader.pixel_size == 1.25
    with mrcfile.open(tmp_path / "a.mrcs") as file:
        assert file.is_image_stack() == (count > 1)  # mrcfile takes one image for no stack
        assert file.header.dmax == images.max()
    assert [path.name for path in tmp_path.iterdir()] == ["a.mrcs"]


def test_xmipp_reads_written_stacks(tmp_path: Path) -> None:
    xmipp = pytest.importorskip("xmippLib")
    images = np.random.default_rng(0).normal(size=(4, 6, 6)).astype(np.float32)
    write_stack(tmp_path / "a.mrcs", images, 2.0)
    image = xmipp.Image()
    image.read(f"000003@{tmp_path / 'a.mrcs'}")
    np.testing.assert_array_equal(image.getData(), images[2])


def test_a_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    write_stack(tmp_path / "a.mrcs", numbered(2))
    with pytest.raises(ValueError, match="could not convert"):
        write_stack(tmp_path / "a.mrcs", np.full((2, 4, 4), "x"))
    assert [path.name for path in tmp_path.iterdir()] == ["a.mrcs"]
    np.testing.assert_array_equal(StackReader(read_particles(tmp_path / "a.mrcs")).read(np.arange(2)), numbered(2))
