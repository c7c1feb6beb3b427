"""AlignPCA-2D: 2D classification of cryo-EM particles by PCA-reduced Euclidean alignment.

The standalone core.  It knows nothing of Scipion: a command line and files are its only seam
(``python -m alignpca2d_core --help``).
"""

__version__ = "0.2.0"
