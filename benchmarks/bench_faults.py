"""SIGKILL, SIGTERM and Ctrl-C at random moments of ``classify`` and ``update``: every run goes on to the same result.

``python benchmarks/bench_faults.py [--moments 100]``.  Each moment: a run of a tiny set is hit by a signal, what it
left is looked at (no file of the results is half-written), the same command goes on, and the files must be byte for
byte those of a run that nothing disturbed.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import torch

from alignpca2d_core.__main__ import main as alignpca2d
from alignpca2d_core.io.mrc import read_header
from alignpca2d_core.io.particle_reading import read_particles

RESULTS = ("particles.xmd", "classes.xmd", "classes.mrcs")
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
QUICK = ("--classes", "4", "--resolution", "16", "--threads", "1", "--quiet")
BATCHES = 4
SECONDS = 120


def started(arguments: list[str], log: Path) -> int:
    """The command line in a process of its own; forked, which spares the import of torch."""
    child = os.fork()
    if child:
        return child
    with contextlib.suppress(BaseException):
        signal.signal(signal.SIGINT, signal.default_int_handler)
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        os._exit(alignpca2d(arguments))
    os._exit(99)


def ended(child: int) -> int:
    """Its exit code, negative for a signal; one that hangs is a failure."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    raise AssertionError(f"process {child} hangs")


def carried_out(arguments: list[str], log: Path) -> None:
    code = ended(started(arguments, log))
    assert code == 0, f"exit code {code}: {log.read_text()}"


def checksums(out: Path) -> dict[str, str]:
    return {name: hashlib.sha256((out / name).read_bytes()).hexdigest() for name in RESULTS}


def look_at(out: Path) -> None:
    """Every file of the results that is there is whole."""
    for name in ("particles.xmd", "classes.xmd"):
        if (out / name).exists():
            read_particles(out / name)
    if (out / "classes.mrcs").exists():
        read_header(out / "classes.mrcs")
    if (out / "summary.json").exists():
        json.loads((out / "summary.json").read_text(encoding="utf-8"))


def hit(arguments: list[str], log: Path, number: signal.Signals, delay: float) -> int:
    """Start a run, send it a signal after so many seconds, and return its exit code."""
    child = started(arguments, log)
    time.sleep(delay)
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, number)
    code = ended(child)
    said = log.read_text()
    # Before the program listens to it, SIGTERM ends a process as SIGKILL does.
    assert code in (0, 130, -signal.SIGKILL, -signal.SIGTERM), f"{number.name}: exit code {code}: {said}"
    assert "Traceback" not in said, said
    assert code != 130 or "--resume" in said or "again" in said, said
    return code


def of_classify(source: Path, out: Path) -> list[list[str]]:
    return [["classify", str(source / "particles.xmd"), "-o", str(out), *QUICK, "--initial-particles", "100"]]


def of_update(source: Path, out: Path) -> list[list[str]]:
    options = ["-o", str(out), *QUICK, "--initial-particles", "100"]
    commands = [["update", str(source / f"batch{number}.xmd"), *options] for number in range(BATCHES)]
    return [*commands, ["update", "--last", *options]]


def disturb(
    commands: Callable[[Path, Path], list[list[str]]], folder: Path, moments: int, rng: random.Random
) -> Counter[str]:
    """Hit runs at random moments; returns how many of them, by signal and by how they ended."""
    source, tally = folder / "set", Counter[str]()
    durations = []
    for command in commands(source, folder / "undisturbed"):
        begun = time.perf_counter()
        carried_out(command, folder / "log")
        durations.append(time.perf_counter() - begun)
    wanted = checksums(folder / "undisturbed")
    for moment in range(moments):
        out, number = folder / "disturbed", SIGNALS[moment % len(SIGNALS)]
        shutil.rmtree(out, ignore_errors=True)
        when = rng.uniform(0, sum(durations))
        for command, duration in zip(commands(source, out), durations, strict=True):
            if 0 <= when < duration:
                code = hit(command, folder / "log", number, when)
                tally[f"{number.name} {'finished before' if code == 0 else 'interrupted'}"] += 1
                look_at(out)
                command = command if command[0] == "update" else [*command, "--resume"]
            carried_out(command, folder / "log")
            when -= duration
        assert checksums(out) == wanted, f"moment {moment}: {number.name}: another result"
        left = [path.name for path in out.rglob("*") if ".part" in path.name]
        assert not left, f"moment {moment}: {left} left behind"
    return tally


def make_set(folder: Path) -> None:
    """Particles, whole and in batches."""
    simulated = "--particles 240 --views 3 --box 32 --sampling-rate 7 --snr 0.3 --view-selection spread --quiet"
    carried_out(["simulate", "-o", str(folder), *simulated.split()], folder.parent / "log")
    lines = (folder / "particles.xmd").read_text(encoding="utf-8").splitlines(keepends=True)
    first = next(number for number, line in enumerate(lines) if "@" in line)
    rows = [line for line in lines[first:] if line.strip()]
    for batch in range(BATCHES):
        some = rows[batch * len(rows) // BATCHES : (batch + 1) * len(rows) // BATCHES]
        (folder / f"batch{batch}.xmd").write_text("".join(lines[:first] + some), encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moments", type=int, default=100, help="of each subcommand")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=("classify", "update"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        for name, commands in (("classify", of_classify), ("update", of_update)):
            if options.only in (None, name):
                folder = Path(scratch) / name
                folder.mkdir()
                make_set(folder / "set")
                tally = disturb(commands, folder, options.moments, random.Random(options.seed))
                print(f"{name}: {options.moments} moments, all went on to the same result: {dict(tally)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
