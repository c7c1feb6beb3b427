"""Bad and odd stacks: each case ends well, with its correction stated, or in one line and exit code 2.

Never a traceback, a wait without end, half a file, or a result that is silently wrong.
"""

from __future__ import annotations

import struct
from collections import Counter
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import pytest
import test_stacks
from bad_input import COUNT, Corpus
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from particle_files import BOX, CTF, SAMPLING_RATE, ParticleFiles, two_views, write_metadata

from alignpca2d_core.errors import InputError
from alignpca2d_core.io.mrc import HEADER_BYTES, read_header
from alignpca2d_core.io.particle_reading import read_particles
from alignpca2d_core.io.stacks import StackReader, write_stack


@pytest.mark.parametrize("name", sorted(test_stacks.READ.keys() | test_stacks.REFUSED.keys()))
def test_third_party_stacks(corpus: Corpus, shared_data: Path, name: str) -> None:
    """As bare stacks, and named in metadata; those that are no MRC, and those too small, are refused."""
    path = shared_data / "badmrc" / name
    if name in test_stacks.READ and path.suffix in (".mrc", ".mrcs", ".map"):
        count, box = test_stacks.READ[name]
        outcome = corpus.classify(path, "--sampling-rate", "5", "--resolution", str(5 * box / 6))
        if box < 16 or count < 2:
            assert outcome.code == 2
        else:
            assert outcome.code == 0, outcome.err
            assert corpus.summary()["counts"]["particles"] == count
    else:
        corpus.refused(path, path.name)
        corpus.refused(write_metadata(corpus.files.metadata, [f"1@{path}"], CTF), path.name)


def stored(images: Any, mode: int) -> Any:
    """Images in the numbers of an MRC mode, scaled to use its range."""
    scale = {0: 20, 1: 3000, 2: 1, 6: 3000, 12: 1}[mode]
    offset = 6 * scale if mode == 6 else 0
    kind = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}[mode]
    return np.clip(images * scale + offset, *((-128, 127) if mode == 0 else (-6e4, 6e4))).astype(kind)


def swapped(path: Path) -> None:
    """Turn the byte order of a file of ours."""
    with mrcfile.open(path) as file:
        kind = file.data.dtype
    raw = path.read_bytes()
    words = np.frombuffer(raw[:HEADER_BYTES], "<u4").astype(">u4")
    words[26] = np.frombuffer(raw[104:108], ">u4")[0]  # four single bytes: "MAP "
    words[53] = 0x11110000
    pixels = np.frombuffer(raw[HEADER_BYTES:], kind.newbyteorder("<"))
    path.write_bytes(words.tobytes() + pixels.astype(kind.newbyteorder(">")).tobytes())


@pytest.mark.parametrize("order", ["little", "big"])
@pytest.mark.parametrize("mode", [0, 1, 2, 6, 12])
def test_every_mode_and_byte_order_gives_the_same_classes(corpus: Corpus, mode: int, order: str) -> None:
    # At twice the noise three of 32 sets like it had particles in the wrong class, in floats as in bytes.
    images = two_views(COUNT, noise=0.25) * 2
    numbers = stored(images, mode)
    with mrcfile.new(corpus.files.stack, numbers, overwrite=True) as file:
        file.set_image_stack()
        file.voxel_size = SAMPLING_RATE
    if order == "big":
        swapped(corpus.files.stack)
    with StackReader(read_particles(corpus.files.metadata)) as reader:
        np.testing.assert_array_equal(reader.read(np.arange(COUNT)), numbers.astype(np.float32))
    assert corpus.used(corpus.files.metadata)["counts"]["classified"] == COUNT
    refs = read_particles(corpus.out / "particles.xmd").table["ref"]
    assert len({*refs[::2]}) == len({*refs[1::2]}) == 1
    assert refs[0] != refs[1]


HEADERS: dict[str, tuple[int, int]] = {
    **{f"mode {mode}": (3, mode) for mode in (3, 4, 5, 7, 8, 13, 16, 101, 102, -1, 1 << 30)},
    **{f"{size} columns": (0, size) for size in (0, -1, 1, BOX - 1, 1 << 14, (1 << 31) - 1)},
    **{f"{size} rows": (1, size) for size in (0, -5, BOX + 1, 1 << 20)},
    **{f"{size} sections": (2, size) for size in (0, -1, COUNT + 1, 1 << 20, (1 << 31) - 1)},
    **{f"{size} bytes of extended header": (23, size) for size in (-1, 4, 1 << 20, (1 << 31) - 1, -(1 << 31))},
}


@pytest.mark.parametrize("word", HEADERS)
def test_headers_that_lie_are_refused(corpus: Corpus, word: str) -> None:
    place, value = HEADERS[word]
    with corpus.files.stack.open("r+b") as file:
        file.seek(4 * place)
        file.write(struct.pack("<i", value))
    corpus.refused(corpus.files.metadata, "particles.mrcs")
    corpus.refused(corpus.files.stack, "particles.mrcs")


def test_both_dimensions_wrong(corpus: Corpus) -> None:
    """A header of smaller images than the file has cannot be told from one of a file with more behind it."""
    with corpus.files.stack.open("r+b") as file:
        file.write(struct.pack("<ii", 2 * BOX, 2 * BOX))
    corpus.refused(corpus.files.metadata, "truncated")


@pytest.mark.parametrize("field", [(28, 0.0), (40, float("nan")), (40, -3.0), (40, 1e30), (40, 0.0)])
def test_a_pixel_size_that_makes_no_sense_must_be_given(corpus: Corpus, field: tuple[int, float]) -> None:
    place, value = field
    with corpus.files.stack.open("r+b") as file:
        file.seek(place)
        file.write(struct.pack("<f", value))
    corpus.refused(corpus.files.metadata, "--sampling-rate")


def test_truncated_at_random_bytes(corpus: Corpus) -> None:
    whole = corpus.files.stack.read_bytes()
    for length in np.random.default_rng(0).integers(0, len(whole), 40).tolist():
        corpus.files.stack.write_bytes(whole[:length])
        corpus.refused(corpus.files.metadata, "particles.mrcs")


def test_bytes_behind_the_last_image_are_no_images(corpus: Corpus) -> None:
    with corpus.files.stack.open("ab") as file:
        file.write(b"\xff" * 5000)
    assert corpus.used(corpus.files.metadata)["counts"]["classified"] == COUNT


# --------------------------------------------------------------------------------------------------- pixels


def put(files: ParticleFiles, images: Any) -> None:
    """The pixels as they are, in place of those there: mrcfile would stumble over their statistics."""
    with files.stack.open("r+b") as file:
        file.seek(HEADER_BYTES)
        file.write(np.asarray(images, dtype="<f4").tobytes())


def spoilt(kind: str) -> tuple[Any, list[int]]:
    """Images, and which of them cannot be used."""
    images = two_views(COUNT)
    bad = [1, 4, 5, 11]
    values = {"NaN": np.nan, "infinity": np.inf, "minus infinity": -np.inf}
    if kind in values:
        images[bad, 3, 7] = values[kind]
    elif kind == "largest float":
        images[bad, ::2] = np.finfo(np.float32).max
        images[bad, 1::2] = -np.finfo(np.float32).max
    else:
        images[bad] = {"zero": 0.0, "constant": 7.25, "constant and large": 3e38, "tiny": 1e-45}[kind]
    return images, bad


PIXELS = ["NaN", "infinity", "minus infinity", "largest float", "zero", "constant", "constant and large", "tiny"]


@pytest.mark.parametrize("kind", PIXELS)
def test_bad_images_are_set_aside_and_counted(corpus: Corpus, kind: str) -> None:
    images, bad = spoilt(kind)
    put(corpus.files, images)
    found = corpus.used(corpus.files.metadata, warning=f"{len(bad)} particles set aside")
    assert found["counts"]["unusable"] == len(bad)
    back = read_particles(corpus.out / "particles.xmd")
    np.testing.assert_array_equal(np.flatnonzero(~back.enabled), bad)
    assert np.isfinite(back.table["anglePsi"]).all()
    with StackReader(read_particles(corpus.out / "classes.mrcs")) as reader:
        assert np.isfinite(reader.read(np.arange(2))).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0, 1.0, -3e38])
def test_nothing_but_bad_images_is_refused(corpus: Corpus, value: float) -> None:
    put(corpus.files, np.full((COUNT, BOX, BOX), value, dtype=np.float32))
    corpus.refused(corpus.files.metadata, "no image can be used")


@pytest.mark.parametrize("scale", [1e-30, 1e-20, 1e15, 1e30])
def test_any_grey_scale(corpus: Corpus, scale: float) -> None:
    put(corpus.files, two_views(COUNT) * scale)
    assert corpus.used(corpus.files.metadata)["counts"]["classified"] == COUNT


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=st.lists(st.tuples(st.integers(0, 255), st.integers(-(1 << 31), (1 << 31) - 1)), min_size=1, max_size=4))
def test_any_damage_to_a_header(
    tmp_path_factory: pytest.TempPathFactory, tally: Counter[str], words: list[tuple[int, int]]
) -> None:
    """What the header then promises is in the file, or the file is refused in one line."""
    path = tmp_path_factory.getbasetemp() / "damaged.mrcs"
    write_stack(path, np.ones((3, 8, 8), dtype=np.float32), 2.0)
    with path.open("r+b") as file:
        for place, value in words:
            file.seek(4 * place)
            file.write(struct.pack("<i", value))
    tally["damaged headers"] += 1
    try:
        header = read_header(path)
    except InputError as error:
        assert "\n" not in str(error)
    else:
        assert header.offset + header.count * header.image_bytes <= path.stat().st_size
        with StackReader(read_particles(path)) as reader:
            assert reader.read(np.arange(header.count)).shape == (header.count, header.box, header.box)
