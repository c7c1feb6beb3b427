"""Names that a shell would make something of: through Scipion's own job layer, which uses one, to the core's words."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from particle_files import two_views

from alignpca2d_core.io.particle_reading import read_particles
from alignpca2d_core.io.stacks import StackReader, write_stack

pytest.importorskip("pwem", reason="Scipion is not installed")

from pwem.objects import Acquisition, Particle, SetOfParticles
from pyworkflow.utils.process import runJob

from alignpca2d_plugin import Plugin
from alignpca2d_plugin.constants import PRESETS
from alignpca2d_plugin.convert import write_particles
from alignpca2d_plugin.protocols import core_run

pytestmark = pytest.mark.scipion

NAMES = (
    "a blank",
    "it's",
    'say "so"',
    'it\'s "both"!',
    "semicolon; touch victim",
    "$(touch victim)",
    "`touch victim`",
    "| touch victim",
    "& touch victim &",
    "> victim",
    "$HOME",
    "~",
    "* ? [a-z] {a,b}",
    "!! #",
    "back\\slash\\",
    "-o",
    "--output=victim",
    "100 % %(GPU)s %%",
    "Ångström\u202egpj",
    "new\nline; touch victim",
)
RECORDER = """
import json, os, sys
with open(os.environ["RECORD"], "w") as stream:
    json.dump([sys.argv[1:], os.environ.get("CUDA_VISIBLE_DEVICES")], stream)
"""


class Protocol:
    """What core_run asks a protocol for; its jobs are run as Scipion runs them."""

    def __init__(self, folder: Path, gpus: Sequence[int] = ()) -> None:
        self.folder, self.gpus = folder, list(gpus)
        self.inputParticles = SimpleNamespace(get=lambda: SimpleNamespace(getSize=lambda: 1000))
        self.preset = SimpleNamespace(get=lambda: PRESETS.index("default"))

    def _getExtraPath(self, *names: str) -> str:
        return str(self.folder.joinpath(*names))

    def usesGpu(self) -> bool:
        return bool(self.gpus)

    def useQueue(self) -> bool:
        return False

    useQueueForSteps = useQueue

    def getGpuList(self) -> list[int]:
        return self.gpus

    def getBinThreads(self) -> int:
        return 1

    def runJob(self, program: str, arguments: str, numberOfThreads: int) -> None:
        """As pyworkflow.protocol.executor does."""
        ours = self.gpus if "%(GPU)s" in program + arguments else []
        runJob(None, program, arguments, 1, numberOfThreads, gpuList=ours)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where everything happens; nothing called `victim` may come to be there."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def victims(folder: Path) -> list[str]:
    return [str(path) for path in folder.rglob("*victim") if path.name == "victim"]


def interpreter(folder: Path, monkeypatch: pytest.MonkeyPatch, core: Path) -> Path:
    """A python in a folder, with the package alignpca2d_core that lies in another."""
    path = folder / "python"
    path.write_text(f"#!/bin/sh\nPYTHONPATH='{core}' exec '{sys.executable}' \"$@\"\n", encoding="utf-8")
    path.chmod(stat.S_IRWXU)
    monkeypatch.setattr(Plugin, "getPython", lambda: str(path))
    return path


@pytest.mark.parametrize("gpus", [[], [0], [0, 1]], ids=["cpu", "gpu", "gpus"])
@pytest.mark.parametrize("name", NAMES)
def test_words_arrive_as_they_were_given(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, gpus: list[int]
) -> None:
    """The interpreter, the folder of the protocol and the core's words all have such a name."""
    core = folder / "recorder"
    (core / "alignpca2d_core").mkdir(parents=True)
    (core / "alignpca2d_core" / "__init__.py").touch()
    (core / "alignpca2d_core" / "__main__.py").write_text(RECORDER)
    monkeypatch.setenv("RECORD", str(folder / "record.json"))
    home = folder / name
    home.mkdir()
    interpreter(home, monkeypatch, core)
    subcommand = "assign"  # which one process does, whatever the GPUs
    words = [subcommand, f"{name}/particles.xmd", "-o", name, "--references", name, "--", name]
    core_run.run(Protocol(home, gpus), words)
    arrived, visible = json.loads((folder / "record.json").read_text())
    assert arrived == words
    assert visible == (str(gpus[0]) if gpus else os.environ.get("CUDA_VISIBLE_DEVICES"))
    assert (home / "verdict.json").is_file()
    assert victims(folder) == []


def particles_of(stacks: Sequence[str]) -> Any:
    """A SetOfParticles of all images of some stacks."""
    particles = SetOfParticles(filename="particles.sqlite")
    particles._setFirstDim = lambda image: particles.setDim((32, 32, 1))
    particles.setSamplingRate(5.0)
    particles.setAcquisition(Acquisition(voltage=300, sphericalAberration=2.7, amplitudeContrast=0.1))
    for stack in stacks:
        for index in range(1, 5):
            particle = Particle()
            particle.setLocation(index, stack)
            particles.append(particle)
    particles.write()
    return particles


def test_stacks_of_such_names_are_classified(folder: Path, monkeypatch: pytest.MonkeyPatch, repository: Path) -> None:
    """From Scipion's set through the metadata, the shell and the core to its results."""
    writable = [f"{name}.mrcs" for name in NAMES if "\n" not in name]
    images = two_views(4 * len(writable)).reshape(len(writable), 4, 32, 32)
    for name, some in zip(writable, images, strict=True):
        write_stack(name, some, 5.0)
    home = folder / "Runs; touch victim" / "it's"
    home.mkdir(parents=True)
    interpreter(home, monkeypatch, repository)
    count = write_particles(particles_of(writable), str(home / "particles.xmd"), with_ctf=False)
    assert count == 4 * len(writable)
    quick = ["--classes", "2", "--resolution", "20", "--threads", "1", "--iterations", "1", "--ctf", "none"]
    core_run.run(Protocol(home), ["classify", str(home / "particles.xmd"), "-o", str(home / "out"), *quick])
    found = read_particles(home / "out" / "particles.xmd")
    assert [path.name for path in found.stacks] == writable
    with StackReader(found) as reader:
        np.testing.assert_array_equal(reader.read(np.arange(count)), images.reshape(count, 32, 32))
    assert (home / "out" / "classes.mrcs").is_file()
    assert victims(folder) == []


@pytest.mark.parametrize("name", ["new\nline.mrcs", "two\r\n000001@other.mrcs", "it's' \"so\" x.mrcs"])
def test_names_that_metadata_cannot_hold_are_refused(folder: Path, name: str) -> None:
    """Written as they are they would make rows of their own."""
    with pytest.raises(ValueError, match="metadata cannot hold"):
        write_particles(particles_of([name]), "in.xmd", with_ctf=False)
    assert not Path("in.xmd").exists()
