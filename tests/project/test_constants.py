"""docs/constants.rst: every number that the method rests on, with its value in the code and what chose it."""

from __future__ import annotations

import ast
import csv
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

LISTED = (
    *("alignment", "averaging", "choosing", "classification", "fourier", "maps", "preprocessing", "streaming"),
    *("results/class_quality.py", "results/consistency_checks.py", "results/contrast_check.py"),
)
"""Folders and modules of the core whose constants are on the page."""
PAGE = "docs/constants.rst"


def rows(repository: Path) -> Iterator[tuple[str, str, str, str]]:
    """Name, value, module and reason of each row of the page."""
    lines = (repository / PAGE).read_text(encoding="utf-8").splitlines()
    for name, value, module, reason in csv.reader(line.strip() for line in lines if line.startswith("   ``")):
        found = re.fullmatch(r":mod:`\.([\w.]+)`", module)
        assert found, module
        yield name.strip("`"), value, found[1], reason


def is_number(value: Any) -> bool:
    if isinstance(value, (tuple, list)):
        return bool(value) and all(map(is_number, value))
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def numbers_of(path: Path, module: str) -> Iterator[tuple[str, Any]]:
    """The constants at the top of a module that are numbers, or several of them."""
    loaded = importlib.import_module(f"alignpca2d_core.{module}")
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        for target in targets:
            for name in target.elts if isinstance(target, ast.Tuple) else [target]:
                if isinstance(name, ast.Name) and name.id.isupper() and is_number(getattr(loaded, name.id)):
                    yield name.id, getattr(loaded, name.id)


def constants(repository: Path) -> dict[tuple[str, str], Any]:
    """(module, name): value of every constant that belongs on the page."""
    core = repository / "alignpca2d_core"
    found = {}
    for place in LISTED:
        for path in sorted((core / place).rglob("*.py")) if (core / place).is_dir() else [core / place]:
            module = ".".join(path.relative_to(core).with_suffix("").parts).removesuffix(".__init__")
            found.update({(module, name): value for name, value in numbers_of(path, module)})
    return found


def test_every_constant_is_on_the_page_with_the_value_of_the_code(repository: Path) -> None:
    code = constants(repository)
    page = {(module, name): value for name, value, module, _ in rows(repository)}
    assert len(code) > 150
    missing = [f"{module}.{name} = {value}" for (module, name), value in code.items() if (module, name) not in page]
    assert not missing, f"{PAGE}: add a row for each, with what chose it"
    gone = [f"{module}.{name}" for module, name in page.keys() - code.keys()]
    assert not gone, f"{PAGE}: not in the code any more"
    other = [
        f"{module}.{name}: the page says {value}, the code {code[module, name]}"
        for (module, name), value in page.items()
        if ast.literal_eval(value) != pytest.approx(code[module, name], rel=1e-3)
    ]
    assert not other


def test_every_constant_has_a_reason(repository: Path) -> None:
    """A table of the benchmarks, a commit, the paper, or why it was not tuned."""
    kinds = r"docs?:|commit|paper|by hand|not tuned|no table|figures beside"
    vague = [name for name, _, _, reason in rows(repository) if not re.search(kinds, reason)]
    assert vague == []
