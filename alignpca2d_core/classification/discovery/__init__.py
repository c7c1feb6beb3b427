"""Stage 1: the distinct views of a sample of particles."""

from .discovery import Discovery
from .duplicates import find_duplicates
from .initialization import Sweep, kmeans_start
from .sample_refinement import SampleRefinement

__all__ = [
    "Discovery",
    "SampleRefinement",
    "Sweep",
    "find_duplicates",
    "kmeans_start",
]
