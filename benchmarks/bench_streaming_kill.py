"""kill -9 of the program and of the protocol's process at random moments of a stream, each followed by Continue.

``python benchmarks/bench_streaming_kill.py [--kills 20]``.  Every second class of the first ones is chosen as soon as
there are classes.  The targets: every particle in exactly one class at the end, a purity within 0.01 of that of a
static run, and in outputParticles and in what ``export --select`` writes exactly the particles of the chosen classes,
each of which still shows the view that it showed when it was chosen.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from measured_run import CORE
from streaming_project import StreamingProject, in_scipion

PARTICLES, INITIAL, PORTION = 2400, 600, 60
LATEST_SECONDS = 8.0
BEFORE_CLASSES = 2
"""Kills while the first classes are made; the others come after the choice."""
TOLERANCE = 0.01
KILLED = " killed after "


@dataclass
class Chosen:
    """Classes that are chosen in the first batches of a stream, and what they showed then.

    Parameters
    ----------
    views : dict
        The true view of each particle, by its id.
    shown : dict
        The true view that most members of a chosen class had when it was chosen, by the number of the class.
    """

    views: dict[int, int]
    shown: dict[int, int] = field(default_factory=dict)
    particles: int = 0

    def choose(self, stream: Any) -> None:
        """Every second class, once there are classes, as the monitor does it."""
        if self.shown or not hasattr(stream, "outputClasses"):
            return
        members = self.members(stream)
        self.shown = {number: self.view(members[number]) for number in sorted(members)[::2]}
        self.particles = sum(map(len, members.values()))
        stream.choose(set(self.shown))

    def members(self, stream: Any) -> dict[int, list[int]]:
        """The ids in each class, as the program's table says."""
        from alignpca2d_plugin.results import read_assignments

        found: dict[int, list[int]] = {}
        for identifier, one in read_assignments(stream._getExtraPath()).items():
            if one is not None:
                found.setdefault(one.ref, []).append(identifier)
        return found

    def view(self, ids: list[int]) -> int:
        """The true view of most of them."""
        return Counter(self.views[one] for one in ids).most_common(1)[0][0]

    def holds(self, stream: Any) -> bool:
        """Print what became of the choice; say whether the targets are met."""
        members = self.members(stream)
        expected = {one for number in self.shown for one in members[number]}
        output = stream.outputParticles
        in_output = output.getIdSet() == expected and output.getSize() == len(expected) and output.isStreamClosed()
        output.close()
        in_star = images_exported(stream) == images_of(stream, expected)
        same = [number for number, view in self.shown.items() if self.view(members[number]) == view]
        inside = sum(self.views[one] == view for number, view in self.shown.items() for one in members[number])
        print(
            f"  {len(self.shown)} classes chosen among {self.particles} particles: {len(expected)} particles at the "
            f"end; outputParticles {in_output}, export {in_star}; {len(same)} classes show the same view, which "
            f"{inside / len(expected):.4f} of these particles have",
            flush=True,
        )
        return in_output and in_star and len(same) == len(self.shown)


def images_exported(stream: Any) -> list[str]:
    """The images in the star file that the program writes of the choice in the run's folder."""
    from alignpca2d_core.io.star.star_reader import read_blocks

    folder = Path(stream._getExtraPath())
    words = ["export", str(folder), "--select", str(folder / "selection.json")]
    subprocess.run([sys.executable, *CORE, *words], check=True, stdout=subprocess.DEVNULL)
    return sorted(map(str, read_blocks(folder / "particles.star")["particles"]["rlnImageName"]))


def images_of(stream: Any, ids: set[int]) -> list[str]:
    """The images of the input that have these ids, as Scipion says."""
    particles = stream.inputParticles.get()
    places = [one.getLocation() for one in particles.iterItems() if one.getObjId() in ids]
    particles.close()
    return sorted(f"{index:06d}@{name}" for index, name in places)


def core_of(protocol: Any) -> psutil.Process | None:
    """The process of the program, if it works on something."""
    verdict, project = protocol._getExtraPath("verdict.json"), str(Path.cwd())
    try:
        for process in psutil.process_iter(["cmdline", "cwd"]):
            # Names in the command are relative to the project, and another project may have a run of that name.
            if verdict in (process.info["cmdline"] or []) and process.info["cwd"] == project and process.children():
                return process.children()[0]
    except (OSError, psutil.Error):  # a process that ended while psutil looked at it
        return None
    return None


def process_of(work: StreamingProject, protocol: Any) -> psutil.Process | None:
    """The process of the protocol, once Scipion knows it too: what it knew of an earlier one lasts for a while."""
    words = [str(Path.cwd()), protocol.getDbPath()]
    found: list[psutil.Process] = []

    def known() -> bool:
        for process in psutil.process_iter(["cmdline"]):
            line = process.info["cmdline"] or []
            if line[2:4] == words:
                found[:] = [process]
        return bool(found) and protocol.getPid() == found[0].pid

    work.wait(protocol, known, seconds=120)
    return found[0] if found else None


def kill_and_continue(work: StreamingProject, stream: Any, target: str, moment: float) -> str:
    """Kill after so many seconds, wait until Scipion has noticed, continue; say what was killed when."""
    process = process_of(work, stream)
    if process is None:
        return "the protocol had just ended"
    if target == "core":
        end = time.monotonic() + 60
        while (core := core_of(stream)) is None and time.monotonic() < end and stream.isActive():
            time.sleep(0.1)
            work.project._updateProtocol(stream)
        if core is None:
            return "no core was at work"
        killed = core.pid
    else:
        killed = process.pid
    time.sleep(moment)
    try:
        os.kill(killed, signal.SIGKILL)
    except ProcessLookupError:
        return f"after {moment:4.1f} s the {target} had just ended"
    work.wait(stream, lambda: False, seconds=120)
    psutil.wait_procs([process], timeout=60)
    work.project.launchProtocol(stream, wait=False)
    return f"{target}{KILLED}{moment:4.1f} s"


def let_come(work: StreamingProject, producer: Any, number: int) -> None:
    """Let the emitter go on until there are at least so many particles, and then pause."""
    from alignpca2d_plugin.growing_input import look

    hold = Path(producer._getExtraPath("hold"))
    hold.unlink(missing_ok=True)
    work.wait(producer, lambda: hasattr(producer, "outputParticles"))
    work.wait(producer, lambda: len(look(producer.outputParticles)[1]) >= number)
    hold.touch()


def run(home: Path, kills: int, seed: int) -> bool:
    """Print what happened; say whether the targets are met."""
    work = StreamingProject(home, f"kill{seed}", seed, PARTICLES)
    static = work.classification(work.importing, seed)
    work.project.launchProtocol(static, wait=True)
    producer = work.emitter(PARTICLES // PORTION, pause=2.0)
    stream = work.classification(producer, seed, initialParticles=INITIAL, batchSize=PORTION, streamingSleepOnWait=1)
    work.project.launchProtocol(producer, wait=False)
    let_come(work, producer, INITIAL)
    work.project.launchProtocol(stream, wait=False)
    with work.truth.open(encoding="utf-8") as lines:
        chosen = Chosen({int(row["itemId"]): int(row["view"]) for row in csv.DictReader(lines)})
    dice, killed, tries, come = random.Random(seed), 0, 0, INITIAL
    while killed < kills and tries < 2 * kills and stream.isActive():
        said = kill_and_continue(work, stream, ("core", "protocol")[tries % 2], dice.uniform(0, LATEST_SECONDS))
        killed, tries = killed + (KILLED in said), tries + 1
        print(f"  {tries:2d}: {said}", flush=True)
        if tries >= BEFORE_CLASSES:
            work.wait(stream, lambda: hasattr(stream, "outputClasses"))
            chosen.choose(stream)
        if chosen.shown and come < PARTICLES - 2 * PORTION:
            come += PORTION
            let_come(work, producer, come)
    Path(producer._getExtraPath("hold")).unlink(missing_ok=True)
    work.wait(stream, lambda: False)
    print(f"  {stream.getStatus()} {stream.getErrorMessage()}", flush=True)
    one, other = work.evaluation(static), work.evaluation(stream)
    print(
        f"  {other['members']} members, {other['distinct']} distinct; purity {other['purity']:.4f}, "
        f"static {one['purity']:.4f}",
        flush=True,
    )
    complete = other["members"] == other["distinct"] == PARTICLES
    as_good = complete and other["purity"] > one["purity"] - TOLERANCE
    return stream.isFinished() and chosen.holds(stream) and as_good and killed == kills


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
    """The same under ``make bench-all``, in a process of its own."""
    done = subprocess.run([sys.executable, __file__, "--home", str(tmp_path)], check=False)
    shutil.rmtree(tmp_path, ignore_errors=True)
    assert done.returncode == 0


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
