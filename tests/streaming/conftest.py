"""A stream at several of its moments, made once for all tests."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from simulated import SimulatedSet
from streams import PORTIONS, cut, step, stream


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> SimulatedSet:
    return SimulatedSet.make(tmp_path_factory.mktemp("stream") / "set")


@pytest.fixture(scope="session")
def portions(simulated: SimulatedSet) -> list[Path]:
    """The set in portions of 60 particles."""
    return cut(simulated.metadata, simulated.folder, PORTIONS)


@pytest.fixture(scope="session")
def streamed(portions: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stream that has ended, undisturbed."""
    directory = tmp_path_factory.mktemp("streamed")
    stream(portions, directory)
    return directory


@pytest.fixture(scope="session")
def first_classes(portions: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stream whose classes have just been made, of two portions."""
    directory = tmp_path_factory.mktemp("begun")
    for path in portions[:2]:
        step(path, directory)
    return directory


@pytest.fixture(scope="session")
def three_portions(first_classes: Path, portions: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with a portion more."""
    directory = tmp_path_factory.mktemp("three")
    shutil.copytree(first_classes, directory, dirs_exist_ok=True)
    step(portions[2], directory)
    return directory


@pytest.fixture(scope="session")
def before_the_end(three_portions: Path, portions: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with all portions, still open."""
    directory = tmp_path_factory.mktemp("open")
    shutil.copytree(three_portions, directory, dirs_exist_ok=True)
    for path in portions[3:]:
        step(path, directory)
    return directory


@pytest.fixture
def begun(first_classes: Path, tmp_path: Path) -> Path:
    """A copy to go on with, as deep in the file system as the stream that it is a copy of."""
    shutil.copytree(first_classes, tmp_path, dirs_exist_ok=True)
    return tmp_path
