"""tools/find_python.sh finds an interpreter that Scipion supports, whatever comes first on PATH."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = ("sh", "sort", "head", "cut", "cat")

# A stand-in for another version: runs the given code with sys.version_info changed.
PRETEND = """#!{shell}
exec {python} -c 'import sys; sys.version_info = ({major}, {minor}, 0, "final", 0); sys.executable = "{path}"
exec(sys.argv[2])' "$@"
"""


class Machine:
    """A machine whose PATH holds only the interpreters that a test puts there."""

    def __init__(self, folder: Path, repository: Path) -> None:
        self.bin, self.home, self.repository = folder / "bin", folder / "home", repository
        self.bin.mkdir()
        self.home.mkdir()
        for tool in TOOLS:
            self.bin.joinpath(tool).symlink_to(str(shutil.which(tool)))

    def script(self, path: Path, text: str) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
        return path

    def python(self, path: Path, major: int, minor: int) -> Path:
        text = PRETEND.format(shell=shutil.which("sh"), python=sys.executable, major=major, minor=minor, path=path)
        return self.script(path, text)

    def find(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": str(self.bin), "HOME": str(self.home)}
        command = ["sh", str(self.repository / "tools" / "find_python.sh"), *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True)


@pytest.fixture
def machine(tmp_path: Path, repository: Path) -> Machine:
    return Machine(tmp_path, repository)


def test_newer_python3_is_passed_over(machine: Machine) -> None:
    machine.python(machine.bin / "python3", 3, 12)
    wanted = machine.python(machine.bin / "python3.11", 3, 11)
    assert machine.find().stdout.strip() == str(wanted)


def test_python_3_11_is_preferred_to_3_10(machine: Machine) -> None:
    machine.python(machine.bin / "python3.10", 3, 10)
    wanted = machine.python(machine.bin / "python3", 3, 11)
    assert machine.find().stdout.strip() == str(wanted)


def test_python_3_10_will_do(machine: Machine) -> None:
    machine.python(machine.bin / "python3", 3, 13)
    wanted = machine.python(machine.bin / "python3.10", 3, 10)
    assert machine.find().stdout.strip() == str(wanted)


def test_shim_that_leads_nowhere_is_passed_over_for_what_pyenv_has(machine: Machine) -> None:
    machine.script(machine.bin / "python3.11", "#!/bin/sh\necho 'pyenv: python3.11: command not found' >&2\nexit 127\n")
    wanted = machine.python(machine.home / ".pyenv" / "versions" / "3.11.7" / "bin" / "python3", 3, 11)
    assert machine.find().stdout.strip() == str(wanted)


def test_one_line_says_what_to_install(machine: Machine) -> None:
    machine.python(machine.bin / "python3", 3, 12)
    found = machine.find()
    assert found.returncode == 1
    assert found.stdout == ""
    assert found.stderr.count("\n") == 1
    assert "python3.11" in found.stderr


def test_the_interpreter_that_was_named_is_the_only_candidate(machine: Machine) -> None:
    machine.python(machine.bin / "python3.11", 3, 11)
    newer = machine.python(machine.home / "python3.12", 3, 12)
    found = machine.find(str(newer))
    assert found.returncode == 1
    assert found.stderr.startswith(str(newer))


def test_path_with_spaces(machine: Machine) -> None:
    wanted = machine.python(machine.home / "my tools" / "python3.11", 3, 11)
    assert machine.find(str(wanted)).stdout.strip() == str(wanted)
