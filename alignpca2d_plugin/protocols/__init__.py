from .protocol_alignpca2d import ProtAlignPCA2D
from .protocol_emit_particles import ProtEmitParticles
from .protocol_subdivide import ProtAlignPCA2DSubdivide

__all__ = ["ProtAlignPCA2D", "ProtAlignPCA2DSubdivide", "ProtEmitParticles"]
