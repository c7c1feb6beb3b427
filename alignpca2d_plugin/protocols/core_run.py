"""The protocol's parameters as the core's options, and one run of the core."""

import json
import os
import shlex
import signal
import subprocess
import time

import pyworkflow.utils as pwutils

from .. import Plugin, core_job
from ..constants import AUTOMATIC, MODE_UPDATE, PRESETS
from . import checks
from .wording import in_terms_of_the_form

REFERENCES = "references.mrcs"
VERDICT = "verdict.json"
FEWEST_PER_PROCESS = 50
"""As in the core."""
SECONDS_FOR_THE_LAST_RUN = 60
POLL_SECONDS = 0.5


class CoreError(Exception):
    """The core failed; the message is its own line."""


def options(protocol, initial_particles=None, streaming=False):
    """The form's parameters as the core's options; what is automatic is left to the core, or given here.

    What would have no effect is not given: there is nothing to revisit but in a stream, and no stage 1 where classes
    are given.
    """
    particles = protocol.inputParticles.get()
    given = protocol.mode.get() == MODE_UPDATE
    found = {
        "--resolution": protocol.resolution.get(),
        "--variance": protocol.variance.get(),
        "--sampling-rate": particles.getSamplingRate(),
        "--mask-diameter": _unless_automatic(protocol.maskDiameter),
        "--psi-range": None if protocol.keepAlignment else _unless_automatic(protocol.psiRange),
        "--tube-diameter": _unless_automatic(protocol.tubeDiameter),
        "--low-resolution": _unless_automatic(protocol.lowResolution),
        "--initial-particles": initial_particles or _unless_automatic(protocol.initialParticles),
        "--batch-size": _unless_automatic(protocol.batchSize),
        "--revisit": protocol.revisit.get() if streaming else None,
        "--iterations": None if given else _unless_automatic(protocol.iterations),
        "--rounds": None if given or streaming else protocol.rounds.get() or None,
        "--seed": protocol.seed.get(),
        "--preset": PRESETS[protocol.preset.get()],
        "--ctf": _ctf_option(protocol),
    }
    if given:
        found["--references"] = protocol._getExtraPath(REFERENCES)
    else:
        found["--classes"] = protocol.numberOfClasses.get()
    words = _words(found) + common_options(protocol)
    words += ["--phase-flipped"] if particles.isPhaseFlipped() else []
    words += ["--invert"] if protocol.invertContrast else []
    words += ["--no-align"] if protocol.keepAlignment else []
    return words + shlex.split(protocol.extraArguments.get() or "")


def common_options(protocol):
    """The options of every run that makes classes: what is called good, and what it is computed on."""
    return _words(
        {
            "--good-score": _unless_automatic(protocol.goodScore),
            "--good-resolution": _unless_automatic(protocol.goodResolution),
            "--good-particles": _unless_automatic(protocol.goodCount),
            "--title": report_title(protocol),
            "--device": "auto" if protocol.usesGpu() else "cpu",
            "--threads": protocol.binThreads.get() or None,
        }
    )


def _words(options):
    """Options as words of a command line; None is left out."""
    return [str(word) for pair in options.items() if pair[1] is not None for word in pair]


def report_title(protocol):
    """The heading of the report: project and run."""
    project = protocol.getProject()
    names = ([project.getShortName()] if project is not None else []) + [protocol.getRunName()]
    return ": ".join(" ".join(name.split()) for name in names)


def run(protocol, words):
    """Run the core with these arguments; raise CoreError with its own words when it fails."""
    verdict = protocol._getExtraPath(VERDICT)
    _wait_for_the_last_run(protocol)
    pwutils.cleanPath(verdict)
    gpus = gpus_for(protocol, words)
    job = [os.path.abspath(core_job.__file__), "--verdict", verdict]
    if len(gpus) > 1:
        job += ["--processes", str(len(gpus))]
    if not protocol.useQueueForSteps():
        job += ["--while-alive", str(os.getpid())]
    program, arguments = quoted([Plugin.getPython()]), quoted([*job, "--", *words])
    if gpus:
        program = f"CUDA_VISIBLE_DEVICES={','.join(map(str, gpus))} {program}"
    elif protocol.usesGpu():
        program, arguments = (text.replace("%", "%%") for text in (program, arguments))
        program = f"CUDA_VISIBLE_DEVICES=%(GPU)s {program}"
    failure = ""
    try:
        protocol.runJob(program, arguments, numberOfThreads=protocol.getBinThreads() or 1)
    except subprocess.CalledProcessError as error:
        failure = f"the program ended with exit code {error.returncode}"
    outcome = read_verdict(protocol)
    if failure or outcome.get("exit_code") != 0:
        message = outcome.get("message") or failure or "the program ended without a result: see its log"
        raise CoreError(in_terms_of_the_form(message, protocol))


def quoted(words):
    """Words for the shell that Scipion runs jobs with, which is to make nothing of them; nor is Scipion.

    What looks like its placeholder %(GPU)s is split by closing and opening the quotes, in which any bracket is.
    """
    return " ".join(map(shlex.quote, words)).replace("%(", "%''(")


def gpus_for(protocol, words):
    """The GPUs that this run of the core takes where several were chosen; none where Scipion is to say which.

    Scipion would divide them among its threads, only one of which runs the core. A queue gives GPUs by its own numbers,
    from 0 on.
    """
    gpus = [gpu for gpu in dict.fromkeys(protocol.getGpuList()) if gpu >= 0] if protocol.usesGpu() else []
    if len(gpus) < 2:
        return []
    if protocol.useQueue():
        gpus = list(range(len(gpus)))
    if words[0] != "classify" or "--rounds" in words or PRESETS[protocol.preset.get()] == "paper":
        return gpus[:1]
    return gpus[: max(protocol.inputParticles.get().getSize() // FEWEST_PER_PROCESS, 1)]


def read_verdict(protocol):
    """What the job of the core has left; empty before there is one."""
    try:
        with open(protocol._getExtraPath(VERDICT), encoding="utf-8") as stream:
            return json.load(stream)
    except (OSError, ValueError):
        return {}


def _wait_for_the_last_run(protocol):
    """Where the protocol was killed, its core needs a moment to notice, and two must not write into one folder."""
    outcome, folder = read_verdict(protocol), protocol._getExtraPath()
    job, core = outcome.get("job", 0), outcome.get("core", 0)
    end = time.monotonic() + SECONDS_FOR_THE_LAST_RUN
    while core_job.is_alive(job, folder):
        if time.monotonic() > end:
            raise CoreError(f"An earlier run of the program still works in {folder}: stop it first")
        time.sleep(POLL_SECONDS)
    if core_job.is_alive(core, folder):  # no protocol is left to stop it
        os.kill(core, signal.SIGKILL)


def _ctf_option(protocol):
    if not checks.uses_ctf(protocol):
        return "none"
    return "auto" if PRESETS[protocol.preset.get()] == "default" else None


def _unless_automatic(parameter):
    return None if parameter.get() == AUTOMATIC else parameter.get()
