"""Simulated particles for the demo and the tests: made by the core, imported as any user would."""

import json
import os
import subprocess

from pwem import Domain
from pwem.protocols import ProtImportParticles

from . import Plugin


class SimulationError(Exception):
    """The core did not simulate; the message says why."""


def simulate(folder, **options):
    """Run the core's `simulate` in its own environment, options by their names (``snr=0.05``, ``no_ctf=True``).

    Returns
    -------
    str
        The particles' metadata; the stacks, ``truth.csv`` and ``simulation.json`` lie beside it.
    """
    Domain.getPlugins()  # which defines the plugin's variables
    problems = Plugin.validateInstallation()
    if problems:
        raise SimulationError("\n".join(problems))
    command = [Plugin.getPython(), "-m", "alignpca2d_core", "simulate", "-o", str(folder)]
    for name, value in options.items():
        option = "--" + name.replace("_", "-")
        command += [option] if value is True else [option, str(value)]
    done = subprocess.run(command, env=Plugin.getEnviron(), stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise SimulationError((done.stderr.strip().splitlines() or ["no message"])[-1])
    return os.path.join(str(folder), "particles.xmd")


def new_import(project, particles, **attributes):
    """A ProtImportParticles, not launched, for the metadata that `simulate` returned."""
    with open(os.path.join(os.path.dirname(particles), "simulation.json"), encoding="utf-8") as stream:
        settings = json.load(stream)["settings"]
    return project.newProtocol(
        ProtImportParticles,
        importFrom=ProtImportParticles.IMPORT_FROM_XMIPP3,
        mdFile=particles,
        samplingRate=settings["sampling_rate"],
        voltage=settings["voltage"],
        sphericalAberration=settings["cs"],
        amplitudeContrast=settings["q0"],
        haveDataBeenPhaseFlipped=settings["phase_flip"],
        **attributes,
    )


def connect(protocol, parameter, producer, output):
    """Make the output of a protocol the input of another, as the form does."""
    pointer = getattr(protocol, parameter)
    pointer.set(producer)
    pointer.setExtended(output)
