"""Choices of classes as files: one format for windows, report and program."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from alignpca2d_core.choosing.selection import read_selection as core_reads

pytest.importorskip("pwem", reason="Scipion is not installed")
pytestmark = pytest.mark.scipion

from alignpca2d_plugin.protocols.selection_files import (  # noqa: E402
    numbers_in,
    read_selection,
    save_numbers,
    write_selection,
)


def test_what_windows_write_the_program_reads_and_each_choice_is_another_version(tmp_path: Path) -> None:
    folder = str(tmp_path)
    assert read_selection(folder) == (0, frozenset())
    for version, numbers in enumerate(({3, 1}, {2}), start=1):
        write_selection(folder, numbers)
        assert read_selection(folder) == (version, numbers)
        found = core_reads(tmp_path / "selection.json")
        assert (found.version, found.classes) == (version, numbers)


def test_what_the_report_saves_the_windows_load(tmp_path: Path) -> None:
    path = tmp_path / "downloaded.json"
    path.write_text('{"version":4,"classes":[2,9]}\n', encoding="utf-8")
    assert numbers_in(str(path)) == {2, 9}
    save_numbers(str(path), {5, 1})
    assert json.loads(path.read_text(encoding="utf-8")) == {"version": 1, "classes": [1, 5]}
    assert [one.name for one in tmp_path.iterdir()] == ["downloaded.json"]


@pytest.mark.parametrize("text", ["", "[1]", "{}", '{"classes": 3}', '{"classes": ["a"]}', "\0"])
def test_other_files_are_named_and_choose_nothing(tmp_path: Path, text: str) -> None:
    path = tmp_path / "selection.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"selection\.json is no selection\.json"):
        numbers_in(str(path))
    assert read_selection(str(tmp_path)) == (0, frozenset())
    with pytest.raises(ValueError, match="cannot be read"):
        numbers_in(str(tmp_path / "absent.json"))
