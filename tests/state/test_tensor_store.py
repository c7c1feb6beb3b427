"""The state of a run: what is saved comes back; what is damaged or foreign is refused in one line."""

from __future__ import annotations

import gc
import json
import pickle
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from alignpca2d_core.errors import InputError
from alignpca2d_core.state.tensor_schema import Entry
from alignpca2d_core.state.tensor_store import HEADER, State, complex_key

FINGERPRINT: dict[str, Any] = {"input": "a.xmd", "number of particles": 12, "classes": 3, "seed": 0, "list": (1, 2)}


def tensors() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        complex_key("total"): torch.randn(2, 3, 5, dtype=torch.complex64, generator=generator),
        "weight": torch.rand(2, 3, generator=generator),
        "classes": torch.arange(7),
        "usable": torch.tensor([True, False]),
        "empty": torch.zeros(0, 4),
        "turned": torch.rand(3, 4, generator=generator).T,
        "generator": generator.get_state(),
    }


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    State(tmp_path, FINGERPRINT).save("matches", tensors())
    return tmp_path


def refusal(directory: Path, **changes: Any) -> str:
    with pytest.raises(InputError) as caught:
        State(directory, {**FINGERPRINT, **changes}).load("matches")
    message = str(caught.value)
    assert "\n" not in message
    assert "matches" in message
    assert "--resume" in message
    return message


def test_everything_comes_back(saved: Path) -> None:
    found = State(saved, FINGERPRINT).load("matches")
    assert found is not None
    wanted = tensors()
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert found[name].dtype == value.dtype
        assert torch.equal(found[name], value), name
    restored = torch.Generator()
    restored.set_state(found["generator"])
    original = torch.Generator()
    original.set_state(wanted["generator"])
    assert torch.equal(torch.rand(5, generator=restored), torch.rand(5, generator=original))


def test_nothing_saved_is_no_error(tmp_path: Path) -> None:
    assert State(tmp_path, FINGERPRINT).load("matches") is None


def test_a_hundred_sets_leave_nothing_in_memory(tmp_path: Path) -> None:
    """A process that takes in batch after batch, each of another length, saves and loads as often."""
    state = State(tmp_path, FINGERPRINT)

    def save_and_load(lengths: range) -> None:
        for length in lengths:
            state.save("batch", {name: torch.zeros(length, 2) for name in "abcdefg"})
            state.load("batch")

    save_and_load(range(1, 20))
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        save_and_load(range(20, 120))
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 500 * 100, "bytes; an array type kept for each length takes 600,000"


def test_saving_again_replaces(saved: Path) -> None:
    state = State(saved, FINGERPRINT)
    state.save("matches", {"classes": torch.tensor([5])})
    found = state.load("matches")
    assert found is not None
    assert list(found) == ["classes"]
    assert found["classes"].tolist() == [5]


def test_the_folder_holds_no_pickles_and_nothing_else(saved: Path) -> None:
    assert [p.name for p in (saved / "state").iterdir()] == ["matches.safetensors"]
    with safe_open(saved / "state" / "matches.safetensors", framework="pt") as file:
        header = json.loads(file.metadata()[HEADER])
    assert header["fingerprint"]["classes"] == 3


def test_a_pickle_in_its_place_is_not_run(saved: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (saved / "sprung",)

    for content in (pickle.dumps(Trap()), b""):
        (saved / "state" / "matches.safetensors").write_bytes(content)
        assert "damaged" in refusal(saved)
    torch.save({"weight": torch.zeros(1), "trap": Trap()}, saved / "state" / "matches.safetensors")
    assert "damaged" in refusal(saved)
    assert not (saved / "sprung").exists()


@pytest.mark.parametrize("kept", [0, 4, 60, -1])
def test_truncated_tensors_are_refused(saved: Path, kept: int) -> None:
    path = saved / "state" / "matches.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    assert "damaged" in refusal(saved)


def test_no_damaged_byte_goes_unnoticed(saved: Path) -> None:
    """Every byte of the file in turn: header, names, shapes and values."""
    path = saved / "state" / "matches.safetensors"
    whole = path.read_bytes()
    for place in range(0, len(whole), 1 if len(whole) < 3000 else 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x15]) + whole[place + 1 :])
        refusal(saved)
    path.write_bytes(whole)
    assert State(saved, FINGERPRINT).load("matches") is not None


@pytest.mark.parametrize(
    "header", [None, "", "{", "[1]", "7", "null", '"text"', '{"version": 2}', '{"version": 2, "fingerprint": 3}']
)
def test_damaged_headers_are_refused(saved: Path, header: str | None) -> None:
    metadata = None if header is None else {HEADER: header}
    save_file({"a": torch.zeros(1)}, saved / "state" / "matches.safetensors", metadata=metadata)
    refusal(saved)


def test_another_version_is_refused(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alignpca2d_core.state.tensor_store.VERSION", 999)
    State(saved, FINGERPRINT).save("matches", tensors())
    monkeypatch.undo()
    assert "version" in refusal(saved)


FITTING = {
    complex_key("total"): Entry(torch.complex64, (2, "classes", "coefficients")),
    "weight": Entry(torch.float32, (2, "classes")),
    "classes": Entry(torch.int64, ("rows",), below="particles"),
}


def test_tensors_are_held_against_what_they_must_look_like(saved: Path) -> None:
    assert State(saved, FINGERPRINT).load("matches", entries=FITTING, coefficients=5, particles=7) is not None


@pytest.mark.parametrize(
    ("entries", "lengths", "words"),
    [
        ({}, {"coefficients": 6}, "coefficients is 6"),
        ({"weight": Entry(torch.float32, (2, "coefficients"))}, {}, "coefficients is 5"),
        ({"weight": Entry(torch.float64, (2, "classes"))}, {}, "torch.float64"),
        ({"weight": Entry(torch.float32, (2,))}, {}, "dimensions"),
        ({"weight": Entry(torch.float32, (3, "classes"))}, {}, "where 3 is due"),
        ({"absent": Entry(torch.float32, ())}, {}, "absent is missing"),
        ({}, {"particles": 6}, "from 0 to 6"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(
    saved: Path, entries: dict[str, Entry], lengths: dict[str, int], words: str
) -> None:
    with pytest.raises(InputError) as caught:
        State(saved, FINGERPRINT).load("matches", entries={**FITTING, **entries}, **{"particles": 7, **lengths})
    assert words in str(caught.value)
    assert "--resume" in str(caught.value)


def test_nan_in_a_state_is_refused(tmp_path: Path) -> None:
    State(tmp_path, FINGERPRINT).save("matches", {"weight": torch.tensor([1.0, torch.nan])})
    with pytest.raises(InputError, match="NaN"):
        State(tmp_path, FINGERPRINT).load("matches", entries={"weight": Entry(torch.float32, (2,))})


def test_another_run_is_refused_and_says_what_differs(saved: Path) -> None:
    message = refusal(saved, classes=4, seed=1)
    assert "classes" in message
    assert "seed" in message
    assert "input" not in message
    assert "number of particles" in refusal(saved, **{"number of particles": 13})
    assert "new setting" in refusal(saved, **{"new setting": 1})


def test_clear_forgets_what_was_saved_and_touches_nothing_else(saved: Path) -> None:
    other = saved / "state" / "notes.txt"
    other.write_text("mine")
    state = State(saved, FINGERPRINT)
    state.clear()
    assert state.load("matches") is None
    assert [p.name for p in (saved / "state").iterdir()] == ["notes.txt"]
    State(saved / "never", FINGERPRINT).clear()


def test_an_interrupted_save_leaves_the_state_before(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("alignpca2d_core.state.tensor_store.save_file", fail)
    state = State(saved, FINGERPRINT)
    with pytest.raises(OSError, match="disk full"):
        state.save("matches", {"classes": torch.tensor([9])})
    found = state.load("matches")
    assert found is not None
    assert found["classes"].tolist() == list(range(7))
    assert len(list((saved / "state").iterdir())) == 1
