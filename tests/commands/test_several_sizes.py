"""Optics groups of different pixel size, box and voltage in one run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from simulated import SimulatedSet, run
from streams import step

from alignpca2d_core.errors import InputError
from alignpca2d_core.evaluation.evaluate import evaluate
from alignpca2d_core.io.particle_reading import read_particles
from alignpca2d_core.io.star.star_reader import read_blocks
from alignpca2d_core.results.relion_export import export_relion
from alignpca2d_core.settings import EvaluationSettings

COMMON: dict[str, Any] = {"particles": 200, "views": 4, "snr": 0.1, "resolution": 12.0, "classes": 6}
SIMULATED = {key: COMMON[key] for key in ("particles", "views", "snr")}
SIZES = {"coarse": (48, 4.5, 300.0), "fine": (64, 3.4, 200.0), "other": (48, 4.5, 300.0), "small": (40, 4.5, 300.0)}
OPTICS = "OpticsGroup Voltage SphericalAberration AmplitudeContrast ImagePixelSize"


def joined(folder: Path, names: tuple[str, str]) -> SimulatedSet:
    """Two simulated sets of one specimen as optics groups 3 and 6 of one star file, with the truth of both."""
    folder.mkdir()
    optics, rows, truth = [], [], []
    for group, name in zip((3, 6), names, strict=True):
        box, rate, voltage = SIZES[name]
        changes = {"box": box, "sampling_rate": rate, "voltage": voltage, "seed": group}
        made = SimulatedSet.make(folder / name, **changes, **SIMULATED)
        particles = read_particles(made.metadata)
        ctf = particles.ctf
        assert ctf is not None
        optics.append(f"{group} {voltage} 2.7 {ctf.amplitude_contrast[0]} {rate}")
        head, *lines = (made.folder / "truth.csv").read_text().splitlines()
        truth += [head] if not truth else []
        for k, image in enumerate(particles.image_names()):
            rows.append(f"{image} {ctf.defocus_u[k]} {ctf.defocus_v[k]} {ctf.defocus_angle[k]} {group} {len(rows) + 1}")
            truth.append(f"{len(rows)},{lines[k].partition(',')[2]}")
    labels = "ImageName DefocusU DefocusV DefocusAngle OpticsGroup ImageId"
    tables = (("optics", OPTICS, optics), ("particles", labels, rows))
    texts = [
        f"data_{name}\n\nloop_\n" + "".join(f"_rln{label}\n" for label in columns.split()) + "\n".join(lines) + "\n\n"
        for name, columns, lines in tables
    ]
    (folder / "particles.star").write_text("".join(texts))
    (folder / "truth.csv").write_text("\n".join(truth) + "\n")
    return SimulatedSet(folder)


def purity(made: SimulatedSet, directory: Path) -> dict[str, float]:
    run(made.folder / "particles.star", directory, classes=COMMON["classes"], resolution=COMMON["resolution"])
    return evaluate(directory, EvaluationSettings(truth=str(made.folder / "truth.csv")))["truth"]["figures"]


def portions(made: SimulatedSet, count: int) -> tuple[Path, Path]:
    """The first particles of a set in one file, the others in another."""
    lines = (made.folder / "particles.star").read_text().splitlines()
    rows = [k for k, line in enumerate(lines) if "@" in line]
    paths = made.folder / "first.star", made.folder / "then.star"
    for path, kept in zip(paths, (rows[:count], rows[count:]), strict=True):
        path.write_text("\n".join([*lines[: rows[0]], *(lines[k] for k in kept), ""]))
    return paths


def test_stream_brings_particles_of_another_size_to_its_own(tmp_path: Path) -> None:
    made, out = joined(tmp_path / "set", ("coarse", "fine")), tmp_path / "out"
    changes = {key: COMMON[key] for key in ("classes", "resolution")}
    first, then = portions(made, COMMON["particles"])
    step(first, out, **changes)
    said = step(then, out, **changes)
    assert said["input"]["sampling_rate"] == 4.5
    assert any("particles of 64 px of 3.4 Å are brought to the stream's 48 px of 4.5 Å" in w for w in said["warnings"])
    found = evaluate(out, EvaluationSettings(truth=str(made.folder / "truth.csv")))["truth"]["figures"]
    assert found["purity"] > 0.95
    assert found["median_shift_px"] < 0.5
    ours = read_blocks(out / "particles.xmd")["particles"]
    np.testing.assert_allclose(ours["samplingRate"], np.repeat([4.5, 3.4], COMMON["particles"]))
    step(None, out, last=True, **changes)


def test_stream_that_began_with_several_sizes_goes_on_with_them(tmp_path: Path) -> None:
    made, out = joined(tmp_path / "set", ("coarse", "fine")), tmp_path / "out"
    changes = {key: COMMON[key] for key in ("classes", "resolution")}
    first, then = portions(made, COMMON["particles"] + COMMON["particles"] // 2)
    assert step(first, out, **changes)["input"]["grid"] == [48, 4.5]
    said = step(then, out, **changes)
    assert said["counts"]["classified"] == 2 * COMMON["particles"]
    last = step(None, out, last=True, **changes)
    # What is said of particles as they come is still said later.
    assert [line for line in said["warnings"] if "are brought to" in line] == [
        line for line in last["warnings"] if "are brought to" in line
    ]


def test_stream_refuses_images_that_lack_what_its_own_have(tmp_path: Path) -> None:
    made, out = joined(tmp_path / "set", ("fine", "small")), tmp_path / "out"
    changes = {key: COMMON[key] for key in ("classes", "resolution")}
    first, then = portions(made, COMMON["particles"])
    step(first, out, **changes)
    before = (out / "particles.xmd").read_bytes()
    with pytest.raises(InputError, match=r"images of 40 px of 4.5 Å are 180 Å wide, those of the stream 218; extract"):
        step(then, out, **changes)
    assert (out / "particles.xmd").read_bytes() == before


def test_mixture_is_as_pure_as_one_size(tmp_path: Path) -> None:
    mixed, single = joined(tmp_path / "mixed", ("coarse", "fine")), joined(tmp_path / "single", ("coarse", "other"))
    found, expected = purity(mixed, tmp_path / "a"), purity(single, tmp_path / "b")
    assert found["purity"] >= 0.99 * expected["purity"] > 0.95
    assert found["median_shift_px"] < 0.5
    said = json.loads((tmp_path / "a/summary.json").read_text())
    assert said["input"]["grid"] == [48, 4.5]
    assert any("brought to 48 px of 4.5 Å" in line for line in said["warnings"])
    # Shifts are in each particle's own pixels, origins in Å by the particle's own pixel size.
    ours = read_blocks(tmp_path / "a/particles.xmd")["particles"]
    export_relion(tmp_path / "a")
    star = read_blocks(tmp_path / "a/particles.star")
    np.testing.assert_array_equal(star["optics"]["rlnOpticsGroup"], [3, 6])
    own = np.hypot(ours["shiftX"], ours["shiftY"]) * np.where(star["particles"]["rlnOpticsGroup"] == 3, 4.5, 3.4)
    in_angstrom = np.hypot(star["particles"]["rlnOriginXAngst"], star["particles"]["rlnOriginYAngst"])
    np.testing.assert_allclose(in_angstrom, own, atol=1e-3)
    np.testing.assert_allclose(np.unique(ours["samplingRate"]), [3.4, 4.5])
