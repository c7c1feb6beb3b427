"""What is installed, and what the documents promise about the commands."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from checkout import copy_tracked_files, tracked_files

import alignpca2d_core

TESTED_TORCH = "torch==2.13.0"


@pytest.fixture(scope="module")
def wheel(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel built from a copy of what git tracks, so that nothing lying about gets in."""
    pytest.importorskip("setuptools")
    copy = copy_tracked_files(repository, tmp_path_factory.mktemp("copy"))
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", "out"]
    command = [sys.executable, "-m", "pip", "wheel", *options, "."]
    built = subprocess.run(command, cwd=copy, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    return zipfile.ZipFile(next((copy / "out").glob("*.whl")))


def test_wheel_holds_every_tracked_file_of_both_packages(wheel: zipfile.ZipFile, repository: Path) -> None:
    tracked = tracked_files(repository)
    core = {f"alignpca2d_plugin/program/{name}" for name in tracked if name.startswith("alignpca2d_core/")}
    plugin = {name for name in tracked if name.startswith("alignpca2d_plugin/")}
    assert core
    assert plugin
    packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert packed == core | plugin | {"alignpca2d_core.pth"}


def test_metadata_say_who_and_where(wheel: zipfile.ZipFile) -> None:
    metadata = wheel.read(next(name for name in wheel.namelist() if name.endswith("/METADATA"))).decode()
    for line in (
        "Author: The AlignPCA-2D developers",
        "License: GPL-3.0-or-later",
        "Project-URL: Paper, https://journals.iucr.org/d/issues/2026/07/00/vo5022/index.html",
    ):
        assert f"\n{line}\n" in metadata


def test_bare_install_requires_nothing_and_allows_scipions_python(wheel: zipfile.ZipFile) -> None:
    metadata = wheel.read(next(name for name in wheel.namelist() if name.endswith("/METADATA"))).decode()
    required = [line for line in metadata.splitlines() if line.startswith("Requires-Dist:")]
    assert required
    assert all("extra ==" in line for line in required)
    assert "Requires-Python: >=3.8" in metadata
    assert f"Version: {alignpca2d_core.__version__}" in metadata


def test_every_requirement_is_bounded_from_below_and_above(wheel: zipfile.ZipFile) -> None:
    metadata = wheel.read(next(name for name in wheel.namelist() if name.endswith("/METADATA"))).decode()
    for line in re.findall(r"^Requires-Dist: (.*);", metadata, re.MULTILINE):
        assert ">=" in line, line
        assert re.search(r"<\d", line), line


def test_extras_hold_what_the_core_imports_and_no_more(wheel: zipfile.ZipFile, repository: Path) -> None:
    imported = set()
    for path in (repository / "alignpca2d_core").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                imported.add(node.module.split(".")[0])
    modules = {"pillow": "PIL"}
    metadata = wheel.read(next(name for name in wheel.namelist() if name.endswith("/METADATA"))).decode()
    required = re.findall(
        r"^Requires-Dist: ([\w-]+).*extra == .(?:core|report|simulate)\b", metadata, re.MULTILINE | re.IGNORECASE
    )
    assert imported - sys.stdlib_module_names == {modules.get(name, name) for name in required}


def test_entry_points(wheel: zipfile.ZipFile) -> None:
    points = wheel.read(next(name for name in wheel.namelist() if name.endswith("entry_points.txt"))).decode()
    assert "[console_scripts]\nalignpca2d = alignpca2d_core.__main__:main" in points
    assert "[pyworkflow.plugin]\nalignpca2d_plugin = alignpca2d_plugin" in points


def test_ci_runs_the_readmes_test_command(repository: Path) -> None:
    readme = (repository / "README.rst").read_text(encoding="utf-8")
    development = readme.split("\nDevelopment\n")[1]
    command = re.search(r"::\n\n    (.+)\n", development)
    assert command is not None
    assert command[1] in (repository / ".ci" / "run").read_text(encoding="utf-8").splitlines()


def test_torch_is_installed_first_and_by_its_exact_pin(repository: Path) -> None:
    makefile = (repository / "Makefile").read_text(encoding="utf-8")
    assert f"TORCH ?= {TESTED_TORCH}" in makefile
    assert makefile.index("install -q $(TORCH)") < makefile.index("install -q -e")
    for document in ("README.rst", "Makefile", ".ci/run", "docs/installation.rst", "tools/test_scipion.sh"):
        text = (repository / document).read_text(encoding="utf-8")
        assert not re.search(r"install.* torch(?!==)\b", text), document


def test_ci_installs_into_scipion_as_the_documents_say(repository: Path) -> None:
    script = (repository / "tools" / "test_scipion.sh").read_text(encoding="utf-8")
    for document in ("README.rst", "docs/installation.rst"):
        text = (repository / document).read_text(encoding="utf-8")
        assert re.search(r"^    scipion3 installp -p /path/to/scipion-em-alignpca2d --devel( |$)", text, re.MULTILINE)
    tests = re.search(r"^    scipion3 tests (\S+)$", text, re.MULTILINE)
    assert tests is not None
    assert f"tests={tests[1]}\n" in script
    assert "clone=$home/scipion-em-alignpca2d " in script
    assert "make test-scipion\n" in (repository / ".ci" / "run").read_text(encoding="utf-8")


def test_readme_and_makefile_name_the_same_targets(repository: Path) -> None:
    makefile = (repository / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    readme = (repository / "README.rst").read_text(encoding="utf-8")
    promised = set(re.findall(r"``make ([a-z-]+)``|^    make ([a-z-]+)$", readme, re.MULTILINE))
    assert {first or second for first, second in promised} <= targets
    assert {"venv", "demo", "test", "lint", "docs", "bench"} <= targets


def test_changes_tell_of_this_version(repository: Path) -> None:
    changes = (repository / "CHANGES.txt").read_text(encoding="utf-8")
    versions = re.findall(r"^(\d+\.\d+\.\d+), (?:in the works|\d{4}-\d\d-\d\d)$", changes, re.MULTILINE)
    assert changes.startswith(versions[0])
    assert alignpca2d_core.__version__ in versions[:2]  # the newest is in the works until it is released


def test_every_change_is_one_line(repository: Path) -> None:
    changes = (repository / "CHANGES.txt").read_text(encoding="utf-8")
    assert [line for line in changes.splitlines() if line and not re.match(r"- .{10,118}$|\d+\.\d+\.\d+, ", line)] == []


def test_citation_is_of_a_version_that_changes_tell_of(repository: Path) -> None:
    citation = (repository / "CITATION.cff").read_text(encoding="utf-8")
    cited = re.search(r"^version: (\S+)\ndate-released: (\S+)$", citation, re.MULTILINE)
    assert cited is not None
    assert f"{cited[1]}, {cited[2]}\n" in (repository / "CHANGES.txt").read_text(encoding="utf-8")
