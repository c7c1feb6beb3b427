"""Scipion's own table of classes: what can be sorted in it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from test_plugin_streaming import Pointer, write_tables

pytest.importorskip("pwem", reason="Scipion is not installed")
pytestmark = [pytest.mark.scipion, pytest.mark.usefixtures("in_folder")]

FIGURES = {"verdict": ["good", "junk", "doubtful"], "score_mean": [3.0, 0.5, 7.0]}


@pytest.mark.parametrize(
    ("column", "ascending", "expected"),
    [
        ("_alignpca2d_verdict", True, [3, 1, 2]),
        ("_alignpca2d_score", False, [3, 1, 2]),
        ("_alignpca2d_resolution", False, [3, 2, 1]),
        ("_size", True, [3, 2, 1]),
    ],
)
def test_classes_sort_by_what_is_known_of_them(
    make_set: Callable[..., Any], column: str, ascending: bool, expected: list[int]
) -> None:
    """By the reader of Scipion's metadata viewer; the columns are those that the table of classes opens with."""
    pytest.importorskip("metadataviewer", reason="the metadata viewer is not installed")
    from pwem.objects import SetOfClasses2D
    from pwem.viewers.mdviewer.sqlite_dao import ScipionSetsDAO

    from alignpca2d_plugin.class_sets import write_classes
    from alignpca2d_plugin.viewers.viewer_alignpca2d import FiguresView

    write_tables({i: 1 if i < 10 else 2 if i < 15 else 3 for i in range(1, 18)}, [], 0.0)
    Path("summary.json").write_text(json.dumps({"classes": FIGURES}))
    write_classes("classes.sqlite", Pointer(make_set(range(1, 18))).pointer, ".")
    reader = ScipionSetsDAO("classes.sqlite")
    next(reader.iterTable("Objects", classes="Classes"))  # it learns the columns' names from what it reads
    order = {"orderBy": column, "mode": "ASC" if ascending else "DESC"}
    assert [row["id"] for row in reader.iterTable("Objects", classes="Classes", **order)] == expected
    view = FiguresView.__new__(FiguresView)
    view._emSet = SetOfClasses2D()
    assert column in view.getVisibleAndOrderLabels()[0].split()
