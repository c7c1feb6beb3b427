"""The files of the checkout that is tested."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest


def tracked_files(repository: Path) -> list[str]:
    """What git tracks and is there, relative to the root."""
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=repository, capture_output=True, text=True)
    if listing.returncode:
        pytest.skip("not a git checkout")
    return [name for name in listing.stdout.split("\0") if name and (repository / name).is_file()]


def copy_tracked_files(repository: Path, folder: Path) -> Path:
    """Copy what git tracks, so that nothing lying about gets in, and return the folder."""
    for name in tracked_files(repository):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(repository / name, folder / name)
    return folder
