"""The directive ``form-parameters``: the parameters of a Scipion form, read from its source.

The form is not imported: it needs Scipion.  Its calls ``form.addParam(name, ..., default=, label=, help=)`` are read,
and names of the plugin's ``constants.py`` are resolved.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

PLUGIN = Path(__file__).resolve().parents[2] / "alignpca2d_plugin"
SCIPIONS = {"USE_GPU": "useGpu", "GPU_LIST": "gpuList"}
"""Constants of pyworkflow that name parameters."""


def constants(path: Path) -> dict[str, Any]:
    """Names of a module that stand for literal values."""
    found: dict[str, Any] = dict(SCIPIONS)
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], (ast.Name, ast.Tuple)):
            target, value = node.targets[0], node.value
            if isinstance(target, ast.Tuple) and ast.unparse(value).startswith("range("):
                found |= {str(name.id): number for number, name in enumerate(target.elts) if isinstance(name, ast.Name)}
            elif isinstance(target, ast.Name):
                try:
                    found[target.id] = ast.literal_eval(value)
                except ValueError:
                    continue
    return found


def resolved(node: ast.expr | None, names: dict[str, Any]) -> Any:
    """The value of a literal, a name that is known, or an f-string of such; None for anything else."""
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if isinstance(node, ast.JoinedStr):
        parts = (part.value if isinstance(part, ast.FormattedValue) else part for part in node.values)
        return "".join(str(resolved(part, names)) for part in parts)
    try:
        return None if node is None else ast.literal_eval(node)
    except ValueError:
        return None


def parameters(form: Path, names: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Name, default, label and help of each parameter, in the form's order."""
    for node in ast.walk(ast.parse(form.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("form.addParam", "form.addHidden"):
            given = {word.arg: resolved(word.value, names) for word in node.keywords}
            yield {"name": resolved(node.args[0], names), **given}


class FormParameters(SphinxDirective):
    """``.. form-parameters::``"""

    def run(self) -> list[nodes.Node]:
        form, shared = PLUGIN / "protocols" / "form.py", PLUGIN / "constants.py"
        for path in (form, shared):
            self.env.note_dependency(str(path))
        lines = [".. list-table::", "   :header-rows: 1", "   :widths: 20 18 12 50", "   :class: options", ""]
        lines += ["   * - name", "     - in the form", "     - default", "     - help"]
        for one in parameters(form, constants(shared) | constants(form)):
            text = " ".join(str(one.get("help") or "").split())
            default = "" if one.get("default") is None else f"{one['default']}"
            choices = one.get("choices")
            if choices and isinstance(one.get("default"), int):
                text += " Values: " + ", ".join(f"{number} {choice}" for number, choice in enumerate(choices)) + "."
            lines += [f"   * - ``{one['name']}``", f"     - {one['label']}", f"     - {default}", f"     - {text}"]
        body = nodes.Element()
        self.state.nested_parse(StringList(lines, source=str(form)), self.content_offset, body)
        return list(body.children)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("form-parameters", FormParameters)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
