"""The command line: help, exit codes, files, reproducibility, interruption."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from particle_files import ParticleFiles, two_views

import alignpca2d_core
from alignpca2d_core.commands.options import WITHOUT_EFFECT
from alignpca2d_core.io.particle_reading import read_particles
from alignpca2d_core.io.star.star_reader import read_blocks
from alignpca2d_core.settings import Settings, SimulationSettings

SUBCOMMANDS = ("classify", "simulate", "evaluate", "report")
QUICK = ("--classes", "2", "--resolution", "12", "--threads", "1", "--quiet")
MRC_HEADER_BYTES = 1024
RESULTS = ("particles.xmd", "classes.xmd", "classes.mrcs", "gallery.png", "report.html", "summary.json", "state")
SIMULATION = ("--particles", "120", "--views", "3", "--box", "32", "--sampling-rate", "6", "--snr", "0.5", "--quiet")

Run = Callable[..., Any]


@pytest.fixture
def metadata(tmp_path: Path) -> Path:
    return ParticleFiles(tmp_path / "input").write(two_views(60))


def checksums(folder: Path) -> dict[str, str]:
    """What must be the same whenever the same thing is computed: not summary.json nor the headers, which tell times."""
    sums = {}
    for name in ("classes.mrcs", "classes.xmd", "particles.xmd", "gallery.png"):
        content = (folder / name).read_bytes()
        sums[name] = hashlib.sha256(content[MRC_HEADER_BYTES:] if name.endswith(".mrcs") else content).hexdigest()
    return sums


def in_shell(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "alignpca2d_core", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, **options)


# ---------------------------------------------------------------------------------------------------- help


def test_help_names_every_subcommand(run_cli: Run) -> None:
    outcome = run_cli("--help")
    assert outcome.code == 0
    assert outcome.err == ""
    assert all(re.search(rf"^\s+{name}\s", outcome.out, re.MULTILINE) for name in SUBCOMMANDS)


def test_every_subcommand_has_help(run_cli: Run) -> None:
    listed = re.findall(r"^    (\w+)  +\w", run_cli("--help").out, re.MULTILINE)
    assert set(SUBCOMMANDS) <= set(listed)
    for name in listed:
        outcome = run_cli(name, "--help")
        assert outcome.code == 0
        assert len(outcome.out.splitlines()) > 5, name


@pytest.mark.parametrize(
    ("name", "owner"), [("classify", Settings), ("update", Settings), ("simulate", SimulationSettings)]
)
def test_help_shows_every_parameter_with_unit_and_default(run_cli: Run, name: str, owner: type) -> None:
    text = " ".join(run_cli(name, "--help").out.split()).partition(" examples: ")[0]
    without_effect = WITHOUT_EFFECT.get(name, ())
    for option in (one for one in dataclasses.fields(owner) if one.name not in without_effect):
        flag = "--" + option.name.replace("_", "-")
        assert flag in text
        assert option.metadata["help"].split()[0] in text
        if option.metadata["unit"]:
            described = text[text.rindex(flag + " ") :]
            assert option.metadata["unit"] in described.split(" --")[0] + described.split(" --")[1], flag


def test_without_a_subcommand_help_is_pointed_at(run_cli: Run) -> None:
    outcome = run_cli()
    assert outcome.code == 2
    assert outcome.err.count("\n") == 1
    assert "--help" in outcome.err


def test_version(run_cli: Run) -> None:
    outcome = run_cli("--version")
    assert outcome.code == 0
    assert alignpca2d_core.__version__ in outcome.out


def test_module_and_console_script_are_the_same_program() -> None:
    done = in_shell("--version")
    assert done.returncode == 0
    script = Path(sys.executable).with_name("alignpca2d")
    if not script.exists():
        pytest.skip("the package is not installed in this environment")
    assert subprocess.run([script, "--version"], capture_output=True, text=True).stdout == done.stdout


def test_user_errors_reach_the_shell_as_one_line(tmp_path: Path) -> None:
    done = in_shell("classify", tmp_path / "none.xmd", "-o", tmp_path / "out")
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1


# --------------------------------------------------------------------------------------------------- files


def test_simulate_classify_evaluate(run_cli: Run, tmp_path: Path) -> None:
    simulated, classes = tmp_path / "simulated", tmp_path / "classes"
    assert run_cli("simulate", "-o", simulated, *SIMULATION).code == 0
    for name in ("particles.mrcs", "particles.xmd", "truth.csv"):
        assert (simulated / name).is_file()
    options = ("--classes", "6", "--threads", "1", "--quiet", "--resolution", "12")
    assert run_cli("classify", simulated / "particles.xmd", "-o", classes, *options).code == 0
    assert {path.name for path in classes.iterdir()} == set(RESULTS)
    outcome = run_cli("evaluate", classes, "--truth", simulated / "truth.csv")
    assert outcome.code == 0
    assert "chance" in outcome.out
    assert "purity" in outcome.out
    agreement = run_cli("evaluate", classes, "--against", classes)
    assert agreement.code == 0
    assert re.search(r"\b1\.0+\b|\b100(\.0+)? ?%", agreement.out)


def test_summary_tells_what_was_done(run_cli: Run, metadata: Path, tmp_path: Path) -> None:
    assert run_cli("classify", metadata, "-o", tmp_path / "out", *QUICK, "--seed", "5").code == 0
    summary = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))
    text = json.dumps(summary)
    assert alignpca2d_core.__version__ in text
    assert summary["settings"]["seed"] == 5
    assert summary["settings"]["classes"] == 2
    assert summary["warnings"] == []
    assert summary["times"]


def test_all_classes_asked_for_are_delivered_largest_first(run_cli: Run, metadata: Path, tmp_path: Path) -> None:
    assert run_cli("classify", metadata, "-o", tmp_path / "out", *QUICK, "--classes", "5").code == 0
    particles = read_particles(tmp_path / "out" / "particles.xmd")
    sizes = np.bincount(particles.table["ref"].astype(int))[1:]
    assert len(sizes) == 5
    assert sizes.min() >= 1
    assert (np.diff(sizes) <= 0).all()


def test_names_with_spaces_and_quotes(run_cli: Run, tmp_path: Path) -> None:
    metadata = ParticleFiles(tmp_path / "it's my data").write(two_views(30))
    out = tmp_path / 'results of "today"'
    assert run_cli("classify", metadata, "-o", out, *QUICK).code == 0
    assert len(read_particles(out / "particles.xmd")) == 30


def test_image_names_resolve_from_where_the_command_ran(
    run_cli: Run, metadata: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_cli("classify", metadata.relative_to(tmp_path), "-o", "out", *QUICK).code == 0
    names = read_blocks("out/particles.xmd")["particles"]["image"]
    assert all(Path(str(name).partition("@")[2]).is_file() for name in names)


def test_output_folder_is_made_with_its_parents(run_cli: Run, metadata: Path, tmp_path: Path) -> None:
    assert run_cli("classify", metadata, "-o", tmp_path / "a" / "b", *QUICK).code == 0
    assert (tmp_path / "a" / "b" / "summary.json").is_file()


# ------------------------------------------------------------------------------------------- what is printed


def test_quiet_run_prints_nothing(run_cli: Run, metadata: Path, tmp_path: Path) -> None:
    outcome = run_cli("classify", metadata, "-o", tmp_path / "out", *QUICK)
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "")


def test_progress_is_plain_lines_where_there_is_no_terminal(metadata: Path, tmp_path: Path) -> None:
    done = in_shell("classify", metadata, "-o", tmp_path / "out", *QUICK[:-1])
    assert done.returncode == 0
    assert done.stderr.strip()
    assert "\r" not in done.stderr
    assert "\x1b" not in done.stderr


# ----------------------------------------------------------------------------------------- reproducibility


def test_same_seed_gives_the_same_files(run_cli: Run, metadata: Path, tmp_path: Path) -> None:
    for name in ("first", "second"):
        assert run_cli("classify", metadata, "-o", tmp_path / name, *QUICK, "--seed", "3").code == 0
    assert checksums(tmp_path / "first") == checksums(tmp_path / "second")


def test_same_simulation_seed_gives_the_same_files(run_cli: Run, tmp_path: Path) -> None:
    for name, seed in (("first", "0"), ("second", "0"), ("third", "1")):
        assert run_cli("simulate", "-o", tmp_path / name, *SIMULATION, "--seed", seed).code == 0
    first, second, third = (
        (tmp_path / name / "particles.mrcs").read_bytes()[MRC_HEADER_BYTES:] for name in ("first", "second", "third")
    )
    assert first == second
    assert first != third


# -------------------------------------------------------------------------------------------- interruption


@pytest.mark.parametrize(
    ("number", "moment"),
    [(signal.SIGINT, "."), (signal.SIGTERM, "."), (signal.SIGINT, "state/references.safetensors")],
    ids=["Ctrl-C at the start", "SIGTERM at the start", "Ctrl-C after stage 1"],
)
def test_interrupted_run_goes_on_where_it_was(
    run_cli: Run, tmp_path: Path, number: signal.Signals, moment: str
) -> None:
    metadata = ParticleFiles(tmp_path / "input").write(two_views(3000))
    options = ("--classes", "10", "--resolution", "12", "--threads", "1", "--initial-particles", "300")
    command = [sys.executable, "-m", "alignpca2d_core", "classify", metadata, "-o", tmp_path / "out", *options]
    with subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # A test run in the background of a shell would bequeath its deafness to Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        while process.poll() is None and not (tmp_path / "out" / moment).exists():
            time.sleep(0.01)
        process.send_signal(number)
        _, printed = process.communicate(timeout=60)
    assert process.returncode == 130, printed
    assert "Traceback" not in printed
    assert "--resume" in printed.splitlines()[-1]
    assert not (tmp_path / "out" / "classes.xmd").exists()

    resumed = run_cli("classify", metadata, "-o", tmp_path / "out", *options, "--resume")
    assert resumed.code == 0
    assert ("Continuing after stage 1" in resumed.err) == (moment != ".")
    assert run_cli("classify", metadata, "-o", tmp_path / "whole", *options, "--quiet").code == 0
    assert checksums(tmp_path / "out") == checksums(tmp_path / "whole")
