"""The documents: short where they must be, and true where a machine can tell."""

from __future__ import annotations

import argparse
import ast
import dataclasses
import os
import re
import shlex
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

import alignpca2d_core
from alignpca2d_core import settings
from alignpca2d_core.commands.command_line import make_parser
from alignpca2d_core.errors import InputError
from alignpca2d_core.io import read_particles
from alignpca2d_core.runtime.progress import Progress
from alignpca2d_core.settings import SimulationSettings
from alignpca2d_core.simulation.simulate import simulate

MOST_WORDS = 700
PERSONS = ("nobody", "somebody", "everybody", "everyone", "whoever", "dear")
RIDDLES = ("anew", "nought", "in vain", "company", "for who", "who is left", "to blame")
"""Words that particles and classes were once spoken of with."""
OUR_PROGRAMS = ("alignpca2d", "-m alignpca2d_core")
REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = sorted(path for path in (REPOSITORY / "docs").rglob("*.rst") if "_build" not in path.parts)
DOCUMENTS = [REPOSITORY / "README.rst", REPOSITORY / "CONTRIBUTING.rst", *PAGES]


def name_of(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


def local_targets(text: str) -> Iterator[str]:
    """Files that a document links to, shows or includes."""
    yield from (target for target in re.findall(r"`[^`<]+<([^`>]+)>`__?", text) if not re.match(r"\w+:", target))
    yield from re.findall(r"^\s*\.\. (?:image|figure|include|literalinclude):: (\S+)", text, re.MULTILINE)


def linked_pages(text: str) -> Iterator[str]:
    """Pages that a document names in ``:doc:``."""
    yield from (found[1] or found[0] for found in re.findall(r":doc:`([^`<]+?)\s*(?:<([^`>]+)>)?`", text))


def literal_blocks(text: str) -> Iterator[str]:
    """Indented blocks after ``::`` and of ``code-block::``, continued lines joined."""
    lines = text.splitlines()
    for start, line in enumerate(lines):
        if (line.endswith("::") and not re.match(r"\s*\.\. (?!code-block)", line)) or ".. code-block::" in line:
            indent = len(line) - len(line.lstrip())
            block = []
            for other in lines[start + 1 :]:
                if other.strip() and len(other) - len(other.lstrip()) <= indent:
                    break
                block.append(other.strip())
            yield "\n".join(block).replace("\\\n", "")


def commands(text: str) -> Iterator[str]:
    """Command lines of ours in literal blocks: what follows the program's name, up to a pipe or a comment."""
    for block in literal_blocks(text):
        for line in block.splitlines():
            for program in OUR_PROGRAMS:
                found = re.search(rf"(?:^|[/ ]){re.escape(program)} (?=[a-z-])(.+)", line)
                if found and not line.startswith("#"):
                    yield re.split(r"\s[|#]\s", found[1])[0].removesuffix(" ...")


def console_commands() -> list[tuple[str, str]]:
    return [(name_of(path), line) for path in DOCUMENTS for line in commands(path.read_text(encoding="utf-8"))]


def sections(text: str) -> list[str]:
    """A page's beginning, and its sections one level below the title."""
    return re.split(r"\n(?=[^\n]+\n-{3,}\n)", text)


@pytest.mark.parametrize("path", [path for path in PAGES if path.parent.name == "benchmarks"], ids=name_of)
def test_tables_of_figures_say_how_they_were_made(path: Path) -> None:
    """The command that prints a table, the date and the commit: in its section, or at the beginning of the page."""
    beginning, *others = sections(path.read_text(encoding="utf-8"))
    signs = {"command": r"``(?:python|alignpca2d) [^`]+``", "date": r"20\d\d-\d\d-\d\d", "commit": r"\b[0-9a-f]{7}\b"}
    for section in (beginning, *others):
        if re.search(r"^={3,}  +=", section, re.MULTILINE):
            said = beginning + section
            assert not [sign for sign, pattern in signs.items() if not re.search(pattern, said)], section[:60]


def test_a_new_reader_finds_the_rooms() -> None:
    """From README in two clicks: architecture, and the module where it is done."""
    assert "<docs/architecture.rst>`__ with a table of where to look" in (REPOSITORY / "README.rst").read_text("utf-8")
    table = (REPOSITORY / "docs/architecture.rst").read_text(encoding="utf-8")
    for question, module, done_there in (
        ("Where are particles searched?", "alignment.exhaustive_search", "def exhaustive("),
        ("Where is the CTF applied?", "preprocessing.preprocess", "contrast_transfer("),
        ("Where is a stream committed?", "streaming.store.stream_store", "def commit("),
    ):
        assert re.search(rf"{re.escape(question)} +:mod:`\.{re.escape(module)}`", table)
        path = REPOSITORY / "alignpca2d_core" / Path(*module.split(".")).with_suffix(".py")
        assert done_there in path.read_text(encoding="utf-8")


def test_readme_is_short() -> None:
    assert len((REPOSITORY / "README.rst").read_text(encoding="utf-8").split()) <= MOST_WORDS


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_local_links_lead_somewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    missing = [target for target in local_targets(text) if not (path.parent / target).exists()]
    missing += [page for page in linked_pages(text) if not (path.parent / f"{page}.rst").exists()]
    assert not missing


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_modules_that_are_named_exist(path: Path) -> None:
    missing = []
    for name in re.findall(r":mod:`[~.]*([\w.]+)`", path.read_text(encoding="utf-8")):
        parts = name.removeprefix("alignpca2d_core.").split(".")
        where = REPOSITORY / "alignpca2d_core" / Path(*parts)
        if not (where.with_suffix(".py").exists() or (where / "__init__.py").exists()):
            missing.append(name)
    assert not missing


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_files_that_are_named_exist(path: Path) -> None:
    """Names with a folder of the repository before them, in literals and in commands."""
    text = path.read_text(encoding="utf-8")
    named = re.findall(r"\b((?:alignpca2d_core|alignpca2d_plugin|benchmarks|tests|tools|docs)/[\w./-]+\w)", text)
    places = (REPOSITORY, REPOSITORY / "docs")
    missing = [
        name
        for name in named
        if not name.startswith("docs/_build")
        and not any((at / f"{name}{end}").exists() for at in places for end in ("", ".rst"))
    ]
    missing += [f"benchmarks/{name}" for name in re.findall(r"\b(bench_\w+\.py)", text)
                if not (REPOSITORY / "benchmarks" / name).exists()]  # fmt: skip
    assert not missing


def test_there_are_commands_to_try() -> None:
    assert len(console_commands()) >= 8


@pytest.mark.parametrize(("document", "line"), console_commands(), ids=lambda value: value[:60])
def test_commands_are_the_programs_own(document: str, line: str) -> None:
    words = shlex.split(line)
    if words == ["--help"]:
        return
    try:
        assert make_parser().parse_args(words).command == words[0]
    except InputError as error:
        pytest.fail(f"{document}: alignpca2d {line}: {error}")


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_benchmark_options_exist(path: Path) -> None:
    """Each option that a command of a benchmark names stands in its source."""
    unknown = []
    for script, options in re.findall(r"``python (benchmarks/\w+\.py)([^`]*)``", path.read_text(encoding="utf-8")):
        source = (REPOSITORY / script).read_text(encoding="utf-8")
        strings = {node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant)}
        shared = {"--threads", "--presets", "--seeds", "--work", "--device", "--quick"}
        unknown += [f"{script} {flag}" for flag in re.findall(r"--[\w-]+", options) if flag not in strings | shared]
    assert not unknown


@pytest.mark.parametrize("folder", ["docs", "alignpca2d_core", "alignpca2d_plugin", "tests", "benchmarks"])
def test_plain_words(folder: str) -> None:
    paths = [path for path in (REPOSITORY / folder).rglob("*") if path.suffix in (".py", ".rst", ".js")]
    paths += [REPOSITORY / name for name in ("README.rst", "CONTRIBUTING.rst", "CHANGES.txt")]
    words = re.compile(rf"\b(?:{'|'.join(PERSONS + RIDDLES)})\b", re.IGNORECASE)
    found = [
        f"{name_of(path)}: {word}"
        for path in paths
        if path != Path(__file__) and "_build" not in path.parts
        for word in words.findall(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_every_page_is_in_a_table_of_contents() -> None:
    index = (REPOSITORY / "docs" / "index.rst").read_text(encoding="utf-8")
    listed = {line.strip() for line in index.splitlines()}
    pages = {str(page.relative_to(REPOSITORY / "docs").with_suffix("")) for page in PAGES}
    assert pages - {"index"} - {page for page in pages if page.startswith("benchmarks/")} <= listed
    assert "benchmarks/index" in listed


def test_command_line_page_has_every_subcommand_and_parameter() -> None:
    text = (REPOSITORY / "docs" / "command_line.rst").read_text(encoding="utf-8")
    actions = make_parser()._actions
    subcommands = next(one for one in actions if isinstance(one, argparse._SubParsersAction)).choices
    assert set(re.findall(r"^\.\. subcommand:: (\w+)$", text, re.MULTILINE)) == set(subcommands)
    owners = {name for name, value in vars(settings).items() if dataclasses.is_dataclass(value)}
    assert set(re.findall(r"^\.\. parameters:: (\w+)$", text, re.MULTILINE)) == owners


def test_drawing_of_layers_has_every_sub_package() -> None:
    drawing = (REPOSITORY / "docs" / "images" / "layers.svg").read_text(encoding="utf-8")
    packages = [path.parent.name for path in (REPOSITORY / "alignpca2d_core").glob("*/__init__.py")]
    assert packages
    assert [name for name in packages if f"{name}/" not in drawing] == []


def test_the_python_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (REPOSITORY / "docs" / "python_api.rst").read_text(encoding="utf-8")
    example = textwrap.dedent(re.split(r"\n(?=\S)", page.split(".. code-block:: python\n")[1])[0])
    assert "classify(" in example
    simulate(
        SimulationSettings(particles=240, views=3, box=32, sampling_rate=7.0, snr=0.5), tmp_path, Progress(quiet=True)
    )
    monkeypatch.chdir(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", example],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "(6, 32, 32)" in done.stdout
    assert len(read_particles(tmp_path / "chosen.xmd"))


def test_python_page_has_every_public_name() -> None:
    page = (REPOSITORY / "docs" / "python_api.rst").read_text(encoding="utf-8")
    documented = re.findall(r"^\.\. auto\w+:: alignpca2d_core\.(\w+)$", page, re.MULTILINE)
    assert sorted(documented) == sorted(alignpca2d_core.__all__)
