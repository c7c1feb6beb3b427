"""The gallery of Analyze results: order, choice, and what it shows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import pytest

pytest.importorskip("pwem", reason="Scipion is not installed")
pytestmark = pytest.mark.scipion


def tile(number: int, size: int, verdict: str, resolution: float = 9.0, score: float | None = None) -> Any:
    from alignpca2d_plugin.viewers.gallery_content import Tile

    return Tile(number, np.zeros((8, 8), np.uint8), size, resolution, verdict, score)


TILES = [
    (1, 90, "junk", 8.0, 50.0),
    (2, 60, "good", 9.0, 10.0),
    (3, 50, "doubtful", 12.0, 30.0),
    (4, 70, "good", 8.5, 9.0),
]


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("Verdict", [4, 2, 3, 1]),
        ("Size", [4, 2, 3, 1]),
        ("Resolution", [4, 2, 3, 1]),
        ("Score", [3, 2, 4, 1]),
        ("Number", [1, 2, 3, 4]),
    ],
)
def test_junk_comes_last_in_the_gallery(order: str, expected: list[int]) -> None:
    from alignpca2d_plugin.viewers.gallery_content import ORDERS

    assert [one.number for one in sorted((tile(*about) for about in TILES), key=ORDERS[order])] == expected


def test_good_classes_are_chosen_until_others_are() -> None:
    """Of a stream the good ones may become others; what was chosen by hand stays with its numbers."""
    from alignpca2d_plugin.viewers.gallery_content import Choice

    choice = Choice([tile(*about) for about in TILES])
    assert choice.numbers == {2, 4}
    assert choice.particles() == (130, pytest.approx(130 / 270))
    choice.follow([tile(1, 200, "good"), tile(2, 60, "junk"), tile(3, 50, "good")])
    assert choice.numbers == {1, 3}
    choice.toggle(3)
    choice.toggle(2)
    choice.follow([tile(2, 60, "junk"), tile(3, 500, "good"), tile(4, 1, "good")])
    assert choice.numbers == {2}
    choice.inverse()
    assert choice.numbers == {3, 4}
    choice.put({4, 77})
    assert choice.numbers == {4}
    choice.everything()
    assert choice.numbers == {2, 3, 4}
    choice.good()
    choice.follow([tile(5, 9, "good")])
    assert choice.numbers == {5}
    assert Choice().particles() == (0, 0.0)


def test_a_choice_can_be_undone_and_survives_an_empty_class() -> None:
    from alignpca2d_plugin.viewers.gallery_content import Choice

    choice = Choice([tile(*about) for about in TILES], numbers={3, 4})  # as it was delivered before
    assert choice.numbers == {3, 4}
    choice.undo()
    assert choice.numbers == {3, 4}
    choice.nothing()
    choice.toggle(2)
    choice.good()
    for expected in ({2, 4}, {2}, set(), {3, 4}, {3, 4}):
        assert choice.numbers == expected
        choice.undo()
    choice.follow([tile(4, 5, "junk")])  # class 3 has no particles for a batch
    assert choice.numbers == {4}
    choice.toggle(4)
    choice.follow([tile(*about) for about in TILES])
    assert choice.numbers == {3}


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({}, {1, 2, 3, 4, 5}),
        ({"particles": 60}, {1, 2, 4}),
        ({"resolution": 9.0}, {1, 2, 4, 5}),
        ({"score": 10.0}, {1, 2, 3}),
        ({"verdicts": ["good"]}, {2, 4, 5}),
        ({"particles": 60, "resolution": 8.5, "verdicts": ["good", "doubtful"]}, {4}),
    ],
)
def test_limits_choose_the_classes_that_miss_none(limits: dict[str, Any], expected: set[int]) -> None:
    from alignpca2d_plugin.viewers.gallery_content import within

    tiles = [*(tile(*about) for about in TILES), tile(5, 1, "")]  # before verdicts and scores were given
    assert within(tiles, **limits) == expected


def test_the_gallery_shows_what_the_core_has_written(tmp_path: Path) -> None:
    """Averages in their places, bright on dark, each filtered by its own FRC; empty classes are left out."""
    from alignpca2d_plugin.viewers.gallery_content import read_tiles

    box, rows = 32, [(1, 30, 9.5), (2, 0, 40.0), (3, 20, 12.0)]
    x, y = np.meshgrid(*2 * [np.arange(box) - box // 2])
    discs = np.stack([np.hypot(x - shift, y) < 5 for shift in (-6, 0, 6)])
    noise = np.random.default_rng(0).normal(size=discs.shape)
    with mrcfile.new(tmp_path / "classes.mrcs") as stack:
        stack.set_data((3 * discs + noise).astype(np.float32))
        stack.set_image_stack()
    table = "".join(f" {ref} {ref:06d}@classes.mrcs {size} {angstrom} 0.5\n" for ref, size, angstrom in rows)
    labels = "".join(f" _{label}\n" for label in ("ref", "image", "classCount", "resolutionFRC", "fom"))
    (tmp_path / "classes.xmd").write_text(f"data_classes\nloop_\n{labels}{table}")
    curve = [1.0] * 6 + [0.0] * 11
    figures = {"verdict": ["good", "junk", "junk"], "frc": [curve] * 3, "score_mean": [7.0, 0.0, 1.0]}
    (tmp_path / "summary.json").write_text(json.dumps({"classes": figures}))
    first, last = read_tiles(str(tmp_path))
    assert (first.number, first.size, first.resolution, first.verdict, first.score) == (1, 30, 9.5, "good", 7.0)
    assert (last.number, last.verdict) == (3, "junk")
    for one, disc in ((first, discs[0]), (last, discs[2])):
        assert one.image.dtype == np.uint8
        assert np.corrcoef(one.image.ravel(), disc.ravel())[0, 1] > 0.8
        spectrum = np.abs(np.fft.rfft2(one.image.astype(float)))
        assert spectrum[10:-10].max() < 0.05 * spectrum[:5, 1:5].max()  # beyond the last ring that agrees
    (tmp_path / "summary.json").unlink()
    assert [one.verdict for one in read_tiles(str(tmp_path))] == ["", ""]
    assert read_tiles(str(tmp_path))[0].score is None
