"""ProtAlignPCA2D in a Scipion project, on particles that the core simulates.  Nothing is downloaded."""

import json
import os
from types import SimpleNamespace

import numpy as np
from pwem.objects import SetOfClasses2D
from pwem.protocols import ProtSubSet

from alignpca2d_plugin import Plugin
from alignpca2d_plugin.constants import ALIGNPCA2D_PYTHON, MODE_UPDATE, PARTICLES_OF_GOOD_AND_DOUBTFUL
from alignpca2d_plugin.protocols import checks
from alignpca2d_plugin.simulation import connect
from alignpca2d_plugin.tests.cases import (
    BOX,
    CLASSES,
    PARTICLES,
    SAMPLING,
    SIMULATION,
    AlignPCA2DCase,
    StandInCase,
)
from alignpca2d_plugin.viewers.subsets import new_subset


def matrices(particles):
    """The transform of each particle of a set or class, by id."""
    return {particle.getObjId(): np.array(particle.getTransform().getMatrix()) for particle in particles.iterItems()}


class TestAlignPCA2D(AlignPCA2DCase):
    """Modes, inputs and what becomes of them."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.static = cls.new_protocol(goodParticles=PARTICLES_OF_GOOD_AND_DOUBTFUL)
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
        with open(self.static.getReport(), encoding="utf-8") as stream:
            self.assertIn(f"<title>{self.proj.getShortName()}: {self.static.getRunName()} –", stream.read())
        self.assertTrue(os.path.exists(self.static.getGallery()))
        with open(self.static._getExtraPath("summary.json"), encoding="utf-8") as stream:
            self.assertTrue(json.load(stream))

    def test_limits_and_extra_arguments_reach_the_program(self):
        protocol = self.new_protocol(
            goodScore=2.5, goodResolution=40.0, goodCount=PARTICLES, rounds=1, extraArguments="--ctf wiener --seed 5"
        )
        self.launchProtocol(protocol)
        with open(protocol._getExtraPath("summary.json"), encoding="utf-8") as stream:
            summary = json.load(stream)
        wanted = {"good_score": 2.5, "good_resolution": 40.0, "good_particles": PARTICLES, "ctf": "wiener", "seed": 5}
        wanted["rounds"] = 1
        self.assertEqual({name: summary["settings"][name] for name in wanted}, wanted)
        self.assertNotIn("good", summary["classes"]["verdict"])

    def test_alignment_is_kept(self):
        protocol = self.new_protocol(producer=self.static, keepAlignment=True, numberOfClasses=2)
        self.assertEqual(protocol.validate(), [])
        self.launchProtocol(protocol)
        given = matrices(self.static.outputParticles)
        found = {}
        for item in protocol.outputClasses.iterItems():
            found.update(matrices(item))
        self.assertEqual(set(found), set(given))
        for number, matrix in found.items():
            np.testing.assert_allclose(matrix, given[number], atol=1e-4)

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

    def test_subdivide_classes(self):
        classes = {item.getObjId(): item.getIdSet() for item in self.static.outputClasses.iterItems()}
        self.static.outputClasses.close()
        subset = new_subset(self.proj, self.static, "Classes", [2, 4])
        self.launchProtocol(subset)
        ((output, _),) = subset.iterOutputAttributes()
        kept = self.new_subdivision(subset, output, poses=1)
        searched = self.new_subdivision(self.static, chosen="1-2")
        for protocol, numbers in ((kept, (2, 4)), (searched, (1, 2))):
            self.assertEqual(protocol.validate(), [])
            self.launchProtocol(protocol)
            wanted = set().union(*(classes[number] for number in numbers))
            self.assertEqual(len(self.check_outputs(protocol, wanted)), 3)
            self.assertIn(f"*{len(wanted)}* particles in *3* classes", " ".join(protocol.summary()))
            self.assertIn("classified again into 3 classes", " ".join(protocol.methods()))
        parents = {p.getObjId() for p in self.proj.getSourceParents(kept.outputClasses)}
        self.assertIn(subset.getObjId(), parents)
        before = {p.getObjId(): p.getTransform().getMatrix() for p in self.static.outputClasses[2].iterItems()}
        for item in kept.outputClasses.iterItems():
            for particle in item.iterItems():
                if particle.getObjId() in before:
                    difference = before[particle.getObjId()] - particle.getTransform().getMatrix()
                    self.assertLess(abs(difference).max(), 1e-3)

    def test_subdivide_says_what_is_wrong(self):
        protocol = self.new_subdivision(self.static, chosen="99")
        self.proj.launchProtocol(protocol, wait=True)
        self.assertTrue(protocol.isFailed())
        message = f'"Which of them" 99: class 99 is not there; the results have 1 to {CLASSES}'
        self.assertIn(message, protocol.getErrorMessage())
        protocol = self.new_subdivision(self.importing)
        protocol.inputClasses.set(SetOfClasses2D(filename=":memory:"))
        self.assertIn("Choose classes of alignPCA-2D", " ".join(protocol.validate()))

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
            "less than 6 pixels": {"maskDiameter": 5.9 * SAMPLING},
            "Choose the initial classes": {"mode": MODE_UPDATE},
            "At least 3 Scipion threads": {"numberOfThreads": 2},
            "must lie between 0.05 and 1.0": {"variance": 1.5},
            "or -1 to let the program choose": {"iterations": 0},
            "no alignment in two dimensions": {"keepAlignment": True},
            "no in-plane angles": {"psiRange": 6.0},
            "A tube needs": {"tubeDiameter": 60.0},
            "coarser than the resolution limit": {"lowResolution": 15.0},
            "ask for no rounds": {"rounds": 1, "preset": 1},
            "cannot be read": {"extraArguments": "--title 'open"},
            "give options": {"extraArguments": "wiener"},
            "The protocol gives --output itself": {"extraArguments": "--ctf none --output=elsewhere"},
            "Choose the GPU": {"useGpu": True, "gpuList": ""},
            "The GPU ID 'abc' is not understood": {"useGpu": True, "gpuList": "abc"},
            "The GPU ID '0,x' is not understood": {"useGpu": True, "gpuList": "0,x"},
        }
        for message, attributes in wrong.items():
            errors = self.new_protocol(**attributes).validate()
            self.assertIn(message, " ".join(errors))
            self.assertEqual(len(errors), 1, errors)
        for right in ({}, {"maskDiameter": round(BOX * SAMPLING + 0.05, 1)}, {"maskDiameter": 6 * SAMPLING}):
            self.assertEqual(self.new_protocol(**right).validate(), [])
        self.assertIn("beyond Nyquist", " ".join(self.new_protocol(resolution=8.0).warnings()))
        self.assertEqual(self.new_protocol().warnings(), [])
        self.assertEqual(self.new_protocol(useGpu=False, gpuList="abc").validate(), [])
        few = self.new_protocol(numberOfClasses=PARTICLES // 3).warnings()
        self.assertIn("There are only 3.0 particles for each of 80 classes", " ".join(few))
        self.assertIn(f"Ask for {PARTICLES // 40} classes or fewer", " ".join(few))
        wide = self.new_protocol(maskDiameter=round(BOX * SAMPLING / 4)).warnings()
        self.assertIn("4.0 times as wide as the mask", " ".join(wide))

    def test_a_box_of_more_pixels_than_are_compared(self):
        protocol = self.new_protocol(resolution=8.0)
        large, usual = (SimpleNamespace(getXDim=lambda n=n: n, getSamplingRate=lambda: 0.8) for n in (500, 256))
        (text,) = checks._large_box(protocol, large)
        self.assertIn("has 500 pixels", text)
        self.assertIn("126 pixels of 3.17 Å", text)  # what 8 Å needs is 4 Å at most
        self.assertEqual(checks._large_box(protocol, usual), [])
        self.assertEqual(checks._large_box(self.new_protocol(resolution=2.0), large), [])

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


class TestAlignPCA2DFailures(StandInCase):
    """A core that fails makes the protocol fail with the core's own words (a stand-in does the failing)."""

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

    def test_core_says_what_is_wrong(self):
        message = self.error_of_a_core_that_fails_by("option")
        self.assertIn('"Number of classes" 0: must lie in [1, 100000]', message)
        self.assertNotIn("--", message)

    def test_core_runs_out_of_memory(self):
        self.assertIn("can't allocate memory", self.error_of_a_core_that_fails_by("fault"))

    def test_core_is_killed(self):
        self.assertIn("killed by SIGKILL (by a person, a queue", self.error_of_a_core_that_fails_by("killed"))

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
