"""An input that a test lets grow, a core that only pretends, and what must hold of the outputs."""

from pwem import Domain
from pwem.objects import SetOfParticles
from pyworkflow.object import Set

from alignpca2d_plugin.convert import items_by_id
from alignpca2d_plugin.results import read_assignments
from alignpca2d_plugin.simulation import connect
from alignpca2d_plugin.tests.cases import StandInCase

QUICK = {"streamingSleepOnWait": 1, "maxWait": 3600, "initialParticles": 60, "batchSize": 40}


class StreamCase(StandInCase):
    """Inputs that the test itself lets grow, and a core that only pretends."""

    def new_input(self):
        """A protocol whose output is open and has no particles yet."""
        producer = self.newProtocol(Domain.getProtocols()["ProtEmitParticles"])
        connect(producer, "inputParticles", self.importing, "outputParticles")
        self.proj._setupProtocol(producer)
        producer.makePathsAndClean()
        return producer

    def grow(self, producer, ids, disabled=(), close=False):
        """Append these of the imported particles, and store what Scipion's windows would."""
        source = self.importing.outputParticles
        particles = SetOfParticles(filename=producer._getPath("particles.sqlite"))
        particles.copyInfo(source)
        if not particles.isEmpty():
            particles.enableAppend()
        for item in items_by_id(source, ids):
            item.setEnabled(item.getObjId() not in disabled)
            particles.append(item)
            item.setEnabled(True)
        source.close()
        particles.setStreamState(Set.STREAM_CLOSED if close else Set.STREAM_OPEN)
        if not hasattr(producer, "outputParticles"):
            producer._defineOutputs(outputParticles=particles)
        particles.write()
        particles.close()
        self.proj.mapper.store(producer)
        self.proj.mapper.commit()

    def start(self, producer, how="", **attributes):
        """Launch a protocol whose core is the stand-in."""
        protocol = self.new_protocol(producer, **dict(QUICK, **attributes))
        self.launch(protocol, how)
        return protocol

    def launch(self, protocol, how=""):
        with self.stand_in(how):
            self.proj.launchProtocol(protocol, wait=False)

    def wait_for_particles(self, protocol, number):
        self.wait(protocol, lambda: self.number(protocol) >= number or not protocol.isActive())
        self.assertEqual(self.number(protocol), number, protocol.getErrorMessage() + self.log_of(protocol))

    def number(self, protocol):
        averages = getattr(protocol, "outputAverages", None)
        if averages is None:
            return 0
        sizes = [average._alignpca2d_size.get() for average in averages.iterItems()]
        averages.close()
        return sum(sizes)

    def wait_for_end(self, protocol, ids):
        """Until it is finished: then every particle is where the core put it, and the outputs are closed."""
        self.wait(protocol, lambda: not protocol.isActive())
        self.assertTrue(protocol.isFinished(), protocol.getErrorMessage() + self.log_of(protocol))
        self.check_outputs(protocol, ids)
        self.check_against_core(protocol)
        for _, output in protocol.iterOutputAttributes():
            self.assertTrue(output.isStreamClosed())

    def check_against_core(self, protocol):
        expected = {i: (a.ref, a.shift_x) for i, a in read_assignments(protocol._getExtraPath()).items()}
        found = {
            particle.getObjId(): (item.getObjId(), particle.getTransform().getMatrix()[0, 3])
            for item in protocol.outputClasses.iterItems()
            for particle in item.iterItems()
        }
        self.assertEqual(len(found), len(expected))
        self.assertEqual(set(found), set(expected))
        for identifier, (ref, shift) in expected.items():
            self.assertEqual(found[identifier][0], ref)
            self.assertAlmostEqual(found[identifier][1], shift, places=4)
        protocol.outputClasses.close()

    def check_good_particles(self, protocol):
        """The stand-in finds classes 1 and 4 good."""
        self.check_particles_of(protocol, "outputParticles", (1, 4))

    def check_particles_of(self, protocol, name, refs):
        """Those of the classes, as the core says them."""
        expected = {i for i, a in read_assignments(protocol._getExtraPath()).items() if a.ref in refs}
        particles = getattr(protocol, name)
        self.assertEqual(particles.getIdSet(), expected)
        self.assertEqual(particles.getSize(), len(expected))
        particles.close()

    def core_of(self, protocol):
        """The process of the core, once it works on something."""
        self.wait(protocol, lambda: any(job.children() for job in self.processes_of(protocol)))
        return next(job.children()[0] for job in self.processes_of(protocol) if job.children())
