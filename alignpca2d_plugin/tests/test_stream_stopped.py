"""ProtAlignPCA2D on an input that still grows, stopped or killed in between, and continued."""

import os
import signal

import psutil
from pyworkflow.protocol import MODE_RESTART

from alignpca2d_plugin.results import read_summary
from alignpca2d_plugin.tests.stream_case import StreamCase


class TestAlignPCA2DStreamStopped(StreamCase):
    """Stop, failure and kill -9, each followed by Continue; Restart."""

    def test_stopped_continued_and_restarted(self):
        producer = self.new_input()
        self.grow(producer, range(1, 71))
        protocol = self.start(producer, "slow@2")
        self.wait_for_particles(protocol, 60)
        self.grow(producer, range(71, 121))
        self.core_of(protocol)
        self.proj.stopProtocol(protocol)
        self.assertTrue(protocol.isAborted())
        self.check_outputs(protocol, range(1, 61))
        self.grow(producer, range(121, 131))
        self.launch(protocol)
        self.wait_for_particles(protocol, 120)
        self.wait(protocol, protocol.outputClasses.isStreamOpen)
        self.check_against_core(protocol)
        self.grow(producer, [], close=True)
        self.wait_for_end(protocol, range(1, 131))
        protocol.runMode.set(MODE_RESTART)
        self.launch(protocol)
        self.wait(protocol, lambda: not protocol.isActive())
        self.wait_for_end(protocol, range(1, 131))
        self.assertFalse(protocol.getStream().exists())  # of a closed input all are classified in one go
        self.assertNotIn("stream", read_summary(protocol._getExtraPath()))

    def test_protocol_killed(self):
        producer = self.new_input()
        self.grow(producer, range(1, 71))
        protocol = self.start(producer, "slow@2")
        self.wait_for_particles(protocol, 60)
        self.grow(producer, range(71, 121))
        core = self.core_of(protocol)
        os.kill(protocol.getPid(), signal.SIGKILL)
        self.wait(protocol, lambda: not protocol.isActive())
        self.launch(protocol)  # while the core of before may still be there
        self.wait_for_particles(protocol, 120)
        self.assertFalse(core.is_running())
        self.grow(producer, range(121, 131), close=True)
        self.wait_for_end(protocol, range(1, 131))

    def test_core_killed_fails_at_once_and_continues(self):
        producer = self.new_input()
        self.grow(producer, range(1, 71))
        protocol = self.start(producer, "midway@2", streamingSleepOnWait=20)
        self.wait_for_particles(protocol, 60)
        process = psutil.Process(protocol.getPid())
        self.grow(producer, range(71, 121))
        self.wait(protocol, lambda: not protocol.isActive())
        self.assertTrue(protocol.isFailed())
        self.assertIn("killed by SIGKILL", protocol.getErrorMessage())
        self.wait(protocol, lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE)
        self.launch(protocol)
        self.grow(producer, range(121, 131), close=True)
        self.wait_for_end(protocol, range(1, 131))
