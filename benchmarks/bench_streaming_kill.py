"""kill -9 of the program and of the protocol's process at random moments of a stream, each followed by Continue.

``python benchmarks/bench_streaming_kill.py [--kills 20]``.  The targets: every particle in exactly one class at the
end, and a purity within 0.01 of that of a static run.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from streaming_project import StreamingProject, in_scipion

PARTICLES, INITIAL, BATCH = 3000, 1000, 100
TOLERANCE = 0.01


def core_of(protocol: Any) -> psutil.Process | None:
    """The process of the program, if it works on something."""
    verdict, project = protocol._getExtraPath("verdict.json"), str(Path.cwd())
    for process in psutil.process_iter(["cmdline", "cwd"]):
        # Names in the command are relative to the project, and another project may have a run of that name.
        if verdict in (process.info["cmdline"] or []) and process.info["cwd"] == project and process.children():
            return process.children()[0]
    return None


def kill_and_continue(work: StreamingProject, stream: Any, target: str, moment: float) -> str:
    """Kill after so many seconds, wait until Scipion has noticed, continue; say what was killed when."""
    end = time.monotonic() + moment
    work.wait(stream, lambda: time.monotonic() > end)
    if target == "core":
        end = time.monotonic() + 60
        while (core := core_of(stream)) is None and time.monotonic() < end and stream.isActive():
            time.sleep(0.1)
            work.project._updateProtocol(stream)
        if core is None:
            return f"after {moment:4.1f} s no core was at work"
        time.sleep(moment / 3)
        killed = core.pid
    else:
        killed = stream.getPid()
    process = psutil.Process(stream.getPid()) if stream.getPid() else None
    try:
        os.kill(killed, signal.SIGKILL)
    except ProcessLookupError:
        return f"after {moment:4.1f} s the {target} had just ended"
    work.wait(stream, lambda: False, seconds=120)
    if process is not None:
        psutil.wait_procs([process], timeout=60)
    work.project.launchProtocol(stream, wait=False)
    return f"{target} killed after {moment:4.1f} s"


def run(home: Path, kills: int, seed: int) -> bool:
    """Print what happened; say whether the targets are met."""
    work = StreamingProject(home, f"kill{seed}", seed, PARTICLES)
    static = work.classification(work.importing, seed)
    work.project.launchProtocol(static, wait=True)
    producer = work.emitter(kills + 5, pause=8.0)
    stream = work.classification(producer, seed, initialParticles=INITIAL, batchSize=BATCH, streamingSleepOnWait=1)
    work.project.launchProtocol(producer, wait=False)
    work.wait(producer, lambda: hasattr(producer, "outputParticles"))
    work.project.launchProtocol(stream, wait=False)
    dice = random.Random(seed)
    for number in range(kills):
        target = ("core", "protocol")[number % 2]
        print(f"  {number + 1:2d}: {kill_and_continue(work, stream, target, dice.uniform(2, 12))}", flush=True)
    work.wait(stream, lambda: False)
    print(f"  {stream.getStatus()} {stream.getErrorMessage()}", flush=True)
    one, other = work.evaluation(static), work.evaluation(stream)
    print(
        f"  {other['members']} members, {other['distinct']} distinct; purity {other['purity']:.4f}, "
        f"static {one['purity']:.4f}",
        flush=True,
    )
    complete = other["members"] == other["distinct"] == PARTICLES
    return stream.isFinished() and complete and other["purity"] > one["purity"] - TOLERANCE


def main(arguments: list[str] | None = None) -> bool:
    """Print everything; say whether the targets are met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--home", type=Path, help="keep the Scipion project there")
    options = parser.parse_args(arguments)
    home = (options.home or Path(tempfile.mkdtemp(prefix="alignpca2d-bench-"))).resolve()
    in_scipion(home, [__file__, "--home", str(home), "--kills", str(options.kills), "--seed", str(options.seed)])
    return run(home, options.kills, options.seed)


@pytest.mark.benchmark
def test_nothing_is_lost_when_processes_are_killed(tmp_path: Path) -> None:
    """The same under ``make bench``, in a process of its own."""
    done = subprocess.run([sys.executable, __file__, "--home", str(tmp_path)], check=False)
    shutil.rmtree(tmp_path, ignore_errors=True)
    assert done.returncode == 0


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
