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
from collections import Counter
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


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with tests of windows come first, as they wait more than they compute; then those with the most tests."""
    tests = Counter(item.path for item in items)
    windows = {item.path for item in items if item.get_closest_marker("gui")}
    items.sort(key=lambda item: (item.path not in windows, -tests[item.path]))


def pytest_unconfigure() -> None:
    if OWN_FOLDER not in os.environ:
        shutil.rmtree(SCIPION_HOME, ignore_errors=True)
