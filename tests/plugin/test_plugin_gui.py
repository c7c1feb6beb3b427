"""The protocol in Scipion's real windows on a virtual screen, used by pointer and keys (see gui_robot.py)."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PROGRAMS = ("Xvfb", "openbox", "xdotool", "import")
ROBOT = Path(__file__).with_name("gui_robot.py")
MINUTES = 15
MASK_SMALLER_PX = 4
"""As the robot has it."""

pytestmark = [pytest.mark.gui, pytest.mark.scipion]


@pytest.fixture(scope="module")
def display() -> Iterator[str]:
    """A virtual screen with a window manager: the value for DISPLAY."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        pytest.skip(f"no {', '.join(missing)} on this machine (xvfb, openbox, xdotool, imagemagick)")
    for module in ("tkinter", "pwem", "metadataviewer"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    with virtual_screen() as name:
        yield name


@contextmanager
def virtual_screen() -> Iterator[str]:
    reading, writing = os.pipe()
    arguments = ["-displayfd", str(writing), "-screen", "0", "1500x950x24", "-nolisten", "tcp"]
    server = subprocess.Popen(["Xvfb", *arguments], pass_fds=[writing], stderr=subprocess.DEVNULL)
    os.close(writing)
    with os.fdopen(reading) as stream:
        number = stream.readline().strip()
    if not number:
        pytest.skip("Xvfb does not start")
    name = f":{number}"
    manager = subprocess.Popen(["openbox"], env={**os.environ, "DISPLAY": name}, stderr=subprocess.DEVNULL)
    try:
        yield name
    finally:
        for process in (manager, server):
            process.terminate()
            process.wait(10)


@pytest.fixture
def project_path(tmp_path: Path, scipion_home: Path, request: pytest.FixtureRequest) -> Path:
    """A project of each test's own, with imported particles, made by a process of its own."""
    name = f"Windows{request.node.name.removeprefix('test').title().replace('_', '')}"
    code = """
import os, sys
from pwem import Domain
from pyworkflow.project import Manager
from alignpca2d_plugin.simulation import new_import, simulate
Domain.getProtocols()
particles = simulate(sys.argv[1], particles=240, views=3, box=32, sampling_rate=7.0, snr=0.2)
project = Manager().createProject(sys.argv[2])
os.chdir(project.path)
importing = new_import(project, particles)
project.launchProtocol(importing, wait=True)
assert importing.isFinished(), importing.getErrorMessage()
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "simulated"), name], check=True, timeout=300)
    return scipion_home / "data" / "projects" / name


def robot(display: str, project: Path, pictures: Path, *words: str) -> set[str]:
    """Let the robot work; the names of the pictures that it took."""
    pictures.mkdir()
    said = pictures / "robot.log"  # a file, since a pipe would stay open as long as the windows that it opened
    with said.open("w") as stream:
        code = subprocess.call(
            [sys.executable, "-O", str(ROBOT), str(project), str(pictures), *words],
            env={**os.environ, "DISPLAY": display},
            stdout=stream,
            stderr=subprocess.STDOUT,
            timeout=60 * MINUTES,
        )
    assert code == 0, said.read_text()
    return {path.stem for path in pictures.glob("*.png")}


def test_form_is_filled_executed_and_its_results_opened(display: str, project_path: Path, tmp_path: Path) -> None:
    pictures = robot(display, project_path, tmp_path / "pictures", "numberOfClasses=5", "resolution=20")
    wizards, windows = {"mask_wizard", "resolution_wizard"}, {"form", "project", "classes", "chosen"}
    results = {"results", "averages", "frc", "sizes", "convergence", "monitor"}
    assert pictures == wizards | windows | results
    (run,) = (path.parents[1] for path in project_path.glob("Runs/*_ProtAlignPCA2D/extra/input.xmd"))
    log = (run / "logs" / "run.stdout").read_text()
    assert "--classes 5" in log
    assert "--resolution 20.0" in log
    assert f"--mask-diameter {(32 - 2 * MASK_SMALLER_PX) * 7.0}" in log
    assert (run / "classes2D.sqlite").exists()


def test_classes_are_chosen_in_the_monitor_of_a_stream(display: str, project_path: Path, tmp_path: Path) -> None:
    words = ("numberOfClasses=4", "resolution=20.0", "initialParticles=80", "batchSize=40")
    pictures = robot(display, project_path, tmp_path / "pictures", "stream", *words)
    assert pictures == {"project", "monitor", "monitor_end", "saved"}
    (run,) = project_path.glob("Runs/*_ProtAlignPCA2D/extra/selection.json")
    assert len(json.loads(run.read_text())["classes"]) == 1
    assert (run.parents[1] / "particles.sqlite").exists()
