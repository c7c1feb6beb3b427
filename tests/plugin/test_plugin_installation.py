"""Where the plugin finds the core, and how Scipion's installer finds the plugin."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

pytest.importorskip("pwem")

from alignpca2d_plugin import installation

pytestmark = pytest.mark.scipion


@pytest.fixture
def own_environment(tmp_path: Path) -> Path:
    """The folder of the environment that Scipion's installer would make, and has not made."""
    return tmp_path / "env"


def test_the_core_is_found_in_the_plugins_own_interpreter(own_environment: Path) -> None:
    assert installation.find_python(str(own_environment)) == sys.executable


def test_the_environment_that_was_made_for_the_core_comes_first(own_environment: Path) -> None:
    python = Path(installation.core_python(str(own_environment)))
    python.parent.mkdir(parents=True)
    python.touch()
    assert installation.find_python(str(own_environment)) == str(python)


@pytest.mark.parametrize("version", [None, "1.13.1+cu117"])
def test_an_interpreter_without_the_cores_packages_is_not_taken(
    own_environment: Path, monkeypatch: pytest.MonkeyPatch, version: str | None
) -> None:
    """Scipion's own Python has no torch, or one of another plugin."""
    found = metadata.version

    def version_of(name: str) -> str:
        if name != "torch":
            return found(name)
        if version is None:
            raise metadata.PackageNotFoundError(name)
        return version

    monkeypatch.setattr(metadata, "version", version_of)
    assert installation.find_python(str(own_environment)) == installation.core_python(str(own_environment))


def test_looking_for_the_core_imports_neither_it_nor_torch() -> None:
    code = (
        "import sys, alignpca2d_plugin; alignpca2d_plugin.Plugin._defineVariables();"
        "print(alignpca2d_plugin.Plugin.getPython());"
        "print(sorted({'torch', 'alignpca2d_core'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[-3:-1] == [sys.executable, "[]"]


def test_a_plugin_without_metadata_still_loads(own_environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "DISTRIBUTION", "scipion-em-that-is-not-installed")
    assert installation.find_python(str(own_environment)) == installation.core_python(str(own_environment))


def test_a_requirement_of_torch_reaches_pip_as_it_was_given(tmp_path: Path) -> None:
    """The shell would take its signs for redirections."""
    words = ["torch>=2.13,<3", "--index-url", "https://download.pytorch.org/whl/cpu", "torch @ file:///a b"]
    given = "torch>=2.13,<3 --index-url https://download.pytorch.org/whl/cpu 'torch @ file:///a b'"
    for torch, expected in ((given, words), ("", [installation.TORCH])):
        command = installation.commands("true", torch)[1][0].partition(" -m pip install ")[2]
        done = subprocess.run(f"printf '%s\\n' {command}", shell=True, cwd=tmp_path, capture_output=True, text=True)
        assert done.stdout.splitlines() == expected
    assert list(tmp_path.iterdir()) == []
