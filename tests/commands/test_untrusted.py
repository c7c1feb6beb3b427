"""Files of unknown origin: nothing in them is run, and nothing in them leads outside the folders that were named."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from particle_files import CTF, ParticleFiles, two_views

QUICK = ("--classes", "2", "--resolution", "20", "--threads", "1", "--iterations", "1", "--quiet")
CODE_THAT_RUNS_DATA = {"pickle", "cPickle", "dill", "joblib", "shelve", "marshal", "cloudpickle"}
CALLS_THAT_RUN_DATA = {"eval", "exec", "compile", "system", "popen"}
BY_NAME_AND_OWNER = {("torch", "load"), ("torch", "save"), ("yaml", "load"), ("pd", "read_pickle"), ("np", "load")}


def trees(repository: Path) -> Iterator[tuple[Path, ast.AST]]:
    """The syntax of every file that is installed; tests and what they stand in with are not."""
    for package in ("alignpca2d_core", "alignpca2d_plugin"):
        for path in (repository / package).rglob("*.py"):
            if "tests" not in path.parts:
                yield path, ast.parse(path.read_text(encoding="utf-8"))


def danger_in(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
            yield from (name for name in names if name.split(".")[0] in CODE_THAT_RUNS_DATA)
        elif isinstance(node, ast.Call):
            called = node.func
            if isinstance(called, ast.Name) and called.id in CALLS_THAT_RUN_DATA:
                yield called.id
            if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name):
                name = called.value.id, called.attr
                plain = name == ("np", "load") and "allow_pickle=False" in ast.unparse(node)
                if (name in BY_NAME_AND_OWNER and not plain) or (called.value.id, called.attr) in {
                    ("os", "system"),
                    ("os", "popen"),
                }:
                    yield f"{called.value.id}.{called.attr}"
                if called.attr.endswith("_object") or called.attr.endswith("_object_list"):
                    yield called.attr
            for keyword in node.keywords:
                truth = isinstance(keyword.value, ast.Constant) and keyword.value.value is True
                if keyword.arg in ("shell", "allow_pickle") and truth:
                    yield f"{keyword.arg}=True"


def test_no_pickles_no_shells_nothing_evaluated(repository: Path) -> None:
    looked = list(trees(repository))
    assert len(looked) > 60
    found = {str(path.relative_to(repository)): list(danger_in(tree)) for path, tree in looked}
    assert {path: words for path, words in found.items() if words} == {}


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from joblib import load",
        "eval(text)",
        "os.system(line)",
        "torch.load(path)",
        "np.load(path, allow_pickle=True)",
        "np.load(path)",
        "subprocess.run(line, shell=True)",
        "dist.broadcast_object_list(parts)",
    ],
)
def test_the_search_for_them_finds_them(line: str) -> None:
    assert list(danger_in(ast.parse(line)))


NAMES = (
    "../../../victim.mrcs",
    "/victim.mrcs",
    "$(touch victim)",
    "`touch victim`",
    "; touch victim",
    "| touch victim",
    "-o victim",
    "--output=victim",
    "~/victim",
    "%s%n",
    "<script>alert(1)</script>",
    "stack\u202egpj.mrcs",
)


@pytest.mark.parametrize("name", NAMES)
def test_names_in_metadata_are_only_read(run_cli: Callable[..., Any], tmp_path: Path, name: str) -> None:
    """Images that are not there: refused, and nothing was made anywhere."""
    files = ParticleFiles(tmp_path / "input")
    files.write(two_views(8))
    head = "data_particles\nloop_\n_image\n_micrograph\n"
    rows = "".join(f'"{number}@{name}" "{name}"\n' for number in range(1, 9))
    files.metadata.write_text(head + rows, encoding="utf-8")
    before = sorted(tmp_path.rglob("*"))
    outcome = run_cli("classify", files.metadata, "-o", tmp_path / "out", *QUICK)
    assert outcome.code == 2
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", NAMES)
def test_columns_and_blocks_of_any_name_write_nowhere_else(
    run_cli: Callable[..., Any], tmp_path: Path, name: str
) -> None:
    """Labels, values and block names go into files of ours and never into their names."""
    files = ParticleFiles(tmp_path / "input")
    files.write(two_views(8), CTF)
    word = name.replace(" ", "_")
    rows = "".join(f'{number}@particles.mrcs "{name}" 1\n' for number in range(1, 9))
    text = f"data_{word}\nloop_\n_image\n_micrograph\n_{word}\n{rows}"
    files.metadata.write_text(text, encoding="utf-8")
    before = set(tmp_path.rglob("*"))
    outcome = run_cli("classify", files.metadata, "-o", tmp_path / "out", *QUICK)
    assert outcome.code in (0, 2), outcome
    made = set(tmp_path.rglob("*")) - before
    assert all(path == tmp_path / "out" or tmp_path / "out" in path.parents for path in made)
    assert not list(Path.cwd().glob("victim*"))
    if outcome.code == 0:
        assert {path.name for path in (tmp_path / "out").iterdir()} <= {
            "particles.xmd",
            "classes.xmd",
            "classes.mrcs",
            "gallery.png",
            "report.html",
            "summary.json",
            "state",
        }


def test_results_that_are_links_are_replaced_and_not_followed(run_cli: Callable[..., Any], tmp_path: Path) -> None:
    metadata = ParticleFiles(tmp_path / "input").write(two_views(8))
    victim = tmp_path / "victim"
    victim.write_text("mine")
    out = tmp_path / "out"
    out.mkdir()
    for name in ("particles.xmd", "classes.mrcs", "summary.json", "report.html"):
        (out / name).symlink_to(victim)
    assert run_cli("classify", metadata, "-o", out, *QUICK).code == 0
    assert victim.read_text() == "mine"
    assert not (out / "particles.xmd").is_symlink()
