"""An interruption that Python drops is raised again."""

from __future__ import annotations

import subprocess
import sys

LEFT_EARLY = """
import argparse, signal, sys, time
from alignpca2d_core.commands import command_line

def images():
    try:
        yield 1
    finally:
        signal.raise_signal(signal.{number})

def work(arguments):
    for _ in images():
        break
    time.sleep(20)
    print("went on")

# A test run in the background of a shell would bequeath its deafness to Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)
command_line.SUBCOMMANDS["report"] = (work, command_line.SUBCOMMANDS["report"][1])
sys.exit(command_line.main(["report", "."]))
"""


def run(number: str) -> subprocess.CompletedProcess[str]:
    program = LEFT_EARLY.format(number=number)
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)


def test_ctrl_c_while_a_generator_is_closed() -> None:
    done = run("SIGINT")
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "alignpca2d: interrupted; run it again\n"


def test_sigterm_while_a_generator_is_closed() -> None:
    assert run("SIGTERM").returncode == 130
