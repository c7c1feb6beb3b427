"""What stands between the protocol and the core: the job that runs it, and how its environment is built."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

JOB = Path(__file__).resolve().parents[2] / "alignpca2d_plugin" / "core_job.py"
FAKES = JOB.with_name("tests") / "fakes"
SECONDS = 20.0


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Start the job with the stand-in for the core, which behaves as it is told."""

    def start(how: str, *options: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, str(JOB), "--verdict", "verdict.json", *options, "--", "classify", "in.xmd", "-o", "."],
            env={**os.environ, "PYTHONPATH": str(FAKES), "FAKE_CORE": how},
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def verdict(folder: Path) -> dict[str, Any]:
    path = folder / "verdict.json"
    return json.loads(path.read_text()) if path.exists() else {}


def wait_until(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("how", "code", "message"),
    [
        ("silent", 0, ""),
        ("option", 2, "alignpca2d: error: --classes 0: must lie in [1, 100000]"),
        ("fault", 1, "MemoryError: DefaultCPUAllocator: can't allocate memory: you tried to allocate 123 bytes"),
        ("killed", 128 + 9, "alignpca2d_core was killed by SIGKILL (by a person, a queue or a time limit"),
    ],
)
def test_verdict_is_the_cores_own(start: Any, tmp_path: Path, how: str, code: int, message: str) -> None:
    job = start(how)
    out, err = job.communicate(timeout=SECONDS)
    assert job.returncode == code
    found = verdict(tmp_path)
    assert found["exit_code"] == code
    assert found["message"] == message if how != "killed" else found["message"].startswith(message)
    assert "Stage 1: 10 %" in out
    assert err.strip() == found["message"]


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("oom_kill 3\n", "oom_kill 4\n", "memory ran out"),
        ("oom_kill 3\n", "oom_kill 3\n", "says nothing of memory"),
        ("nr_dirty 1\n", "nr_dirty 1\n", "a time limit, or since memory ran out"),
        (None, None, "a time limit, or since memory ran out"),
    ],
)
def test_memory_is_blamed_only_where_the_system_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str | None, after: str | None, said: str
) -> None:
    spec = importlib.util.spec_from_file_location("core_job", JOB)
    job = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(job)
    counts = tmp_path / "vmstat"
    monkeypatch.setattr(job, "COUNTS_OF_THE_SYSTEM", str(counts))
    for text in (before, after):
        kills = job.memory_kills() if text is after else None
        if text is not None:
            counts.write_text("nr_free_pages 9\n" + text)
    assert said in job._killed_by(signal.SIGKILL, kills)
    assert job._killed_by(signal.SIGTERM, kills) == "was killed by SIGTERM"


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("silent", ""),
        ("option", "alignpca2d: error: --classes 0"),
        ("killed", "one of 2 processes of alignpca2d_core was killed by SIGKILL (by a person"),
    ],
)
def test_several_processes_end_with_the_cores_own_words(start: Any, tmp_path: Path, how: str, message: str) -> None:
    """Not with those of the launcher, which come last."""
    job = start(how, "--processes", "2")
    out, err = job.communicate(timeout=120)
    assert (job.returncode == 0) == (not message), err
    # When one of the two fails the launcher ends the other, which may not have said anything yet.
    assert out.count("Stage 1: 10 %") == 2 or (message and "Stage 1: 10 %" in out)
    found = verdict(tmp_path)
    assert found["exit_code"] == job.returncode
    assert found["message"].startswith(message)
    assert bool(found["message"]) == bool(message)


def test_progress_is_known_while_the_core_works(start: Any, tmp_path: Path) -> None:
    job = start("slow")
    wait_until(lambda: verdict(tmp_path).get("progress"))
    found = verdict(tmp_path)
    assert found.pop("job") == job.pid
    assert found.pop("core") != job.pid
    assert found == {"exit_code": None, "message": "", "progress": "Stage 1: 10 %"}
    job.send_signal(signal.SIGTERM)
    job.communicate(timeout=SECONDS)
    assert job.returncode == 128 + signal.SIGTERM
    assert verdict(tmp_path)["message"] == "alignpca2d_core was killed by SIGTERM"


def test_core_ends_with_its_protocol(start: Any, tmp_path: Path) -> None:
    """Also when no process reaps the protocol's process, which is then a zombie rather than gone."""
    with subprocess.Popen(["sleep", "600"]) as protocol:
        job = start("slow", "--while-alive", str(protocol.pid))
        wait_until(lambda: verdict(tmp_path).get("progress"))
        children = Path(f"/proc/{job.pid}/task/{job.pid}/children").read_text().split()
        assert len(children) == 1
        protocol.kill()
        job.communicate(timeout=SECONDS)
        assert not Path(f"/proc/{children[0]}").exists()
        assert job.returncode != 0


def test_environment_is_built_from_the_packages_own_requirements() -> None:
    pytest.importorskip("pwem", reason="Scipion is not installed")
    from alignpca2d_plugin import installation

    needs = installation.requirements()
    assert {need.split(">")[0].split("<")[0] for need in needs} >= {"torch", "numpy", "mrcfile", "pillow"}
    create, torch, others, link = (command for command, _ in installation.commands(torch="torch==1.2.3"))
    assert "venv" in create or "conda create" in create
    assert torch.endswith("pip install torch==1.2.3")
    assert "torch" not in others
    assert str(installation.core_source()) in link
    assert (Path(installation.core_source()) / "__main__.py").exists()
    assert installation.commands("eval hook &&")[0][0].startswith("eval hook && conda create")


def test_torch_is_pinned_unless_the_user_says_otherwise() -> None:
    pytest.importorskip("pwem", reason="Scipion is not installed")
    from alignpca2d_plugin import installation

    assert installation.commands("conda hook &&")[1][0].endswith("pip install torch==2.13.0")


def test_versions_are_one() -> None:
    pytest.importorskip("pwem", reason="Scipion is not installed")
    import alignpca2d_core
    import alignpca2d_plugin

    assert alignpca2d_plugin.__version__ == alignpca2d_core.__version__
