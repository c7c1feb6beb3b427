"""What buttons of the windows do, without a screen; test_plugin_gui.py presses them."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("pwem", reason="Scipion is not installed")
pytest.importorskip("tkinter", reason="tkinter is not installed")
pytestmark = pytest.mark.scipion


class Protocol:
    """What the windows ask a protocol for, in a project that knows more of it by now."""

    def __init__(self, folder: Path, good: int = 0) -> None:
        self.folder, self.active, self.goodParticles = folder, True, SimpleNamespace(get=lambda: good)
        now = SimpleNamespace(isActive=lambda: self.active)
        self.project = SimpleNamespace(
            mapper=SimpleNamespace(commit=lambda: None), getProtocol=lambda number: now if number == 7 else None
        )

    def _getExtraPath(self, *names: str) -> str:
        return str(self.folder.joinpath(*names))

    def getObjId(self) -> int:
        return 7

    def getProject(self) -> Any:
        return self.project

    def isActive(self) -> bool:
        return True

    def choose(self, numbers: set[int]) -> None:
        from alignpca2d_plugin.protocols.selection_files import write_selection

        write_selection(str(self.folder), numbers)


@pytest.fixture
def window(tmp_path: Path) -> Any:
    """The page of the classes, opened while the protocol ran, with two classes chosen."""
    from alignpca2d_plugin.viewers.results_window import ResultsWindow

    page = ResultsWindow.__new__(ResultsWindow)
    page.root, page._folder, page._running = None, str(tmp_path), Protocol(tmp_path)
    page.choice, page.said = SimpleNamespace(numbers={2, 5}), []
    page._pointed = SimpleNamespace(set=page.said.append)
    return page


def test_a_choice_made_after_the_protocol_stopped_comes_when_it_goes_on(window: Any, tmp_path: Path) -> None:
    window._deliver_chosen()
    assert "an output of the running protocol" in window.said[-1]
    window._running.active = False
    window._deliver_chosen()
    assert window.said[-1].endswith("become an output when the protocol is continued.")
    assert json.loads((tmp_path / "selection.json").read_text()) == {"version": 2, "classes": [2, 5]}


def test_a_folder_that_cannot_be_written_to_is_named(
    window: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from alignpca2d_plugin.viewers import results_window

    shown: list[tuple[str, str]] = []
    monkeypatch.setattr(results_window.messagebox, "showerror", lambda title, text, **_: shown.append((title, text)))
    path = str(tmp_path / "absent" / "selection.json")
    monkeypatch.setattr(results_window.filedialog, "asksaveasfilename", lambda **_: path)
    window._save()
    assert shown == [("Save", f"{path} cannot be written: No such file or directory.")]
    window._running.folder = tmp_path / "absent"
    window._folder = str(window._running.folder)
    window._deliver_chosen()
    assert shown[1:] == [("Deliver", f"{path} cannot be written: No such file or directory.")]
    assert window.said == []


@pytest.mark.parametrize(
    ("good", "choices", "expected"),
    [
        (0, 0, "outputParticles"),
        (1, 0, "outputParticles"),
        (0, 1, "outputParticles"),
        (1, 1, "outputParticles2"),
        (1, 2, "outputParticles3"),
    ],
)
def test_the_table_of_particles_is_that_of_the_last_choice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, good: int, choices: int, expected: str
) -> None:
    module = pytest.importorskip("alignpca2d_plugin.viewers.viewer_alignpca2d")
    viewer = module.AlignPCA2DViewer.__new__(module.AlignPCA2DViewer)
    viewer.protocol = Protocol(tmp_path, good)
    shown: list[str] = []
    monkeypatch.setattr(viewer, "_table", shown.append)
    table = viewer.views()["Table of particles"]
    for _ in range(choices):
        viewer.protocol.choose({1})
    table()
    assert shown == [expected]
