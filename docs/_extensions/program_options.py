"""The directives ``subcommand`` and ``parameters``: the command line as the program itself defines it.

``.. subcommand:: classify`` writes what the subcommand does, how it is called, examples, and the options beyond its
parameters; ``.. parameters:: Settings`` a table of the parameters of a settings dataclass, by their headings.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from alignpca2d_core import settings
from alignpca2d_core.commands.command_line import make_parser
from alignpca2d_core.commands.help_texts import DESCRIPTIONS, EXAMPLES, group_of

OWNERS: dict[str, type] = {"simulate": settings.SimulationSettings, "evaluate": settings.EvaluationSettings}
"""Subcommands with parameters of their own; all others have those of ``Settings``."""
KINDS = {int: "integer", float: "number", str: "text", bool: "switch"}


def subparser(name: str) -> argparse.ArgumentParser:
    """The parser of one subcommand."""
    actions = make_parser()._actions
    return next(one for one in actions if isinstance(one, argparse._SubParsersAction)).choices[name]


def own_options(name: str) -> Iterator[tuple[str, str]]:
    """Arguments of a subcommand that no settings dataclass defines: how they are written, and their help."""
    owners = [OWNERS.get(name, settings.Settings), *([settings.SubdivisionSettings] if name == "subdivide" else [])]
    parameters = {"--" + option.name.replace("_", "-") for one in owners for option in dataclasses.fields(one)}
    for action in subparser(name)._actions:
        if action.dest != "help" and not parameters & set(action.option_strings):
            value = f" {action.metavar}" if action.metavar else ""
            names = " or ".join(f"``{flag}{value}``" for flag in action.option_strings)
            yield names or f"``{value.strip()}``", str(action.help)


def bounds(meta: Any) -> str:
    """What values a parameter may have, where they are bounded."""
    if meta["choices"]:
        return ", ".join(meta["choices"])
    low, high = (None if value is None else f"{value:g}" for value in (meta["low"], meta["high"]))
    if low is not None and high is not None:
        return f"{low} to {high}"
    return f"from {low}" if low is not None else f"up to {high}" if high is not None else ""


def rows(owner: type) -> Iterator[tuple[str | None, tuple[str, str, str, str]]]:
    """For each parameter its heading, option, default, values and help."""
    for option in dataclasses.fields(owner):
        meta, kind = option.metadata, settings.value_type(option, owner)
        default = "off" if kind is bool else "automatic" if option.default is None else f"{option.default}"
        if kind is str and option.default is None:
            default = "none"
        unit = f" {meta['unit']}" if meta["unit"] else ""
        values = bounds(meta) or KINDS[kind]
        heading = group_of(option.name) if owner is settings.Settings else None
        yield heading, ("``--" + option.name.replace("_", "-") + "``", default + unit, values + unit, meta["help"])


class Described(SphinxDirective):
    """What both directives share: text that is parsed where the directive stands."""

    required_arguments = 1

    def parsed(self, lines: list[str]) -> list[nodes.Node]:
        body = nodes.Element()
        self.env.note_dependency(settings.__file__)
        self.state.nested_parse(StringList(lines, source="settings"), self.content_offset, body)
        return list(body.children)


class Subcommand(Described):
    """``.. subcommand:: classify``"""

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        lines = [*DESCRIPTIONS[name].replace("`", "``").splitlines(), "", "::", "", f"   {self.usage(name)}", ""]
        for option, text in own_options(name):
            lines += [option, f"   {text}", ""]
        if name in EXAMPLES:
            lines += ["Examples:", "", ".. code-block:: console", ""]
            lines += ["   " + line.removeprefix("  ") for line in EXAMPLES[name].splitlines()]
        return self.parsed(lines)

    @staticmethod
    def usage(name: str) -> str:
        """How the subcommand is called, its parameters left out."""
        words = []
        for action in subparser(name)._actions:
            if not action.option_strings:
                words.append(f"[{action.metavar}]" if action.nargs == "?" else str(action.metavar))
            elif action.required:
                words.append(f"{action.option_strings[0]} {action.metavar}")
        return " ".join(["alignpca2d", name, *words, "[options]"])


class Parameters(Described):
    """``.. parameters:: Settings``"""

    def run(self) -> list[nodes.Node]:
        owner = getattr(settings, self.arguments[0])
        groups: dict[str | None, list[tuple[str, str, str, str]]] = {}
        for heading, row in rows(owner):
            groups.setdefault(heading, []).append(row)
        lines: list[str] = []
        for heading, found in groups.items():
            title = f" {heading[0].upper()}{heading[1:]}" if heading else ""
            lines += [
                f".. list-table::{title}",
                "   :header-rows: 1",
                "   :widths: 22 14 22 42",
                "   :class: options",
                "",
            ]
            for row in [("option", "default", "values", "what it does"), *found]:
                first, *others = row
                lines += [f"   * - {first}", *(f"     - {cell}" for cell in others)]
            lines += [""]
        return self.parsed(lines)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directives."""
    app.add_directive("subcommand", Subcommand)
    app.add_directive("parameters", Parameters)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
