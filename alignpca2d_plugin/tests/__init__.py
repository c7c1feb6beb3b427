"""Tests that ship with the plugin: ``scipion3 tests alignpca2d_plugin.tests``."""

from .test_protocol_alignpca2d import (
    TestAlignPCA2D,
    TestAlignPCA2DFailures,
    TestAlignPCA2DPhaseFlipped,
)
from .test_stream_stopped import TestAlignPCA2DStreamStopped
from .test_streaming import TestAlignPCA2DSession, TestAlignPCA2DStreaming
from .test_workflows import TestAlignPCA2DTemplate

__all__ = [
    "TestAlignPCA2D",
    "TestAlignPCA2DFailures",
    "TestAlignPCA2DPhaseFlipped",
    "TestAlignPCA2DSession",
    "TestAlignPCA2DStreamStopped",
    "TestAlignPCA2DStreaming",
    "TestAlignPCA2DTemplate",
]
