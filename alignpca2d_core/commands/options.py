"""Options made from the settings: those that a subcommand lists, and those that it accepts without listing them."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Mapping
from typing import Any

from ..errors import InputError
from ..settings import Settings, value_type
from .help_texts import group_of
from .other_programs import refuse_foreign, subcommand_message, unknown_message

WITHOUT_EFFECT = {
    "classify": ("revisit",),
    "update": ("rounds", "resume"),
    "assign": ("rounds", "classes", "initial_particles", "iterations", "revisit", "no_sieve"),
}
"""Options that every classifying subcommand takes, but that change nothing in these."""
HIDDEN = {"assign": ("preset", "resume")}
"""Options that a subcommand refuses, and so does not list."""
LEFT_OUT = {
    "subdivide": (
        *("classes", "references", "passthrough", "initial_particles", "revisit", "iterations", "no_align", "rounds"),
    )
}
"""Options that a subcommand does not have."""
INHERITED = {
    "subdivide": (
        *("resolution", "variance", "sampling_rate", "ctf", "phase_flipped", "preset", "mask_diameter", "invert"),
        *("low_resolution", "psi_range", "tube_diameter", "good_score", "good_resolution", "no_sieve", "seed"),
    )
}
"""Options that are as in the run that a subcommand goes on from, where they are not given."""


class Parser(argparse.ArgumentParser):
    """Says in one line what is wrong, and names our option where an option of another program was given."""

    def error(self, message: str) -> Any:
        """Raise InputError."""
        if message.startswith("argument --ctf: expected one argument"):
            message += ": auto, model, wiener or none; without --ctf the CTF is used where there is one"
        raise InputError(f"{message} (see {self.prog} --help)")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse does, but what a subcommand is given in the words of other programs is answered first."""
        if args is not None and " " in self.prog:
            foreign = refuse_foreign(args, self._option_string_actions, self.prog.rpartition(" ")[2])
            if foreign is not None:
                raise InputError(f"{foreign} (see {self.prog} --help)")
        return super().parse_known_args(args, namespace)

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """The arguments that the words of a command line stand for.

        Raises
        ------
        InputError
            When something is wrong with them; the line says what to write instead.
        """
        words = sys.argv[1:] if args is None else list(args)
        commands = next((one.choices for one in self._actions if isinstance(one, argparse._SubParsersAction)), {})
        self._check_subcommand(words, list(commands))
        arguments, unknown = self.parse_known_args(words, namespace)
        if unknown:
            known = [flag for flag in commands[arguments.command]._option_string_actions if flag.startswith("--")]
            raise InputError(f"{unknown_message(unknown, known)} (see {self.prog} {arguments.command} --help)")
        return arguments

    def _check_subcommand(self, words: list[str], commands: list[str]) -> None:
        """Whether the words begin with a subcommand, or with an option of the whole program."""
        if not words or words[0] in commands:
            return
        if not words[0].startswith("-"):
            raise InputError(f"{subcommand_message(words[0], commands)} (see {self.prog} --help)")
        if words[0] not in self._option_string_actions:
            foreign = refuse_foreign(words, (), "classify") or f"{words[0]} is no option"
            raise InputError(f"{foreign}; begin with a subcommand (see {self.prog} --help)")


def given_path(word: str) -> str:
    """A path as it was given; an empty one, as unset variables of a shell leave it, would be the working directory."""
    if not word.strip():
        raise argparse.ArgumentTypeError("the path is empty")
    return word


class _WithoutEffect(argparse.Action):
    """Takes an option that has no effect, and notes that it was given."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        namespace.without_effect = [*(getattr(namespace, "without_effect", None) or ()), self.option_strings[0]]


def add_options(parser: argparse.ArgumentParser, owner: type, command: str = "") -> None:
    """An option for each parameter of a settings dataclass, under the heading that it belongs to.

    Those that have no effect in the subcommand are taken, but not listed.
    """
    groups: dict[str | None, Any] = {None: parser}
    left_out, inherited = (names.get(command, ()) if owner is Settings else () for names in (LEFT_OUT, INHERITED))
    for option in dataclasses.fields(owner):
        if option.name in left_out:
            continue
        title = group_of(option.name) if owner is Settings else None
        vain = option.name in WITHOUT_EFFECT.get(command, ())
        keywords = _keywords(option, owner)
        if option.name in inherited:
            keywords |= {"default": argparse.SUPPRESS, "help": f"{_help(option)} (default: as in DIR)"}
        if vain or option.name in HIDDEN.get(command, ()):
            title, keywords["help"] = None, argparse.SUPPRESS
        if vain:
            switch = {"nargs": 0, "default": False} if keywords["action"] == "store_true" else {}
            keywords |= {**switch, "action": _WithoutEffect}
        if title not in groups:
            groups[title] = parser.add_argument_group(title)
        groups[title].add_argument("--" + option.name.replace("_", "-"), **keywords)


def _keywords(option: dataclasses.Field[Any], owner: type) -> dict[str, Any]:
    """What argparse must know of an option."""
    meta, text, kind = option.metadata, _help(option), value_type(option, owner)
    if kind is bool:
        return {"action": "store_true", "help": text}
    default = "" if option.default in (None, False) else f" (default {option.default})"
    name = meta["unit"] or {int: "N", float: "X", str: "TEXT"}[kind]
    return {
        "action": "store",
        "type": kind,
        "default": option.default,
        "choices": meta["choices"],
        "metavar": None if meta["choices"] else name.upper() if len(name) < 5 else name,
        "help": text + default,
    }


def _help(option: dataclasses.Field[Any]) -> str:
    """What an option is, with its unit."""
    unit = f" [{option.metadata['unit']}]" if option.metadata["unit"] else ""
    return option.metadata["help"].replace("%", "%%") + unit


def settings_of(arguments: argparse.Namespace, owner: type) -> Any:
    """The settings that the arguments ask for; out of bounds raises InputError."""
    return owner(**{option.name: getattr(arguments, option.name) for option in dataclasses.fields(owner)})


def settings_after(arguments: argparse.Namespace, earlier: Mapping[str, Any], **more: Any) -> Settings:
    """The settings of a run that goes on from another: those that are given, else those that it inherits, and more.

    Parameters
    ----------
    arguments : Namespace
    earlier : mapping
        The settings of the other run, as its summary has them.
    more : Any
        Of the others those that are neither options nor inherited.
    """
    names = {option.name for option in dataclasses.fields(Settings)} - set(LEFT_OUT[arguments.command])
    inherited = {name: earlier[name] for name in INHERITED[arguments.command] if name in earlier}
    given = {name: getattr(arguments, name) for name in names if hasattr(arguments, name)}
    return Settings(**{**inherited, **given, **more})


def without_effect_message(arguments: argparse.Namespace) -> str | None:
    """A line about options that were given and have no effect in this subcommand; None where there are none."""
    flags = list(dict.fromkeys(getattr(arguments, "without_effect", None) or ()))
    if not flags:
        return None
    return f"{', '.join(flags)}: no effect on {arguments.command}"
