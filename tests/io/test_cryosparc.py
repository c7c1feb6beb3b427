"""cryoSPARC's .cs files: a real one, and such as its own library writes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from simulated import SimulatedSet, run
from streams import step

from alignpca2d_core.commands.export import export
from alignpca2d_core.errors import InputError
from alignpca2d_core.evaluation.assignments import read_truth
from alignpca2d_core.fourier.rigid_transforms import from_relion
from alignpca2d_core.io.cryosparc import read_records
from alignpca2d_core.io.particle_reading import read_particles
from alignpca2d_core.io.stacks import StackReader, write_stack
from alignpca2d_core.io.star.star_reader import read_blocks
from alignpca2d_core.settings import ExportSettings

MICROGRAPH = (4092, 5760)


@pytest.mark.parametrize("has_tools", [True, False])
def test_a_real_file_says_what_its_star_says(
    shared_data: Path, has_tools: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if has_tools:
        pytest.importorskip("cryosparc.dataset")
    else:
        monkeypatch.setattr("alignpca2d_core.io.cryosparc._tools", lambda: None)
    folder = shared_data / "stacks/empiar10076"
    ours, star = read_particles(folder / "empiar_10076_7.cs"), read_particles(folder / "empiar_10076_7.star")
    assert (len(ours), ours.dialect) == (7, "cryosparc")
    assert ours.sampling_rate == pytest.approx(1.31, abs=1e-4)
    assert ours.image_names() == star.image_names()
    assert StackReader(ours).read(np.arange(7)).shape == (7, 320, 320)
    assert ours.ctf is not None
    assert star.ctf is not None
    for name in ("defocus_u", "defocus_v", "defocus_angle", "voltage", "spherical_aberration", "amplitude_contrast"):
        np.testing.assert_allclose(getattr(ours.ctf, name), getattr(star.ctf, name), rtol=1e-5)
    assert "dark" in ours.warnings[0]


class CryosparcFiles:
    """A simulated set as cryosparc-tools writes one: particles and, beside them, a pass-through file."""

    def __init__(self, folder: Path) -> None:
        self.tools: Any = pytest.importorskip("cryosparc.dataset")
        self.made = SimulatedSet.make(folder, particles=120, views=2, box=32, snr=0.5)
        particles, random = read_particles(self.made.metadata), np.random.default_rng(3)
        count, ctf = len(particles), particles.ctf
        assert ctf is not None
        uid = random.permutation(np.arange(1, count + 1, dtype=np.uint64)) * np.uint64(2**56 + 12345)
        self.path, self.passthrough = folder / "J5_particles.cs", folder / "J5_passthrough_particles.cs"
        self.values: dict[str, NDArray[Any]] = {
            "blob/path": np.full(count, ">particles.mrcs", dtype=object),
            "blob/idx": particles.index_in_stack.astype(np.uint32),
            "blob/shape": np.full((count, 2), 32, dtype=np.uint32),
            "blob/psize_A": np.full(count, 7.0, dtype=np.float32),
            "blob/sign": np.ones(count, dtype=np.float32),
            "ctf/accel_kv": ctf.voltage.astype(np.float32),
            "ctf/cs_mm": ctf.spherical_aberration.astype(np.float32),
            "ctf/amp_contrast": ctf.amplitude_contrast.astype(np.float32),
            "ctf/df1_A": ctf.defocus_u.astype(np.float32),
            "ctf/df2_A": ctf.defocus_v.astype(np.float32),
            "ctf/df_angle_rad": np.deg2rad(ctf.defocus_angle).astype(np.float32),
            "ctf/phase_shift_rad": np.zeros(count, dtype=np.float32),
            "ctf/tetra_A": random.normal(size=(count, 4)).astype(np.float32),
            "pick_stats/ncc_score": random.normal(size=count).astype(np.float32),
        }
        self.location: dict[str, NDArray[Any]] = {
            "location/micrograph_path": np.array([f">J2/m{k % 3}.mrc" for k in range(count)], dtype=object),
            "location/micrograph_shape": np.tile(np.array(MICROGRAPH, dtype=np.uint32), (count, 1)),
            "location/center_x_frac": random.uniform(size=count).astype(np.float32),
            "location/center_y_frac": random.uniform(size=count).astype(np.float32),
        }
        self.uid = uid
        self.save(self.path, uid, self.values)
        order = random.permutation(count)
        self.save(self.passthrough, uid[order], {name: value[order] for name, value in self.location.items()})

    def save(self, path: Path, uid: NDArray[np.uint64], values: dict[str, NDArray[Any]], **how: Any) -> None:
        shapes = [(name, "O" if v.dtype == object else v.dtype.str, *([v.shape[1:]] if v.ndim > 1 else []))
                  for name, v in values.items()]  # fmt: skip
        dataset = self.tools.Dataset.allocate(len(uid), shapes)
        dataset["uid"] = uid
        for name, value in values.items():
            dataset[name] = value
        dataset.save(str(path), **how)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> CryosparcFiles:
    return CryosparcFiles(tmp_path_factory.mktemp("cs"))


def test_in_and_out(files: CryosparcFiles, tmp_path: Path) -> None:
    """Every field comes back as it was under its uid, with the class and a pose that agrees with the truth."""
    result = run(files.path, tmp_path / "out", classes=2, passthrough=str(files.passthrough))
    paths, _ = export(tmp_path / "out", ExportSettings(cs=True, coordinates=True, micrograph_sampling_rate=7.0))
    assert {path.name for path in paths} >= {"particles.star", "particles.cs", "class_averages.cs", "coordinates.star"}
    back = files.tools.Dataset.load(str(tmp_path / "out/particles.cs"))
    used = result.assignments >= 0
    np.testing.assert_array_equal(back["uid"], files.uid[used])
    for name, value in {**files.values, **files.location}.items():
        np.testing.assert_array_equal(np.asarray(back[name]), value[used], name)
    np.testing.assert_array_equal(back["alignments2D/class"], result.assignments[used])
    shift, pose = np.asarray(back["alignments2D/shift"]), np.asarray(back["alignments2D/pose"])
    poses = from_relion(np.rad2deg(pose), shift[:, 0], shift[:, 1], 1.0)
    np.testing.assert_allclose(poses.shift_x_px, result.poses.shift_x_px[used], atol=1e-4)
    truth = read_truth(files.made.folder / "truth.csv")
    for k in range(2):
        views = truth.view[used][result.assignments[used] == k]
        assert np.bincount(views).max() > 0.95 * len(views)
    star = read_blocks(tmp_path / "out/particles.star")["particles"]
    np.testing.assert_allclose(star["rlnCoordinateX"], files.location["location/center_x_frac"][used] * MICROGRAPH[1])
    averages = files.tools.Dataset.load(str(tmp_path / "out/class_averages.cs"))
    assert list(averages["blob/idx"]) == [0, 1]


def test_other_metadata_out(files: CryosparcFiles, tmp_path: Path) -> None:
    run(files.made.metadata, tmp_path / "out", classes=2, iterations=1)
    export(tmp_path / "out", ExportSettings(cs=True))
    back = files.tools.Dataset.load(str(tmp_path / "out/particles.cs"))
    assert len(set(back["uid"])) == len(back)
    again, given = read_particles(tmp_path / "out/particles.cs"), read_particles(files.made.metadata)
    assert again.ctf is not None
    assert given.ctf is not None
    used = json.loads((tmp_path / "out/summary.json").read_text())["counts"]["classified"]
    assert len(again) == used
    if used == len(given):
        np.testing.assert_allclose(again.ctf.defocus_angle, given.ctf.defocus_angle, atol=1e-3)


def test_dark_particles_are_turned_over_each_by_its_own_sign(files: CryosparcFiles, tmp_path: Path) -> None:
    particles = read_particles(files.path)
    with StackReader(particles) as reader:
        images = reader.read(np.arange(len(particles)))
    sign = np.where(np.arange(len(images)) % 3 == 1, -1.0, 1.0).astype(np.float32)
    write_stack(tmp_path / "particles.mrcs", images * sign[:, None, None], 7.0)
    files.save(tmp_path / "P.cs", files.uid, {**files.values, "blob/sign": sign})
    mixed = read_particles(tmp_path / "P.cs")
    assert "40 of the particles are dark on a bright background: inverted" in mixed.warnings[0]
    with StackReader(mixed) as reader:
        np.testing.assert_array_equal(reader.read(np.arange(len(mixed))), images)
    # A stream keeps the sign, and says what else of the records it does not keep.
    step(tmp_path / "P.cs", tmp_path / "out", classes=2, initial_particles=50)
    kept = read_particles(tmp_path / "out/particles.xmd")
    with StackReader(kept) as reader:
        np.testing.assert_array_equal(reader.read(np.arange(len(kept))), images)
    _, warnings = export(tmp_path / "out", ExportSettings(cs=True))
    assert any("their uid and other fields are not in particles.cs" in line for line in warnings)
    back = files.tools.Dataset.load(str(tmp_path / "out/particles.cs"))
    np.testing.assert_array_equal(back["blob/sign"], sign)


def test_compressed_files(files: CryosparcFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files.save(tmp_path / "c.cs", files.uid, files.values, format=files.tools.CSDAT_FORMAT)
    np.testing.assert_array_equal(read_records(tmp_path / "c.cs")["uid"], files.uid)
    monkeypatch.setattr("alignpca2d_core.io.cryosparc._tools", lambda: None)
    with pytest.raises(InputError, match="extra 'cryosparc'"):
        read_records(tmp_path / "c.cs")


def test_what_is_missing_is_said(files: CryosparcFiles, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no blob/path; give the file that has it as --passthrough"):
        read_particles(files.passthrough)
    part = tmp_path / "part.cs"
    files.save(part, files.uid[:50], {name: value[:50] for name, value in files.location.items()})
    with pytest.raises(InputError, match="lacks 70 of the 120 particles"):
        read_particles(files.path, part)


@pytest.mark.parametrize("has_tools", [True, False])
def test_nothing_is_unpickled(tmp_path: Path, has_tools: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not has_tools:
        monkeypatch.setattr("alignpca2d_core.io.cryosparc._tools", lambda: None)
    np.save(tmp_path / "p.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    shutil.move(tmp_path / "p.npy", tmp_path / "p.cs")
    with pytest.raises(InputError, match="damaged"):
        read_particles(tmp_path / "p.cs")
    (tmp_path / "x.cs").write_bytes(b"\x93NUMPY\x01\x00")
    with pytest.raises(InputError, match="damaged"):
        read_particles(tmp_path / "x.cs")
    np.save(tmp_path / "q.npy", np.zeros((3, 3)))
    shutil.move(tmp_path / "q.npy", tmp_path / "q.cs")
    with pytest.raises(InputError, match="cryoSPARC"):
        read_particles(tmp_path / "q.cs")
