"""The state of a run: what is saved comes back; what is damaged or foreign is refused in one line."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from alignpca2d_core.errors import InputError
from alignpca2d_core.state import State, complex_key

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


def test_saving_again_replaces(saved: Path) -> None:
    state = State(saved, FINGERPRINT)
    state.save("matches", {"classes": torch.tensor([5])})
    found = state.load("matches")
    assert found is not None
    assert list(found) == ["classes"]
    assert found["classes"].tolist() == [5]


def test_the_folder_holds_no_pickles_and_nothing_else(saved: Path) -> None:
    assert sorted(p.name for p in (saved / "state").iterdir()) == ["matches.json", "matches.safetensors"]
    header = json.loads((saved / "state" / "matches.json").read_text())
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


def test_tensors_that_are_gone_are_refused(saved: Path) -> None:
    (saved / "state" / "matches.safetensors").unlink()
    assert "damaged" in refusal(saved)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "{",
        "[1]",
        "7",
        "null",
        '"text"',
        '{"version": 1}',
        '{"version": 1, "fingerprint": 3}',
        '{"fingerprint": {}}',
        "\udcff",
    ],
)
def test_damaged_headers_are_refused(saved: Path, header: str) -> None:
    (saved / "state" / "matches.json").write_bytes(header.encode("utf-8", "surrogateescape"))
    refusal(saved)


def test_another_version_is_refused(saved: Path) -> None:
    path = saved / "state" / "matches.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": 999}))
    assert "version" in refusal(saved)


def test_another_run_is_refused_and_says_what_differs(saved: Path) -> None:
    message = refusal(saved, classes=4, seed=1)
    assert "classes" in message
    assert "seed" in message
    assert "input" not in message
    assert "number of particles" in refusal(saved, **{"number of particles": 13})
    assert "new setting" in refusal(saved, **{"new setting": 1})


def test_unchecked_loading_takes_the_fingerprint_over(saved: Path) -> None:
    state = State(saved, {})
    assert state.load("matches", check=False) is not None
    assert state.fingerprint["number of particles"] == 12


def test_clear_forgets_what_was_saved_and_touches_nothing_else(saved: Path) -> None:
    other = saved / "state" / "notes.txt"
    other.write_text("mine")
    state = State(saved, FINGERPRINT)
    state.clear()
    assert state.load("matches") is None
    assert [p.name for p in (saved / "state").iterdir()] == ["notes.txt"]
    State(saved / "never", FINGERPRINT).clear()


def test_an_interrupted_save_leaves_the_state_before(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("alignpca2d_core.state.save_file", fail)
    state = State(saved, FINGERPRINT)
    with pytest.raises(OSError, match="disk full"):
        state.save("matches", {"classes": torch.tensor([9])})
    found = state.load("matches")
    assert found is not None
    assert found["classes"].tolist() == list(range(7))
    assert len(list((saved / "state").iterdir())) == 2
