"""A classification of particles with continuous views against their truth: views, placement and true resolution."""

from .continuous_table import continuous_lines
from .continuous_views import against_views
from .view_truth import ViewTruth, has_views, read_view_truth

__all__ = ["ViewTruth", "against_views", "continuous_lines", "has_views", "read_view_truth"]
