"""Bad and odd metadata: each case ends well, with its correction stated, or in one line and exit code 2."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from bad_input import COUNT, HEAD, ROWS, Corpus
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from star_files import READ, REFUSED

from alignpca2d_core.errors import InputError
from alignpca2d_core.io.particle_reading import read_particles


@pytest.mark.parametrize("name", sorted(READ.keys() | REFUSED.keys()))
def test_third_party_metadata(corpus: Corpus, shared_data: Path, name: str) -> None:
    """None of these has its images beside it: all are refused, and the line says why."""
    corpus.refused(shared_data / "metadata" / name, REFUSED.get(name, "cannot be read"))


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
