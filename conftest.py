"""Scipion's environment for every test, set before anything imports pyworkflow.

It stands at the root because importing ``alignpca2d_plugin/tests/conftest.py`` would import the plugin, and with it
pyworkflow, which reads its variables only once.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

OWN_FOLDER = "ALIGNPCA2D_TEST_HOME"


def _prepare_scipion() -> Path:
    path = Path(__file__).resolve().parent / "alignpca2d_plugin" / "environment.py"
    spec = importlib.util.spec_from_file_location("alignpca2d_plugin_environment", path)
    assert spec is not None and spec.loader is not None
    environment = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(environment)
    home = Path(os.environ.get(OWN_FOLDER) or tempfile.mkdtemp(prefix="alignpca2d-tests-"))
    os.environ.update(environment.scipion_variables(home))
    return home


assert "pyworkflow" not in sys.modules
SCIPION_HOME = _prepare_scipion()


@pytest.fixture(scope="session")
def scipion_home() -> Path:
    """The folder of the tests' own Scipion: projects are in data/projects."""
    return SCIPION_HOME


def pytest_unconfigure() -> None:
    if OWN_FOLDER not in os.environ:
        shutil.rmtree(SCIPION_HOME, ignore_errors=True)
