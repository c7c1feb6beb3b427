from .viewer_alignpca2d import AlignPCA2DViewer

__all__ = ["AlignPCA2DViewer"]
