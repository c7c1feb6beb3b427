"""GPU ids of Scipion's form, in the command line that starts the core."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("pwem", reason="Scipion is not installed")

from alignpca2d_plugin import Plugin
from alignpca2d_plugin.constants import PRESETS
from alignpca2d_plugin.protocols import core_run

pytestmark = pytest.mark.scipion


@pytest.fixture(autouse=True)
def python(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set by Scipion's configuration otherwise."""
    monkeypatch.setattr(Plugin, "getPython", lambda: "python3")


class Protocol:
    """What core_run asks a protocol for."""

    def __init__(self, folder: Path, ids: list[int], particles: int = 1000, **said: Any) -> None:
        self.folder, self.ids, self.said, self.percent = folder, ids, said, "%"
        self.inputParticles = SimpleNamespace(get=lambda: SimpleNamespace(getSize=lambda: particles))
        self.preset = SimpleNamespace(get=lambda: PRESETS.index(said.get("preset", "default")))

    def _getExtraPath(self, *names: str) -> str:
        return str(self.folder.joinpath(*names))

    def usesGpu(self) -> bool:
        return self.said.get("gpu", True)

    def useQueue(self) -> bool:
        return self.said.get("queue", False)

    def useQueueForSteps(self) -> bool:
        return False

    def getGpuList(self) -> list[int]:
        return self.ids

    def getBinThreads(self) -> int:
        return 1

    def runJob(self, program: str, arguments: str, numberOfThreads: int) -> None:
        self.program, self.words = program, shlex.split(arguments)
        Path(self._getExtraPath(core_run.VERDICT)).write_text(json.dumps({"exit_code": 0}))


def started(protocol: Protocol, subcommand: str = "classify") -> tuple[str, int]:
    """The variable before the program, and the number of processes."""
    first, *options = subcommand.split()
    core_run.run(protocol, [first, "in put 5%.xmd", "-o", ".", *options])
    end = protocol.words.index("--")
    assert protocol.words[end + 2 :] == ["in put 5%.xmd".replace("%", protocol.percent), "-o", ".", *options]
    job = protocol.words[:end]
    count = int(job[job.index("--processes") + 1]) if "--processes" in job else 1
    return protocol.program.split()[0], count


@pytest.mark.parametrize(
    ("ids", "said", "subcommand", "visible", "count"),
    [
        ([0, 1], {}, "classify", "0,1", 2),
        ([2, 5, 7], {}, "classify", "2,5,7", 3),
        ([3, 3, 4], {}, "classify", "3,4", 2),
        ([2, 5], {"queue": True}, "classify", "0,1", 2),
        ([2, 5], {}, "update", "2", 1),
        ([2, 5], {}, "classify --rounds 2", "2", 1),
        ([2, 5], {"preset": "paper"}, "classify", "2", 1),
        ([0, 1, 2, 3], {"particles": 120}, "classify", "0,1", 2),
        ([0, 1], {"particles": 20}, "classify", "0", 1),
    ],
)
def test_several_gpus_share_a_complete_input(
    tmp_path: Path, ids: list[int], said: dict[str, Any], subcommand: str, visible: str, count: int
) -> None:
    protocol = Protocol(tmp_path, ids, **said)
    assert started(protocol, subcommand) == (f"CUDA_VISIBLE_DEVICES={visible}", count)


def test_one_gpu_is_scipions_to_name(tmp_path: Path) -> None:
    protocol = Protocol(tmp_path, [4])
    protocol.percent = "%%"
    assert started(protocol) == ("CUDA_VISIBLE_DEVICES=%(GPU)s", 1)


def test_without_a_gpu_nothing_is_said_of_any(tmp_path: Path) -> None:
    protocol = Protocol(tmp_path, [0, 1], gpu=False)
    variable, count = started(protocol)
    assert "CUDA" not in variable
    assert count == 1
