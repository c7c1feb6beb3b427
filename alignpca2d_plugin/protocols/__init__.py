from .protocol_alignpca2d import ProtAlignPCA2D

__all__ = ["ProtAlignPCA2D"]
