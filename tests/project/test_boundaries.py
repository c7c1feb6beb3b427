"""The two packages meet only at a command line and files, and neither needs the other's world."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

TORCH_WORLD = ("torch", "safetensors")
UNPICKLERS = ("pickle", "cPickle", "dill", "joblib", "marshal", "shelve")
SCIPION_WORLD = ("pyworkflow", "pwem", "xmipp3", "xmippLib", "emtable", "scipion", "metadataviewer")
PLUGINS_OLDEST_PYTHON = (3, 8)

# Run in a fresh interpreter: imports every module of a package while some others cannot be imported.
IMPORT_ALL = """
import importlib, importlib.abc, pkgutil, sys
package, skipped, forbidden = sys.argv[1], sys.argv[2].split(","), sys.argv[3:]

class Blocker(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in forbidden:
            raise ModuleNotFoundError("blocked: " + name, name=name)

sys.meta_path.insert(0, Blocker())
names = [package]
for module in pkgutil.walk_packages(importlib.import_module(package).__path__, package + "."):
    if module.name.rsplit(".", 1)[-1] not in ("__main__", "conftest", *skipped):
        names.append(module.name)
for name in names:
    importlib.import_module(name)
print(len(names), "modules")
"""


def sources(repository: Path, *folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((repository / folder).rglob("*.py"))]


def imported_modules(tree: ast.AST) -> Iterator[str]:
    """The first part of every absolute import in a module, wherever in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.split(".")[0]


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """Every call in a module with the dotted name of what it calls."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def import_all(
    repository: Path, package: str, forbidden: tuple[str, ...], skipped: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, package, ",".join(skipped), *forbidden],
        cwd=repository,
        capture_output=True,
        text=True,
        timeout=300,
    )


LAYERS = (
    "errors",
    "parameters",
    "realistic_preset",
    "result_settings",
    "settings",
    "runtime",
    "fourier",
    "io",
    "preprocessing",
    "alignment",
    "averaging",
    "state",
    "classification",
    "results",
    "choosing",
    "maps",
    "report",
    "streaming",
    "simulation",
    "evaluation",
    "commands",
    "__main__",
)
"""Of the core, from the ground up: each imports from those before it alone."""


def imported_layers(path: Path, core: Path) -> Iterator[str]:
    """The layers that a module of the core imports from, at its top, inside functions, or for types alone."""
    place = path.relative_to(core).with_suffix("").parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = place[: len(place) - node.level]
            module = (*base, *(node.module or "").split(".")) if node.module else base
            yield from (module[0],) if module else (name.name for name in node.names)


def test_layers_of_the_core_import_downwards(repository: Path) -> None:
    core = repository / "alignpca2d_core"
    found = {entry.stem for entry in core.iterdir() if entry.suffix == ".py" or (entry / "__init__.py").is_file()}
    assert found - {"__init__"} == set(LAYERS)
    upward = [
        f"{path.relative_to(core)} imports {layer}"
        for path in sorted(core.rglob("*.py"))
        if path != core / "__init__.py"
        for layer in imported_layers(path, core)
        if layer in LAYERS and LAYERS.index(layer) > LAYERS.index(path.relative_to(core).with_suffix("").parts[0])
    ]
    assert upward == []


def own_imports(path: Path, root: Path) -> Iterator[str]:
    """The modules of its package that a module imports, anywhere in it, by their dotted names."""
    place = path.relative_to(root).with_suffix("").parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = (*place[: len(place) - node.level], *((node.module or "").split(".") if node.module else ()))
            yield ".".join(base)
            yield from (".".join((*base, name.name)) for name in node.names)


@pytest.mark.parametrize("package", ["alignpca2d_core", "alignpca2d_plugin"])
def test_no_module_imports_itself_by_way_of_others(repository: Path, package: str) -> None:
    root = repository / package
    paths = {".".join(path.relative_to(root).with_suffix("").parts): path for path in root.rglob("*.py")}
    left = {name: set(own_imports(path, root)) & set(paths) for name, path in paths.items()}
    while leaves := {name for name, others in left.items() if not others & set(left)}:
        left = {name: others for name, others in left.items() if name not in leaves}
    assert sorted(left) == []


def test_folders_are_small(repository: Path) -> None:
    """No folder of more than 15 modules, and each package says what it is for and what it offers."""
    for folder in (repository / "alignpca2d_core", repository / "alignpca2d_plugin"):
        for package in {path.parent for path in folder.rglob("*.py")}:
            assert len(list(package.glob("*.py"))) <= 16, f"{package}: more than 15 modules beside __init__"
    for face in (repository / "alignpca2d_core").rglob("__init__.py"):
        assert ast.get_docstring(ast.parse(face.read_text(encoding="utf-8"))), f"{face} does not say what it is for"


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [
        ("alignpca2d_core", ("alignpca2d_plugin", *SCIPION_WORLD)),
        ("alignpca2d_plugin", ("alignpca2d_core", *TORCH_WORLD)),
    ],
)
def test_no_package_imports_the_others_world(repository: Path, package: str, forbidden: tuple[str, ...]) -> None:
    modules = sources(repository, package)
    assert modules
    offences = [
        f"{path.relative_to(repository)}: {name}"
        for path in modules
        for name in imported_modules(ast.parse(path.read_text(encoding="utf-8")))
        if name in forbidden
    ]
    assert not offences


def test_core_imports_without_scipion(repository: Path) -> None:
    done = import_all(repository, "alignpca2d_core", ("alignpca2d_plugin", *SCIPION_WORLD))
    assert done.returncode == 0, done.stderr


def test_core_imports_without_the_packages_of_its_optional_extras(repository: Path) -> None:
    optional = ("matplotlib", "PIL", "gemmi", "scipy", "skimage", "sklearn")
    done = import_all(repository, "alignpca2d_core", optional, skipped=("report",))
    assert done.returncode == 0, done.stderr


@pytest.mark.scipion
def test_plugin_imports_without_torch(repository: Path) -> None:
    if importlib.util.find_spec("pwem") is None:
        pytest.skip("Scipion is not installed")
    done = import_all(repository, "alignpca2d_plugin", ("alignpca2d_core", *TORCH_WORLD))
    assert done.returncode == 0, done.stderr


def test_blocked_imports_are_noticed(repository: Path) -> None:
    done = import_all(repository, "alignpca2d_core", ("numpy",))
    assert done.returncode != 0
    assert "blocked: numpy" in done.stderr


def test_plugin_compiles_for_scipions_oldest_python(repository: Path) -> None:
    modules = sources(repository, "alignpca2d_plugin")
    assert modules
    for path in (*modules, repository / "setup.py"):
        ast.parse(path.read_text(encoding="utf-8"), str(path), feature_version=PLUGINS_OLDEST_PYTHON)


def test_no_source_unpickles_or_runs_text(repository: Path) -> None:
    offences = []
    for path in sources(repository, "alignpca2d_core", "alignpca2d_plugin", "benchmarks"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        where = path.relative_to(repository)
        offences += [f"{where}: import {name}" for name in imported_modules(tree) if name in UNPICKLERS]
        for name, call in calls(tree):
            keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
            if (
                name in ("eval", "exec", "torch.load", "torch.save", "os.system", "os.popen")
                or keywords.get("shell", "False") != "False"
                or keywords.get("allow_pickle", "False") != "False"
            ):
                offences.append(f"{where}:{call.lineno}: {ast.unparse(call)[:80]}")
    assert not offences


def test_no_file_names_a_place_of_one_machine(repository: Path) -> None:
    places = r"(^|[^[:alnum:]._/~-])/(work|root|home|Users|tmp/dev)/"
    command = ["git", "grep", "-nIE", places, "--", ".", ":!tests/project/test_boundaries.py"]
    listing = subprocess.run(command, cwd=repository, capture_output=True, text=True)
    if listing.returncode > 1:
        pytest.skip("not a git checkout")
    assert listing.stdout == ""


def test_modules_have_at_most_300_lines(repository: Path) -> None:
    """Modules of 300 lines and more hold more than one idea."""
    long = {
        str(path.relative_to(repository)): lines
        for path in sources(repository, "alignpca2d_core", "alignpca2d_plugin")
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 300
    }
    assert not long


MOST_LINES, MOST_ARGUMENTS = 42, 6


def functions(path: Path) -> Iterator[tuple[ast.FunctionDef, int, int]]:
    """The functions of a module, their lines without the docstring, and how many arguments they take."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef):
            first, given = node.body[0], node.args
            said = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
            docstring = (first.end_lineno or 0) - first.lineno + 1 if said else 0
            names = [one.arg for one in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
            yield node, (node.end_lineno or 0) - node.lineno + 1 - docstring, len({*names} - {"self", "cls"})


def test_functions_fit_the_screen_and_take_few_arguments(repository: Path) -> None:
    long, many = [], []
    for path in sources(repository, "alignpca2d_core", "alignpca2d_plugin"):
        for node, lines, arguments in functions(path):
            where = f"{path.relative_to(repository)}: {node.name}"
            long += [f"{where} has {lines} lines"] if lines > MOST_LINES else []
            if arguments > MOST_ARGUMENTS:
                many.append(f"{where} has {arguments} arguments: make a value of those that go together")
    assert long == []
    assert many == []


def test_test_modules_have_one_subject(repository: Path) -> None:
    lines = {
        str(path.relative_to(repository)): len(path.read_text(encoding="utf-8").splitlines())
        for path in sources(repository, "tests")
        if path.name.startswith("test_")
    }
    assert {name: count for name, count in lines.items() if count > 400} == {}


def test_the_python_interface_is_there_and_loads_nothing_before_it_is_used() -> None:
    script = (
        "import sys, alignpca2d_core as core; assert 'torch' not in sys.modules;"
        "assert all(getattr(core, name).__module__.startswith('alignpca2d_core.') for name in core.__all__);"
        "assert not hasattr(core, 'nothing')"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
