"""Protocols that go on from what an earlier run has found."""

from .protocol_subdivide import ProtAlignPCA2DSubdivide

__all__ = ["ProtAlignPCA2DSubdivide"]
