"""The command line: one function per subcommand, exit codes."""

from __future__ import annotations

import argparse
import contextlib
import errno
import io
import json
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from .. import __version__
from ..errors import InputError
from ..runtime.interruption import interruptible
from ..runtime.thread_waiting import wait_briefly
from ..settings import (
    EvaluationSettings,
    ExportSettings,
    ReportSettings,
    Settings,
    SimulationSettings,
    SubdivisionSettings,
)
from .help_texts import description, epilog
from .options import Parser, add_options, given_path, settings_of, without_effect_message

DONE, FAULT, WRONG_INPUT, INTERRUPTED = 0, 1, 2, 130
DIVIDED = ("classify", "assign")
"""Subcommands that several processes share, as torchrun starts them."""


def _classify(arguments: argparse.Namespace) -> None:
    from .classify import classify

    _carry_out(classify, arguments)


def _assign(arguments: argparse.Namespace) -> None:
    from .classify import assign

    _carry_out(assign, arguments)


def _carry_out(work: Callable[..., None], arguments: argparse.Namespace) -> None:
    """Classify, and print the classes unless --quiet is given; of several ranks the first speaks."""
    from ..runtime import distributed
    from ..runtime.progress import Progress

    settings, directory = settings_of(arguments, Settings), Path(arguments.output)
    with distributed.together():
        quiet, stream = settings.quiet, None if distributed.is_first() else io.StringIO()
        progress = Progress(quiet, stream, command=arguments.command_line)
        vain = without_effect_message(arguments)
        if vain is not None:
            progress.say(vain)
        work(Path(arguments.particles), directory, settings, progress)
        if distributed.is_first() and not quiet:
            _print_classes(directory)


def _print_classes(directory: Path) -> None:
    """Views, report and the final table, on standard output; nothing where there are no classes yet."""
    from ..io.output_folder import REPORT, SUMMARY
    from ..results.class_table import class_table, first_line

    summary = json.loads((directory / SUMMARY).read_text(encoding="utf-8"))
    if summary.get("classes"):
        report = directory / REPORT if (directory / REPORT).exists() else None
        table = class_table(summary["classes"], shutil.get_terminal_size().columns)
        text, encoding = f"{first_line(summary, report)}\n{table}", sys.stdout.encoding or "utf-8"
        # The classes are written: a terminal without the letter Å, or none that listens any more, is no fault.
        with contextlib.suppress(OSError):
            print(text.encode(encoding, "replace").decode(encoding), flush=True)


def _subdivide(arguments: argparse.Namespace) -> None:
    from ..runtime.progress import Progress
    from .subdivide import output_folder, subdivide

    wanted = settings_of(arguments, SubdivisionSettings)
    directory = Path(arguments.output or output_folder(Path(arguments.directory), wanted.classes))
    subdivide(arguments, directory, wanted, Progress(arguments.quiet, command=arguments.command_line))
    if not arguments.quiet:
        _print_classes(directory)


def _update(arguments: argparse.Namespace) -> None:
    from ..runtime.progress import Progress
    from ..streaming.update import update

    settings, directory = settings_of(arguments, Settings), Path(arguments.output)
    progress = Progress(settings.quiet, command=arguments.command_line)
    vain = without_effect_message(arguments)
    if vain is not None:
        progress.say(vain)
    path = None if arguments.particles is None else Path(arguments.particles)
    update(path, directory, settings, progress, arguments.last)
    if not settings.quiet:
        _print_classes(directory)


def _simulate(arguments: argparse.Namespace) -> None:
    from ..runtime.progress import Progress
    from ..simulation.simulate import simulate

    settings = settings_of(arguments, SimulationSettings)
    simulate(settings, Path(arguments.output), Progress(arguments.quiet))


def _evaluate(arguments: argparse.Namespace) -> None:
    from ..evaluation.evaluate import evaluate, format_table
    from ..io.atomic_files import write_json

    figures = evaluate(Path(arguments.directory), settings_of(arguments, EvaluationSettings))
    print(json.dumps(figures, indent=1) if arguments.json else format_table(figures))
    write_json(Path(arguments.directory) / "evaluation.json", figures)


def _report(arguments: argparse.Namespace) -> None:
    try:
        from ..report import report_on
    except ImportError as error:
        raise InputError(f"report: {error}; install the extra 'report'") from error

    path, missing = report_on(arguments.directory, settings_of(arguments, ReportSettings))
    for line in missing:
        print(f"Warning: {line}", file=sys.stderr)
    print(path)


def _export(arguments: argparse.Namespace) -> None:
    from .export import export

    paths, warnings = export(Path(arguments.directory), settings_of(arguments, ExportSettings))
    for line in warnings:
        print(f"Warning: {line}", file=sys.stderr)
    print(*paths, sep="\n")


OUTPUT = "folder for the results"
PARTICLES = ".xmd, .star, .cs or a bare stack"
RESULTS = "folder that classify, update, assign or subdivide wrote"


def make_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    parser = Parser(
        prog="alignpca2d",
        description=description(""),
        epilog=epilog(""),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"alignpca2d {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="SUBCOMMAND", required=True, parser_class=Parser)
    for name, (function, define) in SUBCOMMANDS.items():
        text = description(name)
        one = commands.add_parser(
            name,
            help=text.splitlines()[0],
            description=text,
            epilog=epilog(name),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        one.set_defaults(function=function)
        define(one, name)
    return parser


def _add_output(parser: argparse.ArgumentParser, what: str = OUTPUT) -> None:
    parser.add_argument("-o", "--output", required=True, type=given_path, metavar="DIR", help=what)


def _classify_arguments(parser: argparse.ArgumentParser, name: str) -> None:
    parser.add_argument("particles", type=given_path, metavar="PARTICLES", help=PARTICLES)
    _add_output(parser)
    add_options(parser, Settings, name)


def _update_arguments(parser: argparse.ArgumentParser, name: str) -> None:
    what = f"{PARTICLES}; none with --last"
    parser.add_argument("particles", nargs="?", type=given_path, metavar="PARTICLES", help=what)
    _add_output(parser)
    parser.add_argument("--last", action="store_true", help="no more will come: start with what is there, revisit all")
    add_options(parser, Settings, name)


def _simulate_arguments(parser: argparse.ArgumentParser, name: str) -> None:
    _add_output(parser, "folder for particles, metadata and truth")
    add_options(parser, SimulationSettings)
    parser.add_argument("--quiet", action="store_true", help="print warnings and errors only")


def _evaluate_arguments(parser: argparse.ArgumentParser, name: str) -> None:
    parser.add_argument("directory", type=given_path, metavar="DIR", help=RESULTS)
    add_options(parser, EvaluationSettings)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def _report_arguments(parser: argparse.ArgumentParser, name: str) -> None:
    parser.add_argument("directory", type=given_path, metavar="DIR", help=RESULTS)
    add_options(parser, ReportSettings)


def _subdivide_arguments(parser: argparse.ArgumentParser, name: str) -> None:
    parser.add_argument("directory", type=given_path, metavar="DIR", help=RESULTS)
    what = f"{OUTPUT}; by default beside DIR, named after it and the classes"
    parser.add_argument("-o", "--output", type=given_path, metavar="NEW", help=what)
    add_options(parser, SubdivisionSettings)
    add_options(parser, Settings, name)


def _export_arguments(parser: argparse.ArgumentParser, name: str) -> None:
    parser.add_argument("directory", type=given_path, metavar="DIR", help=RESULTS)
    add_options(parser, ExportSettings)


SUBCOMMANDS: dict[str, tuple[Callable[[argparse.Namespace], None], Callable[[argparse.ArgumentParser, str], None]]] = {
    "classify": (_classify, _classify_arguments),
    "assign": (_assign, _classify_arguments),
    "update": (_update, _update_arguments),
    "subdivide": (_subdivide, _subdivide_arguments),
    "simulate": (_simulate, _simulate_arguments),
    "evaluate": (_evaluate, _evaluate_arguments),
    "report": (_report, _report_arguments),
    "export": (_export, _export_arguments),
}
"""What each subcommand does, and the function that gives its parser its arguments."""


AFTER_INTERRUPTION = {
    **dict.fromkeys(("classify", "subdivide"), "--resume continues"),
    "update": "the same command again continues",
}
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM)
"""What is wrong with a disk, and not with the program."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    wait_briefly()
    with interruptible():
        return _exit_code(argv)


def _exit_code(argv: Sequence[str] | None) -> int:
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Names that are no UTF-8 are printed with the bytes that they have.
        sys.stdout.reconfigure(errors="surrogateescape")
    command = ""
    try:
        arguments = make_parser().parse_args(argv)
        command = arguments.command
        arguments.command_line = shlex.join(["alignpca2d", *(sys.argv[1:] if argv is None else argv)])
        if int(os.environ.get("WORLD_SIZE", "1")) > 1 and arguments.command not in DIVIDED:
            raise InputError(f"{arguments.command} runs as one process; start it without torchrun")
        arguments.function(arguments)
    except InputError as error:
        print(f"{_speaker()}: error: {error}", file=sys.stderr)
        return WRONG_INPUT
    except KeyboardInterrupt:
        print(f"{_speaker()}: interrupted; {AFTER_INTERRUPTION.get(command, 'run it again')}", file=sys.stderr)
        return INTERRUPTED
    except OSError as error:
        return _refused(error) if error.errno in NO_ROOM else _fault(error)
    except Exception as error:  # one line for the user; the traceback on demand
        return _fault(error)
    return DONE


def _refused(error: OSError) -> int:
    """A disk that is full or may not be written to."""
    where = f"{error.filename}: " if error.filename else ""
    print(f"{_speaker()}: error: {where}{error.strerror}; make room or choose another --output", file=sys.stderr)
    return WRONG_INPUT


def _speaker() -> str:
    """Who says a line: of several ranks, which."""
    return f"alignpca2d rank {os.environ['RANK']}" if int(os.environ.get("WORLD_SIZE", "1")) > 1 else "alignpca2d"


def _fault(error: Exception) -> int:
    import traceback

    if os.environ.get("ALIGNPCA2D_TRACEBACK"):
        traceback.print_exc()
    kind = type(error).__name__
    print(f"{_speaker()}: fault: {kind}: {' '.join(str(error).split()) or 'no message'}", file=sys.stderr)
    return FAULT
