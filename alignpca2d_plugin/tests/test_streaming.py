"""ProtAlignPCA2D on an input that still grows: a session with a stand-in, and one from end to end."""

import os
import signal
import time

from pwem import Domain

from alignpca2d_plugin.constants import MODE_UPDATE, PARTICLES_OF_GOOD
from alignpca2d_plugin.growing_input import look
from alignpca2d_plugin.results import read_assignments, read_summary
from alignpca2d_plugin.simulation import connect
from alignpca2d_plugin.tests.cases import PARTICLES, AlignPCA2DCase
from alignpca2d_plugin.tests.stream_case import QUICK, StreamCase


class TestAlignPCA2DStreaming(StreamCase):
    """Batches, late and disabled particles, pauses, and two protocols at once."""

    def test_a_session(self):
        """Two protocols on one input, which pauses and whose particles do not come in the order of their ids."""
        producer = self.new_input()
        self.grow(producer, range(101, 131))
        one = self.start(producer, goodParticles=PARTICLES_OF_GOOD)
        other = self.start(producer, numberOfClasses=3, maxWait=2)
        missing = "*30* of the 60 particles that start the classes have come: *30* are missing."
        self.wait(one, lambda: missing in one.summary())
        self.assertFalse(hasattr(one, "outputClasses"))
        self.grow(producer, [*range(131, 166), 200], disabled=[140, 200])
        for protocol, number in ((one, 60), (other, 64)):  # the second does not wait for a whole batch
            self.wait_for_particles(protocol, number)
            self.wait(protocol, protocol.outputAverages.isStreamOpen)
            self.assertTrue(protocol.outputClasses.isStreamOpen())
        self.assertIn("*60* particles in *5* classes so far.", one.summary())
        self.assertIn("4 more have come and wait for their turn.", one.summary())
        self.wait(one, lambda: hasattr(one, "outputParticles"))  # defined a moment after the classes
        self.check_good_particles(one)
        self.assertTrue(one.outputParticles.isStreamOpen())
        early = one.outputParticles.getSize()
        self.grow(producer, range(1, 81))  # late, with lower ids
        self.wait_for_particles(one, 144)
        self.wait(one, lambda: one.outputParticles.getSize() > early)
        self.check_good_particles(one)
        self.assertTrue(one.outputParticles.isStreamOpen())
        self.grow(producer, range(201, PARTICLES + 1), close=True)
        ids = (set(range(1, 81)) | set(range(101, 166)) | set(range(201, PARTICLES + 1))) - {140}
        for protocol in (one, other):
            self.wait_for_end(protocol, ids)
        self.assertIn(f"*{len(ids)}* particles in *5* classes.", one.summary())
        self.assertIn("Verdicts: 2 good, 2 doubtful, 1 junk.", one.summary())
        self.check_good_particles(one)
        self.assertTrue(one.outputParticles.hasAlignment2D() and one.outputParticles.hasCTF())
        self.assertIsNotNone(one.outputParticles.getFirstItem().getCTF())
        self.assertFalse(hasattr(other, "outputParticles"))
        parents = {p.getObjId() for p in self.proj.getSourceParents(one.outputClasses)}
        self.assertIn(producer.getObjId(), parents)

    def test_update_given_classes(self):
        static = self.new_protocol(numberOfClasses=3)
        with self.stand_in(""):
            self.proj.launchProtocol(static, wait=True)
        producer = self.new_input()
        self.grow(producer, range(1, 71))
        protocol = self.new_protocol(producer, **dict(QUICK, mode=MODE_UPDATE))
        connect(protocol, "initialClasses", static, "outputClasses")
        self.launch(protocol)
        self.wait_for_particles(protocol, 60)
        with open(protocol._getExtraPath("summary.json"), encoding="utf-8") as stream:
            self.assertIn("--references", stream.read())
        self.grow(producer, range(71, 91), close=True)
        self.wait_for_end(protocol, range(1, 91))

    def test_classes_chosen_while_it_runs(self):
        """Each choice makes a set that grows with the stream, also after a crash; the one before it is closed."""
        producer = self.new_input()
        self.grow(producer, range(1, 71))
        protocol = self.start(producer, goodParticles=PARTICLES_OF_GOOD)
        self.wait_for_particles(protocol, 60)
        self.wait(protocol, lambda: hasattr(protocol, "outputParticles"))
        before = protocol.outputParticles.getIdSet()
        protocol.outputParticles.close()
        protocol.choose({2, 3})
        self.wait(protocol, lambda: hasattr(protocol, "outputParticles2"))  # without any new particle
        self.assertTrue(protocol.outputParticles2.isStreamOpen())
        self.assertTrue(protocol.outputParticles.isStreamClosed())
        self.check_particles_of(protocol, "outputParticles2", (2, 3))
        self.grow(producer, range(71, 121))
        self.wait_for_particles(protocol, 120)
        self.wait(protocol, lambda: protocol.outputParticles2.getSize() > 30)
        self.check_particles_of(protocol, "outputParticles2", (2, 3))
        self.assertEqual(protocol.outputParticles.getIdSet(), before)
        protocol.outputParticles.close()
        os.kill(protocol.getPid(), signal.SIGKILL)
        self.wait(protocol, lambda: not protocol.isActive())
        self.launch(protocol)
        self.grow(producer, range(121, 131), close=True)
        self.wait_for_end(protocol, range(1, 131))
        self.check_particles_of(protocol, "outputParticles2", (2, 3))
        self.assertFalse(hasattr(protocol, "outputParticles3"))
        self.assertIn("*outputParticles2*: the particles of classes 2, 3.", protocol.summary())

    def test_good_particles_are_a_growing_input_of_the_next_protocol(self):
        """Which gets every particle that a good class has held, and ends when the first one ends."""
        producer = self.new_input()
        self.grow(producer, range(1, 71))
        one = self.start(producer, goodParticles=PARTICLES_OF_GOOD)
        self.wait(one, lambda: hasattr(one, "outputParticles"))
        other = self.start(one, numberOfClasses=2, initialParticles=10, batchSize=20, maxWait=2)
        self.wait(other, lambda: self.number(other) > 0)
        self.assertTrue(other.outputClasses.isStreamOpen())
        self.grow(producer, range(71, 141), close=True)
        self.wait_for_end(one, range(1, 141))
        self.check_good_particles(one)
        self.wait(other, lambda: not other.isActive())
        self.assertTrue(other.isFinished(), other.getErrorMessage() + self.log_of(other))
        self.assertLessEqual(one.outputParticles.getIdSet(), set(read_assignments(other._getExtraPath())))

    def test_scheduled_before_its_input_exists(self):
        producer = self.newProtocol(Domain.getProtocols()["ProtEmitParticles"], portions=3, pause=0.5)
        connect(producer, "inputParticles", self.importing, "outputParticles")
        self.proj.saveProtocol(producer)
        protocol = self.new_protocol(producer, **QUICK)
        with self.stand_in(""):
            self.proj.scheduleProtocol(protocol)
        time.sleep(2)
        self.assertTrue(protocol.isScheduled())
        self.proj.launchProtocol(producer, wait=True)
        self.assertTrue(producer.isFinished(), producer.getErrorMessage())
        self.wait(protocol, lambda: not (protocol.isScheduled() or protocol.isActive()))
        self.wait_for_end(protocol, range(1, PARTICLES + 1))


class TestAlignPCA2DSession(AlignPCA2DCase):
    """From end to end, with the core itself: another protocol emits the particles."""

    def test_classes_appear_while_particles_come(self):
        producer = self.newProtocol(Domain.getProtocols()["ProtEmitParticles"], portions=5, pause=3.0)
        connect(producer, "inputParticles", self.importing, "outputParticles")
        self.proj._setupProtocol(producer)
        producer.makePathsAndClean()
        protocol = self.new_protocol(
            producer, initialParticles=80, batchSize=50, streamingSleepOnWait=1, lowResolution=100.0
        )
        self.proj.launchProtocol(producer, wait=False)
        self.wait(producer, lambda: hasattr(producer, "outputParticles"))
        self.proj.launchProtocol(protocol, wait=False)
        self.wait(producer, lambda: len(look(producer.outputParticles)[1]) >= 2 * PARTICLES // 5)
        hold = producer._getExtraPath("hold")
        with open(hold, "w", encoding="utf-8"):
            pass
        self.wait(protocol, lambda: hasattr(protocol, "outputClasses") or not protocol.isActive())
        self.assertTrue(protocol.isActive(), protocol.getErrorMessage() + self.log_of(protocol))
        self.assertTrue(protocol.outputClasses.isStreamOpen())
        self.assertTrue(os.path.exists(protocol.getGallery()))
        os.remove(hold)
        self.wait(protocol, lambda: not protocol.isActive())
        self.assertTrue(protocol.isFinished(), protocol.getErrorMessage() + self.log_of(protocol))
        self.check_outputs(protocol, range(1, PARTICLES + 1))
        summary = read_summary(protocol._getExtraPath())
        self.assertGreater(len(summary["history"]["batches"]), 1)
        self.assertEqual(summary["settings"]["low_resolution"], 100.0)
