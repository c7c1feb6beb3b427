"""Where particles fit: pose grids, the Fourier PCA, templates, and the search of eq. 10, exhaustive and local."""

from .exhaustive_search import exhaustive, locate
from .fourier_pca import FourierPCA
from .literal_search import literal_exhaustive
from .local_search import refine
from .match_buffer import MatchBuffer
from .matches import Matches
from .scoring_precision import scoring_type
from .search_grids import Level, Schedule, nested_schedule

__all__ = [
    "FourierPCA",
    "Level",
    "MatchBuffer",
    "Matches",
    "Schedule",
    "exhaustive",
    "literal_exhaustive",
    "locate",
    "nested_schedule",
    "refine",
    "scoring_type",
]
