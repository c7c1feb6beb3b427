"""What cannot be used is refused in one line with exit code 2; what can be put right is, and is recorded."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from particle_files import BOX, CTF, SAMPLING_RATE, ParticleFiles, two_views, write_metadata

from alignpca2d_core.io.particle_reading import read_particles
from alignpca2d_core.io.stacks import write_stack
from alignpca2d_core.io.star.star_reader import read_blocks

QUICK = ("--classes", "2", "--resolution", "12", "--threads", "1", "--quiet")

Run = Callable[..., Any]


@pytest.fixture
def files(tmp_path: Path) -> ParticleFiles:
    """Forty good particles, for a test to spoil."""
    files = ParticleFiles(tmp_path / "input")
    files.write(two_views(40))
    return files


def classify(run_cli: Run, metadata: Path, out: Path, *options: str) -> Any:
    return run_cli("classify", metadata, "-o", out, *QUICK, *options)


def assert_refused(outcome: Any, *words: str) -> None:
    """Exit code 2 and one line that says what and where."""
    assert outcome.code == 2, outcome
    assert outcome.out == ""
    lines = outcome.err.strip().splitlines()
    assert len(lines) == 1, outcome.err
    for word in words:
        assert word in lines[0]


def summary(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "summary.json").read_text(encoding="utf-8")))


def warnings_of(folder: Path) -> str:
    return "\n".join(summary(folder)["warnings"])


# ------------------------------------------------------------------------------------------------ metadata


def test_missing_metadata(run_cli: Run, tmp_path: Path) -> None:
    assert_refused(classify(run_cli, tmp_path / "nowhere.xmd", tmp_path / "out"), "nowhere.xmd")


def test_folder_instead_of_metadata(run_cli: Run, tmp_path: Path) -> None:
    assert_refused(classify(run_cli, tmp_path, tmp_path / "out"), str(tmp_path))


@pytest.mark.parametrize(
    "content",
    [b"", b"hello\n", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "data_particles\nloop_\n_image\nBlåbær".encode("latin-1")],
    ids=["empty", "no star file", "png", "not utf-8"],
)
def test_metadata_that_is_something_else(run_cli: Run, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "particles.xmd"
    path.write_bytes(content)
    assert_refused(classify(run_cli, path, tmp_path / "out"), "particles.xmd")


def test_metadata_without_images(run_cli: Run, tmp_path: Path) -> None:
    path = tmp_path / "particles.star"
    path.write_text("data_\nloop_\n_rlnDefocusU #1\n12000\n", encoding="utf-8")
    assert_refused(classify(run_cli, path, tmp_path / "out"), "particles.star")


def test_no_particles(run_cli: Run, files: ParticleFiles, tmp_path: Path) -> None:
    write_metadata(files.metadata, [])
    assert_refused(classify(run_cli, files.metadata, tmp_path / "out"), "particles.xmd")


def test_all_particles_disabled(run_cli: Run, files: ParticleFiles, tmp_path: Path) -> None:
    write_metadata(files.metadata, files.names(40), CTF | {"enabled": -1})
    assert_refused(classify(run_cli, files.metadata, tmp_path / "out"), "particles.xmd", "enabled")


@pytest.mark.parametrize("option", ["model", "wiener"])
def test_no_ctf_where_one_is_asked_for(run_cli: Run, files: ParticleFiles, tmp_path: Path, option: str) -> None:
    write_metadata(files.metadata, files.names(40))
    assert_refused(classify(run_cli, files.metadata, tmp_path / "out", "--ctf", option), "CTF", "particles.xmd")


def test_no_ctf_is_no_obstacle_by_default(run_cli: Run, files: ParticleFiles, tmp_path: Path) -> None:
    write_metadata(files.metadata, files.names(40))
    assert classify(run_cli, files.metadata, tmp_path / "out").code == 0
    assert "no CTF" in warnings_of(tmp_path / "out")
    assert classify(run_cli, files.metadata, tmp_path / "out", "--ctf", "none").code == 0
    assert summary(tmp_path / "out")["warnings"] == []


def test_unknown_sampling_rate(run_cli: Run, files: ParticleFiles, tmp_path: Path) -> None:
    write_stack(files.stack, two_views(40))
    with files.stack.open("r+b") as stack:
        stack.seek(40)
        stack.write(bytes(12))
    assert_refused(classify(run_cli, files.metadata, tmp_path / "out"), "--sampling-rate")
    assert classify(run_cli, files.metadata, tmp_path / "out", "--sampling-rate", "5").code == 0


# -------------------------------------------------------------------------------------------------- stacks


def test_missing_stack(run_cli: Run, files: ParticleFiles, tmp_path: Path) -> None:
    files.stack.unlink()
    assert_refused(classify(run_cli, files.metadata, tmp_path / "out"), "particles.mrcs")


@pytest.mark.parametrize("number", [0, 41])
def test_image_that_the_stack_has_not(run_cli: Run, files: ParticleFiles, tmp_path: Path, number: int) -> None:
    write_metadata(files.metadata, [*files.names(39), f"{number}@particles.mrcs"], CTF)
    assert_refused(classify(run_cli, files.metadata, tmp_path / "out"), "particles.mrcs", "40", str(number))


@pytest.mark.parametrize("length", [0, 500, 1024, 1024 + 4 * BOX * BOX * 39 + 17])
def test_truncated_stack(run_cli: Run, files: ParticleFiles, tmp_path: Path, length: int) -> None:
    files.stack.write_bytes(files.stack.read_bytes()[:length])
    assert_refused(classify(run_cli, files.metadata, tmp_path / "out"), "particles.mrcs")


def test_stack_that_is_something_else(run_cli: Run, files: ParticleFiles, tmp_path: Path) -> None:
    files.stack.write_text("version https://git-lfs.github.com/spec/v1\n" * 50, encoding="utf-8")
    assert_refused(classify(run_cli, files.metadata, tmp_path / "out"), "particles.mrcs")


def test_folder_instead_of_a_stack(run_cli: Run, files: ParticleFiles, tmp_path: Path) -> None:
    files.stack.unlink()
    files.stack.mkdir()
    assert_refused(classify(run_cli, files.metadata, tmp_path / "out"), "particles.mrcs")


def test_mixed_boxes(run_cli: Run, files: ParticleFiles, tmp_path: Path) -> None:
    write_stack(files.folder / "other.mrcs", two_views(4, box=36), SAMPLING_RATE)
    write_metadata(files.metadata, [*files.names(40), "000001@other.mrcs"], CTF)
    assert_refused(classify(run_cli, files.metadata, tmp_path / "out"), "other.mrcs", "32", "36")


def test_images_that_are_not_square(run_cli: Run, files: ParticleFiles, tmp_path: Path) -> None:
    write_stack(files.stack, two_views(40)[:, 4:], SAMPLING_RATE)
    assert_refused(classify(run_cli, files.metadata, tmp_path / "out"), "particles.mrcs", "32", "28")


def test_complex_images(run_cli: Run, files: ParticleFiles, tmp_path: Path) -> None:
    with files.stack.open("r+b") as stack:
        stack.seek(12)
        stack.write((4).to_bytes(4, "little"))
    assert_refused(classify(run_cli, files.metadata, tmp_path / "out"), "particles.mrcs", "complex")


def test_box_too_small_to_classify(run_cli: Run, tmp_path: Path) -> None:
    metadata = ParticleFiles(tmp_path / "input").write(two_views(10, box=2))
    assert_refused(classify(run_cli, metadata, tmp_path / "out"), "2")


# ------------------------------------------------------------------------------------------------- options


@pytest.mark.parametrize(
    "options",
    [
        ("--classes", "0"),
        ("--classes", "many"),
        ("--resolution", "0"),
        ("--resolution", "nan"),
        ("--variance", "1.5"),
        ("--sampling-rate", "-1"),
        ("--ctf", "magic"),
        ("--preset", "fast"),
        ("--mask-diameter", "0"),
        ("--iterations", "0"),
        ("--batch-size", "0"),
        ("--threads", "0"),
        ("--seed", "-1"),
        ("--seed", "99999999999999999999999"),
        ("--device", "tpu"),
        ("--device", "cuda:99"),
    ],
    ids=" ".join,
)
def test_option_out_of_its_bounds(run_cli: Run, files: ParticleFiles, tmp_path: Path, options: Sequence[str]) -> None:
    outcome = run_cli("classify", files.metadata, "-o", tmp_path / "out", *options)
    assert_refused(outcome, options[0])
    assert not (tmp_path / "out").exists()


def test_option_that_does_not_exist(run_cli: Run, files: ParticleFiles, tmp_path: Path) -> None:
    outcome = run_cli("classify", files.metadata, "-o", tmp_path / "out", "--klasses", "3")
    assert outcome.code == 2
    assert "--klasses" in outcome.err
    assert "Traceback" not in outcome.err


# -------------------------------------------------------------------------------------------------- output


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_output_that_cannot_be_a_folder(run_cli: Run, files: ParticleFiles, tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    assert_refused(classify(run_cli, files.metadata, tmp_path / place), str(tmp_path / place))
    assert (tmp_path / "file").read_text(encoding="utf-8") == "in the way"


def test_results_never_overwrite_their_input(run_cli: Run, files: ParticleFiles) -> None:
    before = files.metadata.read_bytes()
    assert_refused(classify(run_cli, files.metadata, files.folder), "particles.xmd")
    assert files.metadata.read_bytes() == before


def test_averages_never_overwrite_the_stack_that_was_classified(
    run_cli: Run, files: ParticleFiles, tmp_path: Path
) -> None:
    assert classify(run_cli, files.metadata, tmp_path / "out", "--classes", "3").code == 0
    averages = tmp_path / "out" / "classes.mrcs"
    before = averages.read_bytes()
    assert_refused(classify(run_cli, averages, tmp_path / "out", "--ctf", "none"), "classes.mrcs")
    assert averages.read_bytes() == before


def test_resume_where_nothing_was_begun_begins(run_cli: Run, files: ParticleFiles, tmp_path: Path) -> None:
    """A job that a queue starts again can always say --resume."""
    assert classify(run_cli, files.metadata, tmp_path / "out", "--resume").code == 0
    assert (tmp_path / "out" / "classes.xmd").is_file()


def test_resume_of_another_run(run_cli: Run, files: ParticleFiles, tmp_path: Path) -> None:
    assert classify(run_cli, files.metadata, tmp_path / "out").code == 0
    before = (tmp_path / "out" / "particles.xmd").read_bytes()
    assert_refused(classify(run_cli, files.metadata, tmp_path / "out", "--resume", "--seed", "7"), "seed", "out")
    assert (tmp_path / "out" / "particles.xmd").read_bytes() == before


# --------------------------------------------------------------------------------------------- corrections


def test_resolution_beyond_nyquist(run_cli: Run, files: ParticleFiles, tmp_path: Path) -> None:
    assert classify(run_cli, files.metadata, tmp_path / "out", "--resolution", "3").code == 0
    assert "Nyquist" in warnings_of(tmp_path / "out")
    assert summary(tmp_path / "out")["settings"]["resolution"] == 3.0


def test_nothing_to_warn_of(run_cli: Run, files: ParticleFiles, tmp_path: Path) -> None:
    assert classify(run_cli, files.metadata, tmp_path / "out").code == 0
    assert summary(tmp_path / "out")["warnings"] == []


@pytest.mark.filterwarnings("ignore:Data array contains:RuntimeWarning")
def test_bad_particles_are_set_aside_and_counted(run_cli: Run, files: ParticleFiles, tmp_path: Path) -> None:
    images = two_views(40)
    images[3, 5, 5] = np.nan
    images[7] = 1.5
    images[11, 0, 0] = np.inf
    images[12] = 0.0
    bad = [3, 7, 11, 12]
    files.write(images)
    assert classify(run_cli, files.metadata, tmp_path / "out").code == 0
    back = read_particles(tmp_path / "out" / "particles.xmd")
    assert len(back) == 40
    np.testing.assert_array_equal(np.flatnonzero(~back.enabled), bad)
    assert "4" in warnings_of(tmp_path / "out")
    assert summary(tmp_path / "out")["counts"]["unusable"] == 4
    classes = read_blocks(tmp_path / "out" / "classes.xmd")["classes"]
    assert classes["classCount"].sum() == 36


def test_more_classes_than_good_particles(run_cli: Run, files: ParticleFiles, tmp_path: Path) -> None:
    """Known only once the images are read: the number of classes is put right, and that is said."""
    images = two_views(40)
    images[10:] = 1.5
    files.write(images)
    assert classify(run_cli, files.metadata, tmp_path / "out", "--classes", "20").code == 0
    assert "--classes" in warnings_of(tmp_path / "out")
    assert summary(tmp_path / "out")["counts"]["classes"] == 10


@pytest.mark.parametrize("bad", [{"ctfVoltage": 0.0}, {"ctfDefocusU": float("nan")}, {"ctfQ0": 2.0}], ids=str)
def test_optics_that_make_no_sense(run_cli: Run, files: ParticleFiles, tmp_path: Path, bad: dict[str, float]) -> None:
    columns: dict[str, Any] = {name: [value] * 40 for name, value in CTF.items()}
    for name, value in bad.items():
        columns[name][4] = value
    write_metadata(files.metadata, files.names(40), columns)
    assert classify(run_cli, files.metadata, tmp_path / "out").code == 0
    assert "CTF" in warnings_of(tmp_path / "out")
    back = read_particles(tmp_path / "out" / "particles.xmd")
    np.testing.assert_array_equal(np.flatnonzero(~back.enabled), [4])


def test_batch_of_one(run_cli: Run, files: ParticleFiles, tmp_path: Path) -> None:
    assert classify(run_cli, files.metadata, tmp_path / "out", "--batch-size", "39").code == 0


def test_every_particle_bad(run_cli: Run, files: ParticleFiles, tmp_path: Path) -> None:
    files.write(np.ones((40, BOX, BOX), dtype=np.float32))
    assert_refused(classify(run_cli, files.metadata, tmp_path / "out"), "particles.xmd")


def test_disabled_particles_stay_disabled_in_place(run_cli: Run, files: ParticleFiles, tmp_path: Path) -> None:
    enabled = [1.0] * 40
    enabled[0] = enabled[20] = -1.0
    write_metadata(files.metadata, files.names(40), CTF | {"enabled": enabled})
    assert classify(run_cli, files.metadata, tmp_path / "out").code == 0
    back = read_particles(tmp_path / "out" / "particles.xmd")
    np.testing.assert_array_equal(np.flatnonzero(~back.enabled), [0, 20])
    np.testing.assert_array_equal(back.index_in_stack, np.arange(40))


def test_more_classes_than_particles(run_cli: Run, files: ParticleFiles, tmp_path: Path) -> None:
    assert_refused(classify(run_cli, files.metadata, tmp_path / "out", "--classes", "41"), "--classes", "41", "40")


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_handful_of_particles(run_cli: Run, files: ParticleFiles, tmp_path: Path, count: int) -> None:
    files.write(two_views(count))
    outcome = classify(run_cli, files.metadata, tmp_path / "out", "--classes", str(count))
    assert outcome.code == 0, outcome.err
    assert len(read_particles(tmp_path / "out" / "particles.xmd")) == count


@pytest.mark.parametrize(("scale", "offset"), [(1e12, 0.0), (1e-12, 0.0), (1.0, 1e4)])
def test_grey_scale_far_from_one(
    run_cli: Run, files: ParticleFiles, tmp_path: Path, scale: float, offset: float
) -> None:
    files.write((two_views(40) * scale + offset).astype(np.float32))
    assert classify(run_cli, files.metadata, tmp_path / "out").code == 0
    assert read_particles(tmp_path / "out" / "particles.xmd").enabled.all()


def test_one_particle_brighter_than_all_others_together(run_cli: Run, files: ParticleFiles, tmp_path: Path) -> None:
    images = two_views(40)
    images[4] *= 1e8
    files.write(images)
    assert classify(run_cli, files.metadata, tmp_path / "out").code == 0
    sizes = read_blocks(tmp_path / "out" / "classes.xmd")["classes"]["classCount"]
    assert sizes.min() >= 2


def test_all_particles_alike(run_cli: Run, files: ParticleFiles, tmp_path: Path) -> None:
    files.write(np.repeat(two_views(1), 40, axis=0))
    assert classify(run_cli, files.metadata, tmp_path / "out").code == 0
    assert read_particles(tmp_path / "out" / "particles.xmd").enabled.all()


def test_second_run_in_the_same_folder(run_cli: Run, files: ParticleFiles, tmp_path: Path) -> None:
    """The results are those of the second run, whole: nothing of the first is left beside them."""
    out = tmp_path / "out"
    assert classify(run_cli, files.metadata, out, "--classes", "3").code == 0
    files.write(two_views(30, seed=1))
    assert classify(run_cli, files.metadata, out).code == 0
    assert len(read_particles(out / "particles.xmd")) == 30
    assert len(read_particles(out / "classes.mrcs")) == 2
    assert not [path.name for path in out.rglob("*") if ".part" in path.name]
