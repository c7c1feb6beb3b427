from .again import ProtAlignPCA2DSubdivide
from .protocol_alignpca2d import ProtAlignPCA2D
from .protocol_emit_particles import ProtEmitParticles

__all__ = ["ProtAlignPCA2D", "ProtAlignPCA2DSubdivide", "ProtEmitParticles"]
