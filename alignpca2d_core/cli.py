"""The command line: options made from the settings, one function per subcommand, exit codes."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from . import __version__
from .errors import InputError
from .settings import EvaluationSettings, Settings, SimulationSettings, value_type

DONE, FAULT, WRONG_INPUT, INTERRUPTED = 0, 1, 2, 130
EPILOG = """exit codes: 0 done; 2 the input or an option is wrong, said in one line; 1 a fault; 130 interrupted
(what was finished is kept: the same command with --resume goes on from there)"""


class _Parser(argparse.ArgumentParser):
    """Says in one line what is wrong."""

    def error(self, message: str) -> Any:
        raise InputError(f"{message} (see {self.prog} --help)")


def add_options(parser: argparse.ArgumentParser, owner: type) -> None:
    """An option for each parameter of a settings dataclass."""
    for option in dataclasses.fields(owner):
        meta = option.metadata
        text = meta["help"].replace("%", "%%")
        unit = f" [{meta['unit']}]" if meta["unit"] else ""
        default = "" if option.default in (None, False) else f" (default {option.default})"
        flag = "--" + option.name.replace("_", "-")
        kind = value_type(option, owner)
        if kind is bool:
            parser.add_argument(flag, action="store_true", help=text)
        else:
            name = meta["unit"] or {int: "N", float: "X", str: "TEXT"}[kind]
            parser.add_argument(
                flag,
                type=kind,
                default=option.default,
                choices=meta["choices"],
                metavar=None if meta["choices"] else name.upper() if len(name) < 5 else name,
                help=text + unit + default,
            )


def settings_of(arguments: argparse.Namespace, owner: type) -> Any:
    """The settings that the arguments ask for; out of bounds raises InputError."""
    return owner(**{option.name: getattr(arguments, option.name) for option in dataclasses.fields(owner)})


def _classify(arguments: argparse.Namespace) -> None:
    from .progress import Progress
    from .workflow import classify

    settings = settings_of(arguments, Settings)
    classify(Path(arguments.particles), Path(arguments.output), settings, Progress(settings.quiet))


def _assign(arguments: argparse.Namespace) -> None:
    from .progress import Progress
    from .workflow import assign

    settings = settings_of(arguments, Settings)
    assign(Path(arguments.particles), Path(arguments.output), settings, Progress(settings.quiet))


def _simulate(arguments: argparse.Namespace) -> None:
    from .progress import Progress
    from .simulate import simulate

    settings = settings_of(arguments, SimulationSettings)
    simulate(settings, Path(arguments.output), Progress(arguments.quiet))


def _evaluate(arguments: argparse.Namespace) -> None:
    from .atomic import write_json
    from .evaluate import evaluate, format_table

    figures = evaluate(Path(arguments.directory), settings_of(arguments, EvaluationSettings))
    print(json.dumps(figures, indent=1) if arguments.json else format_table(figures))
    write_json(Path(arguments.directory) / "evaluation.json", figures)


def make_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    parser = _Parser(
        prog="alignpca2d",
        description="2D classification of cryo-EM particles by PCA-reduced Euclidean alignment.",
        epilog=EPILOG,
    )
    parser.add_argument("--version", action="version", version=f"alignpca2d {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="SUBCOMMAND", required=True, parser_class=_Parser)

    def command(name: str, function: Callable[[argparse.Namespace], None], help: str) -> argparse.ArgumentParser:
        one = commands.add_parser(name, help=help, description=help, epilog=EPILOG)
        one.set_defaults(function=function)
        return one

    classifying = {
        "classify": (_classify, "Classify a whole set of particles."),
        "assign": (_assign, "Assign particles to class averages that stay as they are."),
    }
    for name, (function, text) in classifying.items():
        one = command(name, function, text)
        one.add_argument("particles", metavar="PARTICLES", help=".xmd, .star or a bare stack")
        one.add_argument("-o", "--output", required=True, metavar="DIR", help="folder for the results")
        add_options(one, Settings)
    one = command("simulate", _simulate, "Simulate particles of known views, as in the paper's experiment.")
    one.add_argument("-o", "--output", required=True, metavar="DIR", help="folder for particles, metadata and truth")
    add_options(one, SimulationSettings)
    one.add_argument("--quiet", action="store_true", help="print warnings and errors only")
    one = command("evaluate", _evaluate, "Compare a classification with the truth or with another one.")
    one.add_argument("directory", metavar="DIR", help="folder that classify wrote")
    add_options(one, EvaluationSettings)
    one.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return parser


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    try:
        arguments = make_parser().parse_args(argv)
        # Outside the main thread whoever runs us handles signals.
        with contextlib.suppress(ValueError):
            signal.signal(signal.SIGTERM, _interrupt)
        arguments.function(arguments)
    except InputError as error:
        print(f"alignpca2d: error: {error}", file=sys.stderr)
        return WRONG_INPUT
    except KeyboardInterrupt:
        print("alignpca2d: interrupted; --resume continues", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:  # one line for the user; the traceback on demand
        return _fault(error)
    return DONE


def _fault(error: Exception) -> int:
    import os
    import traceback

    if os.environ.get("ALIGNPCA2D_TRACEBACK"):
        traceback.print_exc()
    kind = type(error).__name__
    print(f"alignpca2d: fault: {kind}: {' '.join(str(error).split()) or 'no message'}", file=sys.stderr)
    return FAULT
