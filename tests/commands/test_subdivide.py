"""``subdivide``: some classes on their own, with their rows of the metadata, in a folder like any other."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from simulated import SimulatedSet, one_thread, run, same_partition
from streams import cut, step

from alignpca2d_core.commands.subdivide import output_folder
from alignpca2d_core.errors import InputError
from alignpca2d_core.fourier.rigid_transforms import apply
from alignpca2d_core.io.particle_reading import read_particles
from alignpca2d_core.io.stacks import StackReader
from alignpca2d_core.io.star.star_reader import read_blocks
from alignpca2d_core.results.result_files import read_results

Run = Callable[..., Any]
QUICK = ("--threads", "1", "--quiet")


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> tuple[SimulatedSet, Path]:
    """A set of three views with a star file beside it, and the classes of that."""
    folder = tmp_path_factory.mktemp("earlier")
    simulated = SimulatedSet.make(folder)
    particles = read_particles(simulated.metadata)
    ctf, rows = particles.ctf, []
    assert ctf is not None
    for k, name in enumerate(particles.image_names()):
        group = 1 + k % 2
        rows.append(
            f"{name.replace(str(folder) + '/', '')} mic{k // 10:03d}.mrc {k}.50 {2 * k}.25 {group} "
            f"{ctf.defocus_u[k]:.2f} {ctf.defocus_v[k]:.2f} {ctf.defocus_angle[k]:.3f} note{k}"
        )
    labels = "rlnImageName rlnMicrographName rlnCoordinateX rlnCoordinateY rlnOpticsGroup rlnDefocusU rlnDefocusV"
    optics = "rlnOpticsGroup rlnVoltage rlnSphericalAberration rlnAmplitudeContrast rlnImagePixelSize rlnImageSize"
    text = "data_optics\n\nloop_\n" + "".join(f"_{label}\n" for label in optics.split())
    text += "".join(f"{group} 300.0 2.7 0.07 7.0 32\n" for group in (1, 2))
    text += (
        "\n\ndata_particles\n\nloop_\n"
        + "".join(f"_{label}\n" for label in (*labels.split(), "rlnDefocusAngle", "myNote"))
        + "\n".join(rows)
        + "\n"
    )
    (folder / "particles.star").write_text(text)
    run(folder / "particles.star", folder / "classes", classes=4)
    return simulated, folder / "classes"


def ids_of(directory: Path, classes: set[int]) -> list[int]:
    particles, result = read_results(directory)
    return particles.ids[np.isin(result.assignments + 1, list(classes))].tolist()


def notes(path: Path) -> NDArray[Any]:
    return read_blocks(path)["particles"]["myNote"]


def test_rows_of_relion_survive(earlier: tuple[SimulatedSet, Path], tmp_path: Path, run_cli: Run) -> None:
    simulated, directory = earlier
    new, before = tmp_path / "new", (directory / "particles.xmd").read_bytes()
    done = run_cli("subdivide", directory, "--classes", "1,3-4", "--into", 3, "-o", new, *QUICK)
    assert done.code == 0, done.err
    assert (directory / "particles.xmd").read_bytes() == before
    wanted = ids_of(directory, {1, 3, 4})
    particles, result = read_results(new)
    assert particles.ids.tolist() == wanted
    assert len(result) == 3
    said = json.loads((new / "summary.json").read_text())
    assert said["subdivided"] == {"of": str(directory), "classes": [1, 3, 4], "poses": "searched"}
    assert said["settings"]["resolution"] == 16.0  # as in the earlier run
    for subcommand in (("report", new), ("evaluate", new, "--truth", simulated.folder / "truth.csv")):
        assert run_cli(*subcommand).code == 0
    assert run_cli("export", new, "--coordinates").code == 0
    assert notes(new / "particles.star").tolist() == [f"note{k - 1}" for k in wanted]
    exported = read_blocks(new / "particles.star")
    assert len(exported["optics"]) == 2
    assert exported["particles"]["rlnClassNumber"].tolist() == (result.assignments + 1).tolist()
    # And once more, from what was subdivided.
    again = run_cli("subdivide", new, "--classes", 2, "--into", 2, *QUICK)
    assert again.code == 0, again.err
    newest = tmp_path / "new-classes-2"
    assert run_cli("export", newest).code == 0
    assert notes(newest / "particles.star").tolist() == [f"note{k - 1}" for k in ids_of(new, {2})]


def test_poses_that_are_kept(tmp_path: Path, run_cli: Run) -> None:
    """Poses stay to the last digit that counts, classes are found by them, and averages are of particles so turned."""
    simulated = SimulatedSet.make(tmp_path, snr=1.0)
    before = run(simulated.metadata, tmp_path / "classes")
    done = run_cli("subdivide", tmp_path / "classes", "--classes", "1-3", "--into", 3, "--poses", "kept", *QUICK)
    assert done.code == 0, done.err
    particles, after = read_results(tmp_path / "classes-classes-1-3")
    assert same_partition(before.assignments, after.assignments) == 1.0
    turned = (before.poses.psi_deg - after.poses.psi_deg + 180) % 360 - 180
    assert np.abs(turned).max() < 1e-3
    for name in ("shift_x_px", "shift_y_px"):
        assert np.abs(getattr(before.poses, name) - getattr(after.poses, name)).max() < 1e-3
    with StackReader(particles) as reader:
        images = reader.read(np.arange(len(particles)))
    for k, average in enumerate(after.averages):
        members = np.flatnonzero(after.assignments == k)
        mean = apply(images[members], after.poses[members]).mean(0)
        assert np.corrcoef(mean[8:24, 8:24].ravel(), average[8:24, 8:24].ravel())[0, 1] > 0.7


def test_classes_of_a_stream(earlier: tuple[SimulatedSet, Path], tmp_path: Path, run_cli: Run) -> None:
    simulated, _ = earlier
    step(cut(simulated.metadata, tmp_path, 2)[0], tmp_path / "stream", last=True)
    done = run_cli("subdivide", tmp_path / "stream", "--classes", "good,doubtful", "--into", 2, *QUICK)
    assert done.code == 0, done.err
    new = tmp_path / "stream-classes-good_doubtful"
    verdicts = json.loads((tmp_path / "stream/summary.json").read_text())["classes"]["verdict"]
    kept = {number for number, verdict in enumerate(verdicts, start=1) if verdict != "junk"}
    assert read_results(new)[0].ids.tolist() == ids_of(tmp_path / "stream", kept)
    refused = run_cli("subdivide", new, "--classes", "1", "-o", tmp_path / "stream", *QUICK)
    assert refused.code == 2
    assert "holds a stream" in refused.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--into", 2], "say which classes"),
        (["--classes", 9], "--classes 9: class 9 is not there; the results have 1 to 4"),
        (["--classes", "3-1"], "--classes 3-1: 3-1 between commas is no class or range"),
        (["--classes", "junk"], "--classes junk: no class has that verdict"),
        (["--classes", "gone.json"], "--classes gone.json: No such file"),
        (["--classes", 1, "--into", 4000], "--into 4000: the classes of --classes 1 hold"),
        (["--classes", 1, "--into", 0], "--into 0: must lie"),
        (["--classes", 1, "--poses", "mine"], "choose from"),
        (["--classes", 1, "--poses", "kept", "--preset", "paper"], "--poses kept: the preset paper searches"),
        (["--classes", ",".join(map(str, range(1, 40)))], "too many to name a folder after them"),
    ],
)
def test_what_cannot_be_done_is_said(
    earlier: tuple[SimulatedSet, Path], run_cli: Run, words: list[object], said: str
) -> None:
    done = run_cli("subdivide", earlier[1], *words, *QUICK)
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert said in done.err


def test_the_results_themselves_stay(earlier: tuple[SimulatedSet, Path], run_cli: Run) -> None:
    done = run_cli("subdivide", earlier[1], "--classes", 1, "--into", 2, "-o", earlier[1], *QUICK)
    assert done.code == 2
    assert "is the input and would be overwritten" in done.err


def test_a_folder_that_is_being_written(earlier: tuple[SimulatedSet, Path], run_cli: Run) -> None:
    lock = earlier[1] / "state" / ".lock"
    holding = (
        "import fcntl, sys\nf = open(sys.argv[1], 'r+')\nfcntl.flock(f, fcntl.LOCK_EX)\nprint(1, flush=True)\ninput()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holding, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        done = run_cli("subdivide", earlier[1], "--classes", 1, "--into", 2, *QUICK)
        holder.communicate("\n")
    assert done.code == 2
    assert "in use by" in done.err


def test_a_single_particle_and_a_second_run(earlier: tuple[SimulatedSet, Path], tmp_path: Path, run_cli: Run) -> None:
    simulated, _ = earlier
    few = simulated.folder / "few.xmd"
    lines = simulated.metadata.read_text().splitlines(keepends=True)
    few.write_text("".join(lines[: len(lines) - 296]))
    with one_thread():
        run(few, tmp_path / "few", classes=4)
    for poses in ("searched", "kept"):
        done = run_cli("subdivide", tmp_path / "few", "--classes", 2, "--into", 1, "--poses", poses, *QUICK)
        assert done.code == 0, done.err
        assert read_results(tmp_path / "few-classes-2")[0].ids.tolist() == ids_of(tmp_path / "few", {2})


def test_names_of_folders() -> None:
    assert output_folder(Path("run/classes"), "1, 4-9").name == "classes-classes-1_4-9"
    assert output_folder(Path("classes/"), "a/selection.json") == Path("classes-classes-selection")
    with pytest.raises(InputError):
        output_folder(Path("classes"), "1," * 40)
