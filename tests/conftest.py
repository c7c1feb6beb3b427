"""What every test shares: third-party data and threads."""

from __future__ import annotations

import os
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
