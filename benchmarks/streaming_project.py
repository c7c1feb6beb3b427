"""A Scipion project with simulated particles, and protocols that emit and classify them as a stream.

Scipion reads its variables when it is imported, so :func:`in_scipion` starts the benchmark again with them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from measured_run import CORE, ROOT

STARTED = "ALIGNPCA2D_BENCH_HOME"
CLASSES = 20
SIMULATION = {"views": 10, "box": 64, "sampling_rate": 3.54, "snr": 0.05, "phantom": "barrel"}


def in_scipion(home: Path, arguments: list[str]) -> None:
    """Replace this process by one whose Scipion lives in ``home``, unless it is that already."""
    sys.path.insert(0, str(ROOT))
    from importlib import util

    spec = util.spec_from_file_location("environment", ROOT / "alignpca2d_plugin" / "environment.py")
    assert spec is not None and spec.loader is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if os.environ.get(STARTED) != str(home):
        variables = {**os.environ, **module.scipion_variables(home), STARTED: str(home), "PYTHONPATH": str(ROOT)}
        os.execve(sys.executable, [sys.executable, *arguments], variables)


class StreamingProject:
    """A project with imported particles; it becomes the working directory.

    Parameters
    ----------
    home : Path
        Of Scipion; the particles are simulated into it too.
    name : str
    seed, particles : int
    """

    def __init__(self, home: Path, name: str, seed: int, particles: int) -> None:
        from pwem import Domain
        from pyworkflow.project import Manager

        from alignpca2d_plugin.simulation import new_import, simulate

        self.protocols = Domain.getProtocols()
        folder = home / f"{name}-particles"
        metadata = simulate(folder, seed=seed, specimen_seed=100 + seed, particles=particles, **SIMULATION)
        self.truth = folder / "truth.csv"
        self.project = Manager().createProject(name)
        os.chdir(self.project.path)
        self.importing = new_import(self.project, metadata)
        self.project.launchProtocol(self.importing, wait=True)
        assert self.importing.isFinished(), self.importing.getErrorMessage()

    def emitter(self, portions: int, pause: float) -> Any:
        """A protocol that emits the particles; it can be an input before it is launched."""
        from alignpca2d_plugin.simulation import connect

        producer = self.project.newProtocol(self.protocols["ProtEmitParticles"], portions=portions, pause=pause)
        connect(producer, "inputParticles", self.importing, "outputParticles")
        self.project._setupProtocol(producer)
        producer.makePathsAndClean()
        return producer

    def classification(self, producer: Any, seed: int, **attributes: Any) -> Any:
        from alignpca2d_plugin.simulation import connect

        options = {"numberOfClasses": CLASSES, "binThreads": 1, "useGpu": False, "seed": seed}
        protocol = self.project.newProtocol(self.protocols["ProtAlignPCA2D"], **options, **attributes)
        connect(protocol, "inputParticles", producer, "outputParticles")
        return protocol

    def wait(self, protocol: Any, condition: Callable[[], Any], seconds: float = 1800) -> None:
        """Look at a protocol as Scipion's windows do until something is so, or the protocol is no longer active."""
        end = time.monotonic() + seconds
        while protocol.isActive() and not condition():
            assert time.monotonic() < end, f"{protocol.getRunName()} takes too long"
            time.sleep(0.5)
            self.project._updateProtocol(protocol)

    def evaluation(self, protocol: Any) -> dict[str, float]:
        """What ``evaluate`` says of the files, and the members of the classes in Scipion's set."""
        command = [sys.executable, *CORE, "evaluate", protocol._getExtraPath(), "--truth", str(self.truth), "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        figures = json.loads(done.stdout)["truth"]["figures"]
        members = [p.getObjId() for item in protocol.outputClasses.iterItems() for p in item.iterItems()]
        protocol.outputClasses.close()
        return {**figures, "members": len(members), "distinct": len(set(members))}
