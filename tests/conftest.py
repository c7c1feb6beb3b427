"""What every test shares: third-party data and threads."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", str(min(2, os.cpu_count() or 1)))  # before torch is imported anywhere

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Third-party files that lie beside the checkout and are not part of it."""
    default = REPOSITORY.parent / "shared"
    folder = Path(os.environ.get("ALIGNPCA2D_SHARED", default)) / "data"
    if not folder.is_dir():
        pytest.skip(f"no third-party data in {folder}")
    return folder


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout that is tested."""
    return REPOSITORY


@dataclass(frozen=True)
class Outcome:
    """What a run of the command line left: its exit code and what it printed."""

    code: int
    out: str
    err: str


@pytest.fixture
def run_cli(capfd: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Run the core's command line in this process, which spares the import of torch in each test."""
    from alignpca2d_core.__main__ import main

    def run(*arguments: object) -> Outcome:
        capfd.readouterr()
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as exit_:
            code = exit_.code
        captured = capfd.readouterr()
        return Outcome(int(code or 0), captured.out, captured.err)

    return run
