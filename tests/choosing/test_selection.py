"""Choices of classes by number: what is read, what is refused, and what an export then holds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report_files import results

from alignpca2d_core.choosing.selection import Selection, read_selection, selection_of
from alignpca2d_core.errors import InputError
from alignpca2d_core.io.particle_reading import read_particles

Run = Callable[..., Any]


@pytest.mark.parametrize(
    ("text", "classes"),
    [("3", {3}), ("1,4-9", {1, *range(4, 10)}), (" 2 , 2-3 ", {2, 3}), ("7-7", {7})],
)
def test_numbers_and_ranges(text: str, classes: set[int]) -> None:
    assert selection_of(text).classes == classes


def test_verdicts() -> None:
    verdicts = ["good", "junk", "doubtful", "good"]
    assert selection_of("good", verdicts).classes == {1, 4}
    assert selection_of("doubtful, junk", verdicts).classes == {2, 3}
    with pytest.raises(InputError, match=r"^--classes junk: no class has that verdict$"):
        selection_of("junk", ["good"], "--classes")


@pytest.mark.parametrize("text", ["", "1,,2", "9-4", "-3", "4-", "1-99999999999", ","])
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"--select") as refused:
        selection_of(text)
    assert "\n" not in str(refused.value)


def test_a_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "1"  # a name that is a number is reached by its path
    path.write_text('{"version": 5, "classes": [4, 2]}', encoding="utf-8")
    found = selection_of(str(path))
    assert (found.version, found.classes) == (5, {2, 4})
    path.write_text('{"classes": [4]}', encoding="utf-8")
    assert read_selection(path) == Selection(frozenset({4}), 1, str(path))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "no selection.json"),
        ("[1, 2]", "no list of numbers"),
        ('{"classes": ["a"]}', "no list of numbers"),
        ('{"classes": [true]}', "no list of numbers"),
        ('{"classes": []}', "no class is chosen"),
        ("\ufffe", "no selection.json"),
    ],
)
def test_other_files_are_refused_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "selection.json"
    path.write_bytes(text.encode("utf-16") if text == "\ufffe" else text.encode())
    with pytest.raises(InputError, match=said) as refused:
        read_selection(path)
    assert "selection.json" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_mask_of_classes_and_numbers_that_are_not_there() -> None:
    assert selection_of("1,3").mask(4).tolist() == [True, False, True, False]
    with pytest.raises(InputError, match=r"class 5 is not there; the results have 1 to 4"):
        selection_of("1,5").mask(4)
    with pytest.raises(InputError, match=r"classes 0, 6, 7 are not there"):
        selection_of("0,6-7").mask(4)


def test_exports_hold_the_particles_of_the_classes_asked_for(tmp_path: Path, run_cli: Run) -> None:
    out = results(tmp_path, classes=6, particles=120)
    assert run_cli("export", out, "--select", "2,4-5").code == 0
    whole = read_particles(out / "particles.xmd").table["ref"]
    exported = read_particles(out / "particles.star").table["rlnClassNumber"]
    assert sorted(exported) == sorted(whole[np.isin(whole, [2, 4, 5])])


def test_exports_refuse_in_one_line(tmp_path: Path, run_cli: Run) -> None:
    out = results(tmp_path, classes=6, particles=120)
    for words, said in (
        (("--select", "7"), "class 7 is not there; the results have 1 to 6"),
        (("--select", out / "nothing.json"), "No such file"),
        (("--select", "1", "--good"), "--good and --select: give one of them"),
    ):
        outcome = run_cli("export", out, *words)
        assert outcome.code == 2
        assert said in outcome.err
        assert len(outcome.err.splitlines()) == 1
    assert not (out / "particles.star").exists()
