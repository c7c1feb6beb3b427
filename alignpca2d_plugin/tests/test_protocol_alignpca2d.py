"""ProtAlignPCA2D in a Scipion project, on particles that the core simulates.  Nothing is downloaded."""

import json
import os
import stat
import sys
import time
from contextlib import contextmanager

import psutil
from pwem import Domain
from pwem.objects import SetOfParticles
from pwem.protocols import ProtSubSet
from pyworkflow.object import Set
from pyworkflow.tests import BaseTest, setupTestProject

from alignpca2d_plugin import Plugin
from alignpca2d_plugin.constants import ALIGNPCA2D_PYTHON, MODE_UPDATE
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

    def log_of(self, protocol):
        path = protocol.getStdoutLog()
        if not os.path.exists(path):
            return ""
        with open(path, encoding="utf-8") as stream:
            return stream.read()

    def wait(self, protocol, condition):
        end = time.monotonic() + 120
        while not condition():
            self.assertLess(time.monotonic(), end, self.log_of(protocol))
            time.sleep(0.5)
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
        return sizes


class TestAlignPCA2D(AlignPCA2DCase):
    """Modes, inputs and what becomes of them."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.static = cls.new_protocol()
        cls.launchProtocol(cls.static)

    def test_static(self):
        sizes = self.check_outputs(self.static, range(1, PARTICLES + 1))
        self.assertEqual(len(sizes), CLASSES)
        self.assertEqual(list(sizes.values()), sorted(sizes.values(), reverse=True))
        parents = {p.getObjId() for p in self.proj.getSourceParents(self.static.outputClasses)}
        self.assertIn(self.importing.getObjId(), parents)
        text = " ".join(self.static.summary())
        self.assertIn(f"*{PARTICLES}* particles in *{CLASSES}* classes", text)
        self.assertIn("best", text)
        self.assertIn("correcting for the CTF", " ".join(self.static.methods()))
        self.assertTrue(os.path.exists(self.static.getGallery()))
        with open(self.static._getExtraPath("summary.json"), encoding="utf-8") as stream:
            self.assertTrue(json.load(stream))

    def test_update_given_classes(self):
        for output in ("outputClasses", "outputAverages"):
            update = self.new_protocol(mode=MODE_UPDATE, numberOfClasses=CLASSES + 1)
            connect(update, "initialClasses", self.static, output)
            self.assertEqual(update.validate(), [])
            self.launchProtocol(update)
            self.assertEqual(len(self.check_outputs(update, range(1, PARTICLES + 1))), CLASSES)

    def test_ids_with_gaps(self):
        subset = self.newProtocol(ProtSubSet, chooseAtRandom=True, nElements=150)
        connect(subset, "inputFullSet", self.importing, "outputParticles")
        self.launchProtocol(subset)
        ids = subset.outputParticles.getIdSet()
        self.assertGreater(max(ids), len(ids))
        protocol = self.new_protocol(subset)
        self.launchProtocol(protocol)
        self.check_outputs(protocol, ids)

    def test_copy_runs_again_to_the_same_classes(self):
        copy = self.proj.copyProtocol(self.static)
        self.launchProtocol(copy)
        self.check_outputs(copy, range(1, PARTICLES + 1))
        pairs = zip(self.static.outputClasses.iterItems(), copy.outputClasses.iterItems())
        for one, other in pairs:
            self.assertEqual(one.getIdSet(), other.getIdSet())

    def test_messages(self):
        wrong = {
            "fewer particles": {"numberOfClasses": PARTICLES + 1},
            "hardly anything": {"resolution": 150.0},
            "larger than the box": {"maskDiameter": 2 * BOX * SAMPLING},
            "Choose the initial classes": {"mode": MODE_UPDATE},
            "At least 3 Scipion threads": {"numberOfThreads": 2},
            "must lie between 0.05 and 1.0": {"variance": 1.5},
            "or -1 to let the program choose": {"iterations": 0},
            "Choose the GPU": {"useGpu": True, "gpuList": ""},
        }
        for message, attributes in wrong.items():
            errors = self.new_protocol(**attributes).validate()
            self.assertIn(message, " ".join(errors))
            self.assertEqual(len(errors), 1, errors)
        self.assertEqual(self.new_protocol().validate(), [])
        self.assertIn("beyond Nyquist", " ".join(self.new_protocol(resolution=8.0).warnings()))
        self.assertEqual(self.new_protocol().warnings(), [])

    def test_initial_classes_of_another_scale(self):
        update = self.new_protocol(mode=MODE_UPDATE)
        connect(update, "initialClasses", self.static, "outputAverages")
        particles = update.inputParticles.get()
        particles.setSamplingRate(SAMPLING / 2)
        self.assertIn("rescale", " ".join(update.validate()))
        particles.setSamplingRate(SAMPLING)
        self.assertEqual(update.validate(), [])


class TestAlignPCA2DPhaseFlipped(AlignPCA2DCase):
    """Particles whose phases were flipped before, dark on a bright background."""

    simulation = dict(SIMULATION, phase_flip=True, invert=True)

    def test_phase_flipped(self):
        self.assertTrue(self.importing.outputParticles.isPhaseFlipped())
        protocol = self.new_protocol(invertContrast=True)
        self.launchProtocol(protocol)
        self.check_outputs(protocol, range(1, PARTICLES + 1))
        self.assertFalse(protocol.outputAverages.isPhaseFlipped())
        with open(protocol.getStdoutLog(), encoding="utf-8") as stream:
            command = stream.read()
        self.assertIn("--phase-flipped", command)
        self.assertIn("--invert", command)


class TestAlignPCA2DOpenInput(AlignPCA2DCase):
    """An input that still grows when the protocol is launched."""

    def open_input(self):
        particles = SetOfParticles(filename=self.importing.outputParticles.getFileName())
        particles.loadAllProperties()
        return particles

    def test_waits_for_the_last_particle(self):
        particles = self.open_input()
        particles.setStreamState(Set.STREAM_OPEN)
        particles.write()
        particles.close()
        protocol = self.new_protocol(streamingSleepOnWait=1)
        self.proj.launchProtocol(protocol, wait=False)
        self.wait(protocol, lambda: "Waiting until the input is complete" in self.log_of(protocol))
        particles = self.open_input()
        particles.enableAppend()
        for late in [item.clone() for item in particles.iterItems(limit=10)]:
            late.setObjId(late.getObjId() + 1000)
            particles.append(late)
        particles.setStreamState(Set.STREAM_CLOSED)
        particles.write()
        particles.close()
        self.wait(protocol, lambda: not protocol.isActive())
        self.assertTrue(protocol.isFinished(), protocol.getErrorMessage())
        self.check_outputs(protocol, [*range(1, PARTICLES + 1), *range(1001, 1011)])


class TestAlignPCA2DFailures(AlignPCA2DCase):
    """A core that fails makes the protocol fail with the core's own words (a stand-in does the failing)."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.python = os.path.join(cls.proj.path, "python_with_fakes")
        with open(cls.python, "w", encoding="utf-8") as stream:
            stream.write(f'#!/bin/sh\nPYTHONPATH="{FAKES}" exec "{sys.executable}" "$@"\n')
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

    def error_of_a_core_that_fails_by(self, how):
        with self.stand_in(how):
            protocol = self.new_protocol()
            self.proj.launchProtocol(protocol, wait=True)
        self.assertTrue(protocol.isFailed())
        self.assertNotIn("Traceback", protocol.getErrorMessage())
        return protocol.getErrorMessage()

    def test_stopped_and_continued(self):
        with self.stand_in("slow"):
            protocol = self.new_protocol()
            self.proj.launchProtocol(protocol, wait=False)
            self.wait(protocol, lambda: "Stage 1" in self.log_of(protocol))
        self.assertIn("Now: Stage 1: 10 %", protocol.summary())
        self.proj.stopProtocol(protocol)
        self.assertTrue(protocol.isAborted())
        self.wait(protocol, lambda: not self.processes_of(protocol))
        self.proj.launchProtocol(protocol, wait=True)
        self.assertTrue(protocol.isFinished(), protocol.getErrorMessage())
        self.check_outputs(protocol, range(1, PARTICLES + 1))

    def processes_of(self, protocol):
        verdict = protocol._getExtraPath("verdict.json")
        commands = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]
        return [command for command in commands if verdict in command]

    def test_core_says_what_is_wrong(self):
        self.assertIn("--classes 0: must lie in [1, 100000]", self.error_of_a_core_that_fails_by("option"))

    def test_core_runs_out_of_memory(self):
        self.assertIn("can't allocate memory", self.error_of_a_core_that_fails_by("fault"))

    def test_core_is_killed(self):
        self.assertIn(
            "killed by SIGKILL; the machine probably ran out of memory", self.error_of_a_core_that_fails_by("killed")
        )

    def test_no_core(self):
        was = Plugin.getVar(ALIGNPCA2D_PYTHON)
        try:
            for python, message in (("/nowhere/python", "no such program"), ("/bin/false", "exit code 1")):
                Plugin._vars[ALIGNPCA2D_PYTHON] = python
                errors = " ".join(self.new_protocol().validate())
                self.assertIn(message, errors)
                self.assertIn("scipion3 installb alignpca2d", errors)
        finally:
            Plugin._vars[ALIGNPCA2D_PYTHON] = was


class TestAlignPCA2DTemplate(BaseTest):
    """Workflows as JSON: the template that ships, and a round trip."""

    @classmethod
    def setUpClass(cls):
        cls.addClassCleanup(os.chdir, os.getcwd())
        setupTestProject(cls)
        Domain.getProtocols()

    def test_template_loads(self):
        templates = Domain.getPlugins()["alignpca2d_plugin"]._pluginInstance.getTemplates()
        self.assertEqual([t.name for t in templates], ["alignpca2d"])
        template = templates[0]
        template.replaceEnvVariables()
        template.parseContent()
        template.setParamValue("classes", "17")
        path = template.createTemplateFile()
        self.addCleanup(os.remove, path)
        importing, classification = self.proj.loadProtocols(path).values()
        self.assertEqual(classification.getClassName(), "ProtAlignPCA2D")
        self.assertEqual(classification.numberOfClasses.get(), 17)
        self.assertIs(classification.inputParticles.getObjValue(), importing)
        self.assertEqual(classification.inputParticles.getExtended(), "outputParticles")

    def test_export_and_import(self):
        protocol = self.newProtocol(
            Domain.getProtocols()["ProtAlignPCA2D"], numberOfClasses=7, resolution=11.5, seed=3, maskDiameter=150.0
        )
        self.proj.saveProtocol(protocol)
        self.proj.getRunsGraph(refresh=True)
        path = os.path.join(self.proj.path, "workflow.json")
        self.proj.exportProtocols([protocol], path)
        (loaded,) = self.proj.loadProtocols(path).values()
        for name, _ in protocol.iterDefinitionAttributes():
            if name != "runName":
                self.assertEqual(protocol.getAttributeValue(name), loaded.getAttributeValue(name), name)
