"""AlignPCA-2D in Scipion, from nothing: ``python -m alignpca2d_plugin.demo --project DIR``.

Simulates particles with the core, makes a Scipion project, imports them, classifies them and says where everything is.
"""

import argparse
import json
import os
import shlex
import sys
import time
from pathlib import Path

from .environment import scipion_variables

STARTED_WITH = "ALIGNPCA2D_DEMO"
PROJECT = "AlignPCA2D_demo"
POLL_SECONDS = 1.0


class DemoError(Exception):
    """The demo cannot go on; the message says why."""


def main(arguments=None):
    """Run the demo; the exit code is 0 when the classes are there."""
    options = parse(arguments)
    home = Path(options.project).resolve()
    if options.open:
        open_windows(home, options.open)
    if os.environ.get(STARTED_WITH) != str(home):
        start_again(home, sys.argv[1:] if arguments is None else arguments)
    from .simulation import SimulationError

    try:
        classify(home, options)
    except (DemoError, SimulationError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def parse(arguments):
    parser = argparse.ArgumentParser(prog="python -m alignpca2d_plugin.demo", description=__doc__.splitlines()[0])
    parser.add_argument("--project", default="demo/scipion", help="folder for the particles and the Scipion project")
    parser.add_argument("--particles", type=int, default=3000, help="how many particles are simulated")
    parser.add_argument("--classes", type=int, default=20, help="how many classes are made")
    parser.add_argument("--open", metavar="NAME", help="only open this project of an earlier run in Scipion's windows")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads of the core; 0: all")
    return parser.parse_args(arguments)


def start_again(home, arguments):
    """Replace this process by one with the demo's variables: pyworkflow has read others with the package."""
    variables = {**os.environ, **scipion_variables(home), STARTED_WITH: str(home)}
    os.execve(sys.executable, [sys.executable, "-m", "alignpca2d_plugin.demo", *arguments], variables)


def classify(home, options):
    """Simulate, import and classify in a new Scipion project."""
    from pwem import Domain
    from pyworkflow.project import Manager

    from .simulation import connect, new_import, simulate

    say(f"Simulating {options.particles} particles in {home / 'particles'}")
    particles = simulate(home / "particles", particles=options.particles)
    protocols = Domain.getProtocols()
    project = new_project(Manager())
    say(f"Importing them into the Scipion project {project.path}")
    importing = new_import(project, particles, objLabel="simulated particles")
    run(project, importing)
    say(f"Classifying them into {options.classes} classes")
    classes = project.newProtocol(
        protocols["ProtAlignPCA2D"], numberOfClasses=options.classes, binThreads=options.threads
    )
    connect(classes, "inputParticles", importing, "outputParticles")
    run(project, classes)
    for line in classes.summary():
        say("  " + line.replace("*", ""))
    gallery = Path(project.path) / classes.getGallery()
    say(f"Class averages:  {gallery.with_name('classes.mrcs')}")
    say(f"Gallery:         {gallery}")
    say(f"Scipion project: {project.path}")
    command = [sys.executable, "-m", "alignpca2d_plugin.demo", "--project", str(home), "--open", project.getShortName()]
    say(f"To open it:      {' '.join(map(shlex.quote, command))}")


def new_project(manager):
    """A project of its own for every run of the demo."""
    taken = {info.projName for info in manager.listProjects()}
    names = [PROJECT] + [f"{PROJECT}_{number}" for number in range(2, len(taken) + 3)]
    project = manager.createProject(next(name for name in names if name not in taken))
    os.chdir(project.path)
    return project


def run(project, protocol):
    """Launch a protocol and follow it, with the core's progress, until it ends."""
    project.launchProtocol(protocol, wait=False)
    shown, start = "", time.monotonic()
    while protocol.isActive():
        time.sleep(POLL_SECONDS)
        project._updateProtocol(protocol)
        progress = last_progress(protocol)
        if progress not in ("", shown):
            shown = progress
            say(f"  {time.monotonic() - start:4.0f} s  {progress}")
    if not protocol.isFinished():
        raise DemoError(f"{protocol.getRunName()} {protocol.getStatus()}: {protocol.getErrorMessage()}")


def last_progress(protocol):
    """What the core has said last."""
    try:
        return json.loads(Path(protocol._getExtraPath("verdict.json")).read_text(encoding="utf-8"))["progress"]
    except (OSError, ValueError, KeyError):
        return ""


def open_windows(home, name):
    """Replace this process by Scipion's windows on a project."""
    variables = {**os.environ, **scipion_variables(home)}
    os.execve(sys.executable, [sys.executable, "-O", "-m", "scipion", "project", name], variables)


def say(text):
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
