"""The directive ``module-tables``: every module of a package with the first sentence of its docstring.

The modules are read, not imported.  Each becomes a target, so that ``:mod:`` anywhere in the documents leads there,
and a name without a module fails the build (``nitpicky``).  Its name there leads on to a page with its source.
"""

from __future__ import annotations

import ast
import html
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

PACKAGES = ("alignpca2d_core", "alignpca2d_plugin")
ROOT = Path(__file__).resolve().parents[2]
SOURCES = "source"
"""Folder of the site that holds the pages with sources."""


def summary(path: Path) -> str:
    """The first paragraph of a module's docstring, on one line."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return " ".join(text.split("\n\n")[0].split())


def module_name(path: Path) -> str:
    """The dotted name of a module or, for its ``__init__.py``, of a package."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def packages(folder: Path) -> Iterator[list[Path]]:
    """The modules of each package in a folder; a package's own ``__init__.py`` comes first."""
    modules = sorted(folder.glob("*.py"), key=lambda path: (path.name != "__init__.py", path.name))
    if modules:
        yield [path for path in modules if path.name not in ("__main__.py", "conftest.py")]
    for child in sorted(folder.iterdir()):
        if (child / "__init__.py").exists():
            yield from packages(child)


class ModuleTables(SphinxDirective):
    """``.. module-tables:: alignpca2d_core``"""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        domain = self.env.domains["py"]
        sections: list[nodes.Node] = []
        for modules in packages(ROOT / self.arguments[0]):
            names = {path: module_name(path) for path in modules}
            for path, name in names.items():
                self.env.note_dependency(str(path))
                domain.note_module(name, f"module-{name}", summary(path), "", False)
                domain.note_object(name, "module", f"module-{name}")
            sections.append(self.section(names))
        return sections

    def section(self, names: dict[Path, str]) -> nodes.section:
        """A package's heading, what it says of itself, and a list of its modules."""
        first, *others = names
        title = names[first]
        section = nodes.section(ids=[f"module-{title}"])
        section += nodes.title(text=title)
        lines = [summary(first), ""]
        if not others:
            lines = [f"`{first.name} <{SOURCES}/{title}.html>`__: {summary(first)}", ""]
        for path in others:
            lines += [f"`{path.name} <{SOURCES}/{names[path]}.html>`__", f"   {summary(path)}", ""]
        body = nodes.Element()
        self.state.nested_parse(StringList(lines, source=str(first)), self.content_offset, body)
        section += body.children
        items = [item for each in section.findall(nodes.definition_list) for item in each.children]
        for item, path in zip(items, others, strict=True):
            item["ids"].append(f"module-{names[path]}")
        return section


def source_pages(app: Sphinx) -> Iterator[tuple[str, dict[str, str], str]]:
    """A page with the source of each module: its name, what it shows, and the template that it is shown in."""
    for path in (module for package in PACKAGES for modules in packages(ROOT / package) for module in modules):
        source = path.read_text(encoding="utf-8")
        highlighted = app.builder.highlighter.highlight_block(source, "python", linenos="inline")
        title = html.escape(module_name(path))
        body = f"<h1>{title.replace('.', '.<wbr>')}</h1>{highlighted}"
        yield f"{SOURCES}/{module_name(path)}", {"title": title, "body": body}, "page.html"


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive, and the pages that it leads to."""
    app.add_directive("module-tables", ModuleTables)
    app.connect("html-collect-pages", source_pages)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
