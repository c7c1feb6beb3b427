"""The table of classes that a run ends with."""

from __future__ import annotations

import pytest

from alignpca2d_core.results.class_table import MOST_ROWS, class_table


def figures(classes: int) -> dict[str, list[object]]:
    return {
        "size": [1000 - k for k in range(classes)],
        "resolution_angstrom": [8.0 + k / 10 for k in range(classes)],
        "quality": [0.9] * classes,
        "verdict": [("good", "doubtful", "junk")[k % 3] for k in range(classes)],
    }


def test_a_line_for_each_class() -> None:
    lines = class_table(figures(4)).splitlines()
    assert lines[0].split() == ["class", "particles", "share", "resolution", "quality", "verdict"]
    assert lines[1].split() == ["1", "1,000", "25.0%", "8.0", "Å", "0.90", "good"]
    assert lines[4].split()[-1] == "good"
    assert lines[5] == "4 classes of 997 to 1,000 particles, 8.0 to 8.3 Å (median 8.2), 2 good, 1 doubtful, 1 junk"


@pytest.mark.parametrize("width", [20, 80, 200])
@pytest.mark.parametrize("classes", [26, 50, 400, 10_000])
def test_many_classes_stand_side_by_side(classes: int, width: int) -> None:
    lines = class_table(figures(classes), width).splitlines()
    assert len(lines) <= MOST_ROWS + 3
    assert max(map(len, lines[:-2])) <= max(width, 40)
    shown = sum(word in ("good", "doubtful", "junk") for line in lines[1:-1] for word in line.split())
    left = next((int(line.split()[2]) for line in lines if line.startswith("... and ")), 0)
    assert shown + left == classes


def test_what_is_not_known_is_a_dash() -> None:
    text = class_table({"size": [3, 2], "resolution_angstrom": [None, float("nan")]})
    assert text.splitlines()[1].split() == ["1", "3", "60.0%", "-", "-"]
    assert text.splitlines()[-1] == "2 classes of 2 to 3 particles"
    assert class_table({"size": [7]}).splitlines()[-1] == "1 class of 7 particles"
