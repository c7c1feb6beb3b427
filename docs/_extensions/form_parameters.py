"""The directive ``form-parameters``: the parameters of the protocol's form in Scipion, as its source defines them.

The form's modules are run without Scipion: what they take from pyworkflow are stand-ins, and what they add to a form
is written down.
"""

from __future__ import annotations

import importlib.util
import sys
import types
from pathlib import Path
from typing import Any
from unittest import mock

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

PLUGIN = Path(__file__).resolve().parents[2] / "alignpca2d_plugin"
CONSTANTS = PLUGIN / "constants.py"
BOUNDS, *PAGES = (PLUGIN / "protocols" / f"{name}.py" for name in ("bounds", "form_input", "form"))
SCIPIONS_NAMES = {"USE_GPU": "useGpu", "GPU_LIST": "gpuList"}
"""Constants of pyworkflow that name parameters."""


class _AnyAttribute(type):
    """The type of classes that have every attribute."""

    def __getattr__(cls, name: str) -> str:
        return name


class _StandIn(types.ModuleType):
    """A module that has every class."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        accept = {"__init__": lambda self, *given, **named: None}
        return SCIPIONS_NAMES.get(name) or _AnyAttribute(name, (), accept)


class WrittenDown:
    """A form that keeps what is added to it."""

    def __init__(self) -> None:
        self.parameters: list[dict[str, Any]] = []

    def addParam(self, name: str, kind: type, **given: Any) -> None:
        self.parameters.append({"name": name, "kind": kind.__name__, **given})

    addHidden = addParam

    def __getattr__(self, name: str) -> Any:
        return lambda *given, **named: None


def _module(name: str, path: Path) -> types.ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def parameters() -> list[dict[str, Any]]:
    """Name, kind, default, label and help of each parameter, in the order of the form's source."""
    stand_ins = ("pyworkflow", "pyworkflow.protocol", "pyworkflow.protocol.params", "pyworkflow.protocol.constants")
    packages = ("formsource", "formsource.protocols")
    with mock.patch.dict(sys.modules, {name: _StandIn(name) for name in (*stand_ins, *packages)}):
        for name in stand_ins[1:]:
            parent, _, child = name.rpartition(".")
            setattr(sys.modules[parent], child, sys.modules[name])
        _module("formsource.constants", CONSTANTS)
        _module("formsource.protocols.bounds", BOUNDS)
        form = WrittenDown()
        for page in PAGES:
            for name, define in vars(_module(f"formsource.protocols.{page.stem}", page)).items():
                if name.startswith("define_"):
                    define(form)
    return form.parameters


def cells(parameter: dict[str, Any]) -> tuple[str, str, str, str]:
    """Name, label, default and help of a parameter, as a row of the table has them."""
    default, text = parameter.get("default"), " ".join(str(parameter.get("help") or "").split())
    if parameter.get("choices"):
        numbered = (f"{number} {choice}" for number, choice in enumerate(parameter["choices"]))
        text += f" Values: {', '.join(numbered)}."
    return f"``{parameter['name']}``", parameter["label"], "" if default in (None, "") else str(default), text


class FormParameters(SphinxDirective):
    """``.. form-parameters::``"""

    def run(self) -> list[nodes.Node]:
        for path in (CONSTANTS, BOUNDS, *PAGES):
            self.env.note_dependency(str(path))
        lines = [".. list-table::", "   :header-rows: 1", "   :widths: 20 20 10 50", "   :class: options", ""]
        for row in [("name", "in the form", "default", "help"), *map(cells, parameters())]:
            first, *others = row
            lines += [f"   * - {first}", *(f"     - {cell}" for cell in others)]
        body = nodes.Element()
        self.state.nested_parse(StringList(lines, source=str(PAGES[-1])), self.content_offset, body)
        return list(body.children)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("form-parameters", FormParameters)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
