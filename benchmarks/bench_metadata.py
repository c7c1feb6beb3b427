"""How fast and in how much memory metadata is read and written, against starfile and emtable.

Run from the root of the checkout: ``python benchmarks/bench_metadata.py [--rows 1000000] [--ratio-rows 100000]``.
Each figure is CPU seconds, taken in a process of its own; memory is that process's peak, imports included.  The other
libraries read the smaller file only, and so do we for the ratios.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
BLOCK = 10_000
LABELS = (
    "anglePsi ctfDefocusAngle ctfDefocusU ctfDefocusV ctfQ0 ctfSphericalAberration ctfVoltage enabled flip image "
    "itemId micrograph micrographId shiftX shiftY xcoor ycoor zScore"
)
ROW = (
    "%12.6f %12.6f %12.6f %12.6f 0.100000 2.700000 300.000000 1 0 "
    "%06d@Runs/000123_ProtExtractParticles/extra/mic_%06d.mrcs %d mic_%06d.mrc %d %12.6f %12.6f %d %d %12.6f\n"
)


def write_example(path: Path, rows: int) -> None:
    """Metadata of 18 columns like Scipion's for Xmipp: 300 particles a micrograph, one stack each."""
    random = np.random.default_rng(0)
    head = "".join(f" _{label}\n" for label in LABELS.split())
    with path.open("w", encoding="utf-8") as file:
        file.write(f"# XMIPP_STAR_1 *\n#\ndata_particles\nloop_\n{head}")
        for start in range(0, rows, BLOCK):
            for row, (a, b, c, d, x, y, z) in enumerate(random.normal(size=(BLOCK, 7)).tolist(), start):
                stack, number = divmod(row, 300)
                defocus = (15_000 + 1000 * c, 15_000 + 1000 * d)
                place = (number + 1, stack, row + 1, stack, stack)
                file.write(ROW % (90 * a, 90 * b, *defocus, *place, x, y, row, 2 * row, z))


def read_with_ours(path: Path) -> int:
    from alignpca2d_core.io.particle_reading import read_particles

    return len(read_particles(path))


def write_with_ours(path: Path) -> int:
    from alignpca2d_core.io.particle_reading import read_particles
    from alignpca2d_core.io.particle_set import write_particles

    particles = read_particles(path)
    begun = time.process_time()
    write_particles(path.with_name("written.xmd"), particles)
    print(json.dumps({"seconds": time.process_time() - begun}))
    return len(particles)


def export_with_ours(path: Path) -> int:
    """RELION's metadata written back with classes and poses, from a folder of results that is made before."""
    from alignpca2d_core.fourier.rigid_transforms import Poses
    from alignpca2d_core.io.particle_reading import read_particles
    from alignpca2d_core.results.relion_export import export_relion
    from alignpca2d_core.results.result_files import Classification, write_results

    particles, random, folder = read_particles(path), np.random.default_rng(0), path.parent / "results"
    count = len(particles)
    result = Classification(
        assignments=random.integers(0, 50, count),
        poses=Poses(*random.normal(size=(3, count))),
        score=random.normal(size=count).astype(np.float32),
        averages=random.normal(size=(50, 8, 8)).astype(np.float32),
        sizes=np.full(50, count // 50),
        resolution_angstrom=np.ones(50),
        quality=np.ones(50),
        frc=np.ones((50, 5)),
    )
    folder.mkdir()
    particles.keep_origin(folder)
    said = {"file": str(path), "sampling_rate": 1.5, "metadata": path.name, "block": "particles", "dialect": "relion"}
    write_results(folder, particles, result, 1.5, {"input": said, "settings": {}})
    begun = time.process_time()
    export_relion(folder)
    print(json.dumps({"seconds": time.process_time() - begun}))
    return count


def write_star_example(path: Path, rows: int) -> None:
    """The same as RELION writes it: optics groups, and columns that nothing here knows."""
    labels = "rlnImageName rlnMicrographName rlnCoordinateX rlnCoordinateY rlnDefocusU rlnDefocusV rlnDefocusAngle "
    labels += "rlnOpticsGroup rlnAutopickFigureOfMerit rlnGroupNumber rlnAnglePsi rlnHelicalTubeID"
    optics = "rlnOpticsGroup rlnVoltage rlnSphericalAberration rlnAmplitudeContrast rlnImagePixelSize"
    head = "".join(f"_{label} #{k}\n" for k, label in enumerate(labels.split(), 1))
    random = np.random.default_rng(0)
    with path.open("w", encoding="utf-8") as file:
        file.write(
            "data_optics\nloop_\n" + "".join(f"_{label}\n" for label in optics.split()) + "7 300 2.7 0.1 1.5\n\n"
        )
        file.write(f"data_particles\nloop_\n{head}")
        for start in range(0, rows, BLOCK):
            for row, values in enumerate(random.normal(size=(BLOCK, 5)).tolist(), start):
                stack, number = divmod(row, 300)
                a, b, c, d, e = values
                file.write(
                    f"{number + 1:06d}@Extract/job010/mic_{stack:06d}.mrcs MotionCorr/job002/mic_{stack:06d}.mrc "
                    f"{2000 + 99 * a:12.6f} {2000 + 99 * b:12.6f} {15000 + c:12.6f} {15000 + d:12.6f} {90 * e:12.6f} "
                    f"7 {a:12.6f} {stack} {90 * b:12.6f} 1\n"
                )


def read_with_starfile(path: Path) -> int:
    import starfile

    return len(starfile.read(path))


def read_with_emtable(path: Path) -> int:
    import emtable

    return emtable.Table(fileName=str(path), tableName="particles").size()


TASKS: dict[str, Callable[[Path], int]] = {
    "ours": read_with_ours,
    "ours-write": write_with_ours,
    "ours-export": export_with_ours,
    "starfile": read_with_starfile,
    "emtable": read_with_emtable,
}


def measure(task: str, path: Path) -> tuple[float, float]:
    """CPU seconds and peak GB of a task in a process of its own; the import of libraries is not in the seconds."""
    command = [sys.executable, __file__, "--task", task, str(path)]
    output = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout
    figures = [json.loads(line) for line in output.splitlines()]
    return figures[0]["seconds"], figures[-1]["gigabytes"]


def run_task(task: str, path: Path) -> None:
    """In the child process: one task, and its figures as lines of JSON."""
    sys.path.insert(0, str(ROOT))
    import alignpca2d_core.io.particle_reading

    assert alignpca2d_core.io.particle_reading
    if importlib.util.find_spec(task):
        importlib.import_module(task)
    begun = time.process_time()
    TASKS[task](path)
    seconds = time.process_time() - begun
    scale = 1e9 if sys.platform == "darwin" else 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale
    print(json.dumps({"seconds": seconds, "gigabytes": peak}))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--ratio-rows", type=int, default=100_000)
    parser.add_argument("--task", nargs=2, metavar=("TASK", "FILE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.task:
        run_task(options.task[0], Path(options.task[1]))
        return
    with tempfile.TemporaryDirectory() as folder:
        large, small = Path(folder) / "large.xmd", Path(folder) / "small.xmd"
        write_example(large, options.rows)
        write_example(small, options.ratio_rows)
        print(f"{options.rows:,} rows, 18 columns, {large.stat().st_size / 1e6:.0f} MB")
        for name, task in (("read_particles", "ours"), ("write_particles", "ours-write")):
            seconds, gigabytes = measure(task, large)
            print(f"  {name:16s} {seconds:6.1f} s   peak {gigabytes:.2f} GB")
        star = Path(folder) / "large.star"
        write_star_example(star, options.rows)
        print(f"{options.rows:,} rows, 12 columns of RELION's, {star.stat().st_size / 1e6:.0f} MB")
        for name, task in (("read_particles", "ours"), ("export", "ours-export")):
            seconds, gigabytes = measure(task, star)
            print(f"  {name:16s} {seconds:6.1f} s   peak {gigabytes:.2f} GB")
        ours = measure("ours", small)[0]
        print(f"{options.ratio_rows:,} rows: ours {ours:.2f} s")
        for library in filter(importlib.util.find_spec, ("starfile", "emtable")):
            theirs = measure(library, small)[0]
            print(f"  {library:16s} {theirs:6.2f} s   {theirs / ours:.1f} times ours")


@pytest.mark.benchmark
def test_metadata(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The same under ``make bench-all``."""
    monkeypatch.setattr(sys, "argv", ["bench_metadata.py"])
    with capsys.disabled():
        main()


if __name__ == "__main__":
    main()
