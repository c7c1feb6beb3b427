"""What the tests of the protocol share: a project with particles, and a stand-in for the core."""

import os
import stat
import time
from contextlib import contextmanager

import psutil
from pwem import Domain
from pyworkflow.tests import BaseTest, setupTestProject

from alignpca2d_plugin import Plugin
from alignpca2d_plugin.constants import ALIGNPCA2D_PYTHON
from alignpca2d_plugin.simulation import connect, new_import, simulate

PARTICLES, VIEWS, CLASSES, BOX, SAMPLING = 240, 3, 5, 32, 7.0
SIMULATION = {"particles": PARTICLES, "views": VIEWS, "box": BOX, "sampling_rate": SAMPLING, "snr": 0.2}
FAKES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fakes")


class AlignPCA2DCase(BaseTest):
    """A project with imported particles."""

    simulation = SIMULATION

    @classmethod
    def setUpClass(cls):
        cls.addClassCleanup(os.chdir, os.getcwd())
        setupTestProject(cls)
        cls.ProtAlignPCA2D = Domain.getProtocols()["ProtAlignPCA2D"]
        particles = simulate(os.path.join(cls.proj.path, "simulated"), stacks=2, **cls.simulation)
        cls.importing = new_import(cls.proj, particles)
        cls.launchProtocol(cls.importing)

    @classmethod
    def new_protocol(cls, producer=None, **attributes):
        options = {"numberOfClasses": CLASSES, "resolution": 20.0, "binThreads": 1, "useGpu": False}
        protocol = cls.newProtocol(cls.ProtAlignPCA2D, **dict(options, **attributes))
        connect(protocol, "inputParticles", producer or cls.importing, "outputParticles")
        return protocol

    @classmethod
    def new_subdivision(cls, producer, output="outputClasses", **attributes):
        options = {"numberOfClasses": 3, "binThreads": 1, "useGpu": False}
        protocol = cls.newProtocol(Domain.getProtocols()["ProtAlignPCA2DSubdivide"], **dict(options, **attributes))
        connect(protocol, "inputClasses", producer, output)
        return protocol

    def log_of(self, protocol):
        path = protocol.getStdoutLog()
        if not os.path.exists(path):
            return ""
        with open(path, encoding="utf-8") as stream:
            return stream.read()

    def wait(self, protocol, condition):
        end = time.monotonic() + 180
        while not condition():
            self.assertLess(time.monotonic(), end, self.log_of(protocol))
            time.sleep(1)
            self.proj._updateProtocol(protocol)

    def check_outputs(self, protocol, ids):
        """Every particle is in exactly one class, with an alignment, and the averages are those of the classes."""
        members = []
        classes, averages = protocol.outputClasses, protocol.outputAverages
        self.assertAlmostEqual(classes.getSamplingRate(), SAMPLING, places=3)
        self.assertAlmostEqual(averages.getSamplingRate(), SAMPLING, places=3)
        self.assertEqual(averages.getDim(), (BOX, BOX, 1))
        sizes = {}
        for item in classes.iterItems():
            inside = [particle.getObjId() for particle in item.iterItems()]
            members += inside
            sizes[item.getObjId()] = len(inside)
            self.assertEqual(item.getSize(), len(inside))
            self.assertGreater(len(inside), 0)
            self.assertTrue(item.hasAlignment2D())
            self.assertGreater(item._alignpca2d_resolution.get(), 2 * SAMPLING - 0.01)
            self.assertIsNotNone(item._alignpca2d_quality.get())
            self.assertTrue(os.path.exists(item.getRepresentative().getFileName()))
            self.assertIsNotNone(item.getFirstItem().getTransform())
            self.assertIsNotNone(item.getFirstItem()._alignpca2d_score.get())
        self.assertEqual(sorted(members), sorted(ids))
        self.assertEqual({a.getObjId(): a._alignpca2d_size.get() for a in averages.iterItems()}, sizes)
        classes.close()  # an item that is not the last keeps its set locked
        averages.close()
        return sizes


class StandInCase(AlignPCA2DCase):
    """A core that only pretends to classify, and fails as it is told."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.python = os.path.join(cls.proj.path, "python_with_fakes")
        with open(cls.python, "w", encoding="utf-8") as stream:
            stream.write(f'#!/bin/sh\nPYTHONPATH="{FAKES}" exec "{Plugin.getPython()}" "$@"\n')
        os.chmod(cls.python, stat.S_IRWXU)

    @contextmanager
    def stand_in(self, how):
        """The protocols launched in here have a core that does as it is told."""
        before = {name: os.environ.get(name) for name in (ALIGNPCA2D_PYTHON, "FAKE_CORE")}
        os.environ.update({ALIGNPCA2D_PYTHON: self.python, "FAKE_CORE": how})
        try:
            yield
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})

    def processes_of(self, protocol):
        """The jobs of its core; names in a command are relative to the project, and others may run tests too."""
        verdict, project = protocol._getExtraPath("verdict.json"), os.getcwd()
        return [
            process
            for process in psutil.process_iter(["cmdline", "cwd"])
            if verdict in (process.info["cmdline"] or []) and process.info["cwd"] == project
        ]
