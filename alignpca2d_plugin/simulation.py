"""Simulated particles for the demo and the tests: made by the core, imported as any user would."""

import json
import os
import subprocess

from pwem import Domain
from pwem.objects import Acquisition, Coordinate, CTFModel, Particle, SetOfParticles
from pwem.protocols import ProtImportParticles

from . import Plugin
from .constants import CTF_LABELS, ID_LABEL, IMAGE_LABEL
from .results import read_rows

MAGNIFICATION = 50000.0
"""Means nothing here, but Scipion takes an acquisition without one for none."""
DEFOCUS_LABELS = tuple(label for label in CTF_LABELS if label.startswith("ctfDefocus"))
PLACE_LABELS = ("micrograph", "micrographId", "xcoor", "ycoor")
"""What sets that are cut out of micrographs have."""


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
    """A ProtImportParticles, not launched, for the metadata that `simulate` returned.

    It imports a set that is written beside them, since to import Xmipp's metadata takes Xmipp's plugin.
    """
    with open(os.path.join(os.path.dirname(particles), "simulation.json"), encoding="utf-8") as stream:
        settings = json.load(stream)["settings"]
    return project.newProtocol(
        ProtImportParticles,
        importFrom=ProtImportParticles.IMPORT_FROM_SCIPION,
        sqliteFile=_write_set(particles, settings),
        samplingRate=settings["sampling_rate"],
        voltage=settings["voltage"],
        sphericalAberration=settings["cs"],
        amplitudeContrast=settings["q0"],
        haveDataBeenPhaseFlipped=settings["phase_flip"],
        **attributes,
    )


def _write_set(particles, settings):
    """Write Xmipp's metadata as a SetOfParticles and return its file."""
    folder = os.path.dirname(os.path.abspath(particles))
    path = os.path.join(folder, "particles.sqlite")
    if os.path.exists(path):
        os.remove(path)
    acquisition = Acquisition()
    acquisition.setMagnification(MAGNIFICATION)
    acquisition.setVoltage(settings["voltage"])
    acquisition.setSphericalAberration(settings["cs"])
    acquisition.setAmplitudeContrast(settings["q0"])
    found = SetOfParticles(filename=path)
    found.setSamplingRate(settings["sampling_rate"])
    found.setAcquisition(acquisition)
    with_ctf, with_places = not settings["no_ctf"], settings["realistic"]
    found.setHasCTF(with_ctf)
    defocus_labels, place_labels = DEFOCUS_LABELS if with_ctf else (), PLACE_LABELS if with_places else ()
    for name, item_id, *values in read_rows(
        particles, "particles", (IMAGE_LABEL, ID_LABEL, *defocus_labels, *place_labels)
    ):
        index, _, stack = name.partition("@")
        particle = Particle(location=(int(index), os.path.join(folder, os.path.basename(stack))), objId=int(item_id))
        particle.setSamplingRate(settings["sampling_rate"])
        particle.setAcquisition(acquisition)
        if with_ctf:
            ctf = CTFModel()
            ctf.setStandardDefocus(*map(float, values[: len(defocus_labels)]))
            particle.setCTF(ctf)
        if with_places:
            particle.setCoordinate(_coordinate(*values[len(defocus_labels) :]))
        found.append(particle)
    found.write()
    found.close()
    return path


def _coordinate(micrograph, number, x, y):
    """A particle's coordinate, of the metadata's values as text."""
    coordinate = Coordinate()
    coordinate.setMicName(micrograph)
    coordinate.setMicId(int(number))
    coordinate.setPosition(round(float(x)), round(float(y)))
    return coordinate


def connect(protocol, parameter, producer, output):
    """Make the output of a protocol the input of another, as the form does."""
    pointer = getattr(protocol, parameter)
    pointer.set(producer)
    pointer.setExtended(output)
