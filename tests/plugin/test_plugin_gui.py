"""The protocol in Scipion's real windows on a virtual screen, used by pointer and keys (see gui_robot.py)."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import mrcfile
import pytest
from streams import rows_of

from alignpca2d_core.evaluation.assignments import read_assignments
from alignpca2d_core.fourier.rigid_transforms import invert
from alignpca2d_core.io.particle_reading import read_particles
from alignpca2d_core.io.star.star_reader import read_blocks

PROGRAMS = ("Xvfb", "openbox", "xdotool", "import")
ROBOT = Path(__file__).with_name("gui_robot.py")
MINUTES = 15
MASK_SMALLER_PX = 4
"""As the robot has it."""
PIXEL, MICROGRAPH_PIXEL = 7.0, 3.5
"""Å: particles were scaled down by two when they were extracted."""

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
def make_project(tmp_path: Path, scipion_home: Path, request: pytest.FixtureRequest) -> Callable[..., Path]:
    """A project of each test's own with imported particles, and the micrographs that they were cut out of, if any."""
    name = f"Windows{request.node.name.removeprefix('test').title().replace('_', '')}"
    code = """
import json, os, sys
from pwem import Domain
from pwem.objects import Micrograph, SetOfMicrographs
from pyworkflow.project import Manager
from alignpca2d_plugin.simulation import new_import, simulate
protocols = Domain.getProtocols()
options = {"particles": 240, "box": 32, "sampling_rate": 7.0, "snr": 0.2, **json.loads(sys.argv[3])}
particles = simulate(sys.argv[1], **options)
project = Manager().createProject(sys.argv[2])
os.chdir(project.path)
importing = new_import(project, particles)
project.launchProtocol(importing, wait=True)
assert importing.isFinished(), importing.getErrorMessage()
names = {}
if "realistic" in options:
    places = (particle.getCoordinate() for particle in importing.outputParticles.iterItems())
    names = {place.getMicId(): place.getMicName() for place in places}
if names:
    producer = project.newProtocol(protocols["ProtImportMicrographs"])
    project._setupProtocol(producer)
    producer.makePathsAndClean()
    micrographs = SetOfMicrographs(filename=producer._getPath("micrographs.sqlite"))
    micrographs.setSamplingRate(float(sys.argv[4]))
    for number, name in names.items():
        micrograph = Micrograph(objId=number)
        micrograph.setFileName(name)
        micrograph.setMicName(name)
        micrographs.append(micrograph)
    producer._defineOutputs(outputMicrographs=micrographs)
    producer.setStatus("finished")
    project._storeProtocol(producer)
"""

    def make(**options: Any) -> Path:
        words = [str(tmp_path / "simulated"), name, json.dumps(options), str(MICROGRAPH_PIXEL)]
        subprocess.run([sys.executable, "-c", code, *words], check=True, timeout=300)
        return scipion_home / "data" / "projects" / name

    return make


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


def test_form_is_filled_executed_and_its_results_opened(
    display: str, make_project: Callable[..., Path], tmp_path: Path
) -> None:
    project = make_project(views=3)
    pictures = robot(display, project, tmp_path / "pictures", "numberOfClasses=5", "resolution=20")
    wizards, windows = (
        {"mask_wizard", "resolution_wizard"},
        {"form", "form_alignment", "form_classification", "project"},
    )
    windows |= {"classes", "chosen", "limits", "subdivide"}
    results = {"results", "averages", "frc", "sizes", "convergence", "monitor"}
    assert pictures == wizards | windows | results
    (run,) = (path.parents[1] for path in project.glob("Runs/*_ProtAlignPCA2D/extra/input.xmd"))
    log = (run / "logs" / "run.stdout").read_text()
    assert "--classes 5" in log
    assert "--resolution 20.0" in log
    assert f"--mask-diameter {(32 - 2 * MASK_SMALLER_PX) * 7.0}" in log
    assert (run / "classes2D.sqlite").exists()


def test_the_way_from_a_stream_to_chosen_particles(
    display: str,
    make_project: Callable[..., Path],
    tmp_path: Path,
    run_cli: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Classes are chosen in the monitor, and others later; sets grow; centres to extract from; star file for RELION."""
    project = make_project(realistic=True, junk_fraction=0, neighbours=0, off_centre_fraction=0, borders=0)
    words = ("numberOfClasses=4", "resolution=20.0", "initialParticles=80", "batchSize=40")
    pictures = robot(display, project, tmp_path / "pictures", "stream", *words)
    assert pictures == {"project", "monitor", "monitor_end", "saved"}
    chosen = json.loads((tmp_path / "pictures" / "chosen.json").read_text())
    monkeypatch.chdir(project)
    (extra,) = (path.parent for path in Path().glob("Runs/*_ProtAlignPCA2D/extra/selection.json"))
    run = extra.parent
    classes = {number: ref for number, (ref, *_) in rows_of(extra / "particles.xmd").items()}
    expected = {number for number, ref in classes.items() if ref in chosen["others"]}
    assert len(classes) == 240
    assert 0 < len(expected) < 240
    assert ids_in(run / "particles2.sqlite") == expected
    assert len(ids_in(run / "particles.sqlite")) == chosen["closed with"]
    centres_are_right(run / "coordinates.sqlite", tmp_path / "simulated", extra / "particles.xmd", expected)
    outcome = run_cli("export", extra, "--select", extra / "selection.json")
    assert outcome.code == 0, outcome.err
    exported = read_blocks(extra / "particles.star")["particles"]
    assert set(exported["rlnClassNumber"]) == set(chosen["others"])
    images = {int(str(name).partition("@")[0]) for name in exported["rlnImageName"]}
    assert images == expected  # of one stack, in the order of the ids
    if shutil.which("relion_stack_create"):
        words = ("--i", str(extra / "particles.star"), "--o", "aligned", "--apply_transformation")
        subprocess.run(["relion_stack_create", *words], check=True, stdout=subprocess.DEVNULL, timeout=120)
        assert len(mrcfile.read("aligned.mrcs")) == len(expected)


def ids_in(path: Path) -> set[int]:
    """The ids of a set in its file."""
    with closing(sqlite3.connect(path)) as database:
        return {number for (number,) in database.execute("SELECT id FROM Objects")}


def centres_are_right(path: Path, simulated: Path, table: Path, expected: set[int]) -> None:
    """The set of coordinates holds these particles, where they were picked and moved as the program found."""
    from pwem.objects import SetOfCoordinates

    found = SetOfCoordinates(filename=str(path))
    places = {one.getObjId(): (one.getX() - one.xFrac.get(), one.getY() - one.yFrac.get()) for one in found.iterItems()}
    found.close()
    assert set(places) == expected
    picked, offset = read_particles(simulated / "particles.xmd").table, invert(read_assignments(table).poses)
    scale = PIXEL / MICROGRAPH_PIXEL
    row_of = {int(number): row for row, number in enumerate(picked["itemId"])}
    for row, number in enumerate(rows_of(table)):
        if number in places:
            at = row_of[number]
            x, y = picked["xcoor"][at] + offset.shift_x_px[row], picked["ycoor"][at] + offset.shift_y_px[row]
            assert places[number] == pytest.approx((scale * x, scale * y), abs=0.01)
