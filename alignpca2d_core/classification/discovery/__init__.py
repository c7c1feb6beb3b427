"""Stage 1: the distinct views of a sample of particles."""

from .discovery import Discovery
from .duplicates import copies
from .initialization import Sweep, kmeans_start
from .sample_refinement import Settling

__all__ = [
    "Discovery",
    "Settling",
    "Sweep",
    "copies",
    "kmeans_start",
]
