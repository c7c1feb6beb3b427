"""Tests that ship with the plugin: ``scipion3 tests alignpca2d_plugin.tests``."""

from .test_protocol_alignpca2d import (
    TestAlignPCA2D,
    TestAlignPCA2DFailures,
    TestAlignPCA2DOpenInput,
    TestAlignPCA2DPhaseFlipped,
    TestAlignPCA2DTemplate,
)

__all__ = [
    "TestAlignPCA2D",
    "TestAlignPCA2DFailures",
    "TestAlignPCA2DOpenInput",
    "TestAlignPCA2DPhaseFlipped",
    "TestAlignPCA2DTemplate",
]
