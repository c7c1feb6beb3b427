"""A corpus of bad and odd input: each case ends well, with its correction stated, or in one line and exit code 2.

Never a traceback, a wait without end, half a file, or a result that is silently wrong.  With the third-party files
there are more than 600 cases; their number is printed at the end.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import mrcfile
import numpy as np
import pytest
import test_particle_set
import test_stacks
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from particle_files import BOX, CTF, SAMPLING_RATE, ParticleFiles, two_views, write_metadata

from alignpca2d_core.errors import InputError
from alignpca2d_core.io.mrc import HEADER_BYTES, read_header
from alignpca2d_core.io.particle_set import read_particles
from alignpca2d_core.io.stacks import StackReader, write_stack
from alignpca2d_core.settings import SimulationSettings

COUNT = 16
QUICK = ("--classes", "2", "--resolution", "20", "--threads", "1", "--iterations", "1", "--quiet")
RESULTS = {"particles.xmd", "classes.xmd", "classes.mrcs", "summary.json"}
SECONDS = 60
"""A case that takes longer hangs."""


@contextmanager
def limited(seconds: int) -> Iterator[None]:
    """Fail where the block takes longer; even where it waits in the kernel."""

    def fail(number: int, frame: FrameType | None) -> None:
        raise AssertionError(f"still at work after {seconds} s")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


class Corpus:
    """Runs cases and counts them."""

    def __init__(self, run_cli: Callable[..., Any], folder: Path, tally: Counter[str]) -> None:
        self._run, self._tally, self.out = run_cli, tally, folder / "out"
        self.files = ParticleFiles(folder / "input")

    def classify(self, metadata: Path | str, *options: str) -> Any:
        """Run one case and check what holds for every case."""
        with limited(SECONDS):
            outcome = self._run("classify", metadata, "-o", self.out, *QUICK, *options)
        assert outcome.code in (0, 2), outcome
        assert "Traceback" not in outcome.err
        self._tally["used" if outcome.code == 0 else "refused"] += 1
        made = {path.name for path in self.out.iterdir()} if self.out.exists() else set()
        assert not [name for name in made if ".part" in name]
        if outcome.code == 0:
            assert made >= RESULTS
        else:
            assert not made & RESULTS
            assert outcome.out == ""
            said = [line for line in outcome.err.splitlines() if not line.startswith("Warning: ")]
            assert len(said) == 1, outcome.err
        return outcome

    def refused(self, metadata: Path | str, *words: str) -> None:
        """This case must be refused, in these words."""
        outcome = self.classify(metadata)
        assert outcome.code == 2, self.summary()["warnings"]
        for word in words:
            assert word in outcome.err

    def used(self, metadata: Path | str, *options: str, warning: str | None = None) -> dict[str, Any]:
        """This case must be classified, with this warning, or with none; returns the summary."""
        outcome = self.classify(metadata, *options)
        assert outcome.code == 0, outcome.err
        warnings = self.summary()["warnings"]
        assert bool(warnings) == (warning is not None), warnings
        assert warning is None or warning in "\n".join(warnings)
        return self.summary()

    def summary(self) -> dict[str, Any]:
        return dict(json.loads((self.out / "summary.json").read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def tally(request: pytest.FixtureRequest) -> Iterator[Counter[str]]:
    """How many cases were tried, said when all are done."""
    counts: Counter[str] = Counter()
    yield counts
    with request.config.pluginmanager.get_plugin("capturemanager").global_and_fixture_disabled():
        print(f"\nBad input: {sum(counts.values())} cases tried: {dict(counts)}")


@pytest.fixture
def corpus(run_cli: Callable[..., Any], tmp_path: Path, tally: Counter[str]) -> Corpus:
    corpus = Corpus(run_cli, tmp_path, tally)
    corpus.files.write(two_views(COUNT))
    return corpus


# ------------------------------------------------------------------------------------------ third-party files


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


@pytest.mark.parametrize("name", sorted(test_particle_set.READ.keys() | test_particle_set.REFUSED.keys()))
def test_third_party_metadata(corpus: Corpus, shared_data: Path, name: str) -> None:
    """None of these has its images beside it: all are refused, and the line says why."""
    corpus.refused(shared_data / "metadata" / name, test_particle_set.REFUSED.get(name, "cannot be read"))


# ----------------------------------------------------------------------------------------------- MRC headers


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


# ------------------------------------------------------------------------------------------------- metadata

HEAD = "data_particles\nloop_\n_image\n_ctfDefocusU\n_ctfVoltage\n_ctfSphericalAberration\n_ctfQ0\n"
ROW = "{}@particles.mrcs 12000 300 2.7 0.1\n"
ROWS = "".join(ROW.format(number) for number in range(1, COUNT + 1))


def with_row(row: str) -> str:
    """Metadata whose fourth row is another."""
    lines = ROWS.splitlines(keepends=True)
    lines[3] = row + "\n"
    return HEAD + "".join(lines)


def with_column(label: str, *values: object) -> str:
    """Metadata with one more column, the values in turn."""
    lines = [f"{line} {values[number % len(values)]}\n" for number, line in enumerate(ROWS.splitlines())]
    return HEAD + f"_{label}\n" + "".join(lines)


REFUSED_TEXTS = {
    "nothing": "",
    "a line end": "\n",
    "only comments": "# nothing\n# here\n",
    "no block": "loop_\n_image\n1@particles.mrcs\n",
    "no rows": HEAD,
    "no labels": "data_particles\nloop_\n" + ROWS,
    "no image": "data_particles\nloop_\n_ctfDefocusU\n12000\n",
    "a short row": with_row("4@particles.mrcs 12000 300"),
    "a long row": with_row("4@particles.mrcs 12000 300 2.7 0.1 9"),
    "an empty name": with_row("'' 12000 300 2.7 0.1"),
    "a word for a number": with_row("4@particles.mrcs large 300 2.7 0.1"),
    "a decimal comma": with_row("4@particles.mrcs 12000,5 300 2.7 0.1"),
    "image 0": with_row("0@particles.mrcs 12000 300 2.7 0.1"),
    "image -1": with_row("-1@particles.mrcs 12000 300 2.7 0.1"),
    "image 1.5": with_row("1.5@particles.mrcs 12000 300 2.7 0.1"),
    "image beyond the stack": with_row(f"{COUNT + 1}@particles.mrcs 12000 300 2.7 0.1"),
    "image beyond any stack": with_row("9" * 30 + "@particles.mrcs 12000 300 2.7 0.1"),
    "no stack": with_row("4@ 12000 300 2.7 0.1"),
    "a stack that is not there": with_row("4@missing.mrcs 12000 300 2.7 0.1"),
    "a name without a number": with_row("particles.mrcs 12000 300 2.7 0.1"),
    "an open quote": with_row("'4@particles.mrcs 12000 300 2.7 0.1"),
    "a zero byte": with_row("4@particles.mrcs\0 12000 300 2.7 0.1"),
    "two blocks of one name": HEAD + ROWS + "\n" + HEAD + ROWS,
    "a label twice": HEAD + "_image\n" + "".join(f"{line} 1@a.mrcs\n" for line in ROWS.splitlines()),
    "everything disabled": with_column("enabled", -1),
    "two pixel sizes": with_column("samplingRate", 1, 2),
    "an unknown optics group": with_column("rlnOpticsGroup", 1, 7)
    + "\ndata_optics\nloop_\n_rlnOpticsGroup\n_rlnImagePixelSize\n1 1.0\n2 1.0\n",
    "a PNG": "\x89PNG\r\n",
    "a web page": "<!DOCTYPE html><html><body>404</body></html>",
    "JSON": '{"particles": []}',
    "a huge name": with_row("4@" + "x" * 5000 + ".mrcs 12000 300 2.7 0.1"),
    "every CTF absurd": (HEAD + ROWS).replace("12000", "1e30"),
}
USED_TEXTS = {
    "as it should be": (HEAD + ROWS, None, COUNT),
    "Windows line ends": ((HEAD + ROWS).replace("\n", "\r\n"), None, COUNT),
    "no line end at the end": ((HEAD + ROWS).rstrip("\n"), None, COUNT),
    "tabs": ((HEAD + ROWS).replace(" ", "\t"), None, COUNT),
    "a byte order mark": ("\ufeff" + HEAD + ROWS, None, COUNT),
    "comments and blank lines": ("# a\n\n" + HEAD + "# b\n" + ROWS + "\n\n# c\n", None, COUNT),
    "quoted names": (HEAD + re.sub(r"(\d+@\S+)", r"'\1'", ROWS), None, COUNT),
    "a CTF without voltage": (
        "data_particles\nloop_\n_image\n_ctfDefocusU\n" + "".join(f"{n}@particles.mrcs 9000\n" for n in range(1, 17)),
        "CTF",
        COUNT,
    ),
    "no CTF": ("data_\nloop_\n_image\n" + "".join(f"{n}@particles.mrcs\n" for n in range(1, 17)), "no CTF", COUNT),
    "identifiers twice": (with_column("itemId", 5), "identifiers", COUNT),
    "identifiers below 1": (with_column("itemId", *range(-1, 15)), "identifiers", COUNT),
    "identifiers that are words": (with_column("itemId", "a", "b"), "identifiers", COUNT),
    "one row disabled": (with_column("enabled", -1, *[1] * 15), None, COUNT - 1),
    "pixel sizes almost alike": (with_column("samplingRate", 5, 5.05), "pixel sizes", COUNT),
    "a pixel size of zero": (with_column("samplingRate", 0), "pixel size", COUNT),
    "an infinite pixel size": (with_column("samplingRate", "inf"), "pixel size", COUNT),
    "a defocus of NaN": (with_row("4@particles.mrcs nan 300 2.7 0.1"), "CTF of 1 rows", COUNT - 1),
    "a defocus of infinity": (with_row("4@particles.mrcs inf 300 2.7 0.1"), "CTF of 1 rows", COUNT - 1),
    "an absurd defocus": (with_row("4@particles.mrcs 1e9 300 2.7 0.1"), "CTF of 1 rows", COUNT - 1),
    "no voltage": (with_row("4@particles.mrcs 12000 0 2.7 0.1"), "CTF of 1 rows", COUNT - 1),
    "a negative voltage": (with_row("4@particles.mrcs 12000 -300 2.7 0.1"), "CTF of 1 rows", COUNT - 1),
    "an absurd voltage": (with_row("4@particles.mrcs 12000 300000 2.7 0.1"), "CTF of 1 rows", COUNT - 1),
    "an absurd spherical aberration": (with_row("4@particles.mrcs 12000 300 2.7e7 0.1"), "CTF of 1 rows", COUNT - 1),
    "an amplitude contrast of 7": (with_row("4@particles.mrcs 12000 300 2.7 7"), "CTF of 1 rows", COUNT - 1),
    "an image twice": (with_row("3@particles.mrcs 12000 300 2.7 0.1"), "more than once", COUNT),
    "micrometres of defocus": ((HEAD + ROWS).replace("12000", "1.2"), "if they are not in Å", COUNT),
}


@pytest.mark.parametrize("name", REFUSED_TEXTS)
def test_metadata_that_is_refused(corpus: Corpus, name: str) -> None:
    corpus.files.metadata.write_text(REFUSED_TEXTS[name], encoding="utf-8", newline="")
    corpus.refused(corpus.files.metadata, "particles")


@pytest.mark.parametrize("name", USED_TEXTS)
def test_metadata_that_is_put_right(corpus: Corpus, name: str) -> None:
    text, warning, classified = USED_TEXTS[name]
    corpus.files.metadata.write_text(text, encoding="utf-8", newline="")
    assert corpus.used(corpus.files.metadata, warning=warning)["counts"]["classified"] == classified


# ---------------------------------------------------------------------------------------------------- paths


@pytest.mark.parametrize(
    "name",
    ["two words", "it's", 'the "best"', "Überstruktur β₂", "a@b", "#1", "$HOME;ls", "-o", "per%cent", "back\\slash"],
)
def test_names_of_every_kind(corpus: Corpus, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    files = ParticleFiles(tmp_path / name)
    files.folder.mkdir()
    write_stack(files.folder / f"{name}.mrcs", two_views(COUNT), SAMPLING_RATE)
    mark = '"' if "'" in name else "'"
    rows = "".join(f"{mark}{number}@{name}.mrcs{mark} 12000 300 2.7 0.1\n" for number in range(1, COUNT + 1))
    files.metadata.write_text(HEAD + rows, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    corpus.out = tmp_path / f"{name} out"
    assert corpus.used(files.metadata)["counts"]["classified"] == COUNT
    names = read_particles(corpus.out / "particles.xmd").stacks
    assert [path.is_file() for path in names] == [True]


def linked(corpus: Corpus, folder: Path) -> Path:
    link = folder / "link.xmd"
    link.symlink_to(corpus.files.metadata)
    return link


def relative(corpus: Corpus, folder: Path) -> Path:
    return Path(os.path.relpath(corpus.files.metadata, folder))


@pytest.mark.parametrize("kind", [linked, relative])
def test_paths_that_lead_there(
    corpus: Corpus, tmp_path: Path, kind: Callable[[Corpus, Path], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_metadata(corpus.files.metadata, [f"{n}@{corpus.files.stack}" for n in range(1, COUNT + 1)], CTF)
    assert corpus.used(kind(corpus, tmp_path))["counts"]["classified"] == COUNT


def a_pipe(folder: Path) -> Path:
    os.mkfifo(folder / "pipe")
    return folder / "pipe"


def a_socket(folder: Path) -> Path:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(folder / "s"))
    return folder / "s"


def a_loop_of_links(folder: Path) -> Path:
    (folder / "loop").symlink_to(folder / "loop")
    return folder / "loop"


def a_link_to_nothing(folder: Path) -> Path:
    (folder / "dangling").symlink_to(folder / "nothing")
    return folder / "dangling"


NO_FILES: dict[str, Callable[[Path], Path]] = {
    "missing": lambda folder: folder / "missing",
    "a folder": lambda folder: folder,
    "below a file": lambda folder: folder / "input" / "particles.mrcs" / "below",
    "a pipe": a_pipe,
    "a socket": a_socket,
    "a device": lambda _: Path("/dev/zero"),
    "the null device": lambda _: Path("/dev/null"),
    "a loop of links": a_loop_of_links,
    "a link to nothing": a_link_to_nothing,
    "too long a name": lambda folder: folder / ("x" * 300),
}


@pytest.mark.parametrize("kind", NO_FILES)
def test_paths_that_are_no_files(corpus: Corpus, kind: str) -> None:
    """As metadata, as a bare stack, and as a stack that metadata names."""
    with pytest.MonkeyPatch.context() as patch:
        folder = corpus.files.folder.parent
        patch.chdir(folder)
        path = NO_FILES[kind](folder)
        corpus.refused(path)
        link = folder / "as_a_stack.mrcs"
        link.symlink_to(path)
        corpus.refused(link)
        corpus.refused(write_metadata(corpus.files.metadata, [f"1@{path}"], CTF))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_files_without_permission(corpus: Corpus) -> None:
    corpus.files.stack.chmod(0)
    corpus.refused(corpus.files.metadata, "Permission denied")
    corpus.files.metadata.chmod(0)
    corpus.refused(corpus.files.metadata, "Permission denied")


# ------------------------------------------------------------------------------------------- any bytes at all


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_damage_to_metadata(tmp_path_factory: pytest.TempPathFactory, tally: Counter[str], data: Any) -> None:
    """A piece of good metadata replaced by any text: read as something, or refused in one line."""
    text = (HEAD + ROWS).encode()
    start = data.draw(st.integers(0, len(text)))
    stop = data.draw(st.integers(start, min(len(text), start + 60)))
    alphabet = st.sampled_from([*b" \t\n\r'\"#_@;data_loop_0123456789.-+eE", 0, 255, 200])
    piece = bytes(data.draw(st.lists(alphabet, max_size=20)))
    path = tmp_path_factory.getbasetemp() / "damaged.xmd"
    path.write_bytes(text[:start] + piece + text[stop:])
    tally["damaged metadata"] += 1
    try:
        particles = read_particles(path)
    except InputError as error:
        assert "\n" not in str(error)
        assert "damaged.xmd" in str(error)
    else:
        assert len(particles) == len(particles.ids) == len(particles.enabled) == len(set(particles.ids.tolist()))
        assert particles.index_in_stack.min() >= 0


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


OPTIONS = ("classes", "resolution", "variance", "sampling-rate", "batch-size", "initial-particles", "iterations")
OPTIONS += ("mask-diameter", "seed", "threads", "ctf", "preset", "device", "references", "revisit")


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    option=st.sampled_from(OPTIONS),
    value=st.one_of(st.integers().map(str), st.floats().map(str), st.text(st.characters(codec="utf-8"), max_size=12)),
)
def test_any_value_of_any_option(
    run_cli: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory, tally: Counter[str], option: str, value: str
) -> None:
    """There is no input, so every run is refused: by the option, or for want of its input."""
    folder = tmp_path_factory.getbasetemp()
    tally["options"] += 1
    outcome = run_cli("classify", folder / "none.xmd", "-o", folder / "never", f"--{option}={value}", "--quiet")
    assert outcome.code == 2
    assert len(outcome.err.strip().splitlines()) == 1
    assert option in outcome.err or "none.xmd" in outcome.err
    assert not (folder / "never").exists()


@settings(max_examples=100, deadline=None)
@given(values=st.dictionaries(st.sampled_from(["particles", "views", "box", "snr", "defocus_min"]), st.floats()))
def test_any_numbers_for_a_simulation(values: dict[str, float]) -> None:
    """Bounds hold for NaN and infinity too."""
    try:
        made = SimulationSettings(**values)
    except InputError as error:
        assert "\n" not in str(error)
    else:
        assert all(np.isfinite(value) for name, value in values.items() if name not in ("snr", "particles"))
        assert made.box >= 16
