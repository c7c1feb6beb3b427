"""A classification against the truth, or against another one."""

from .assignments import Assignments, Truth, read_assignments, read_truth
from .average_quality import AverageQuality, compare
from .partition_metrics import adjusted_rand_index, normalised_mutual_information, purity
from .pose_errors import PoseErrors

__all__ = [
    "Assignments",
    "AverageQuality",
    "PoseErrors",
    "Truth",
    "adjusted_rand_index",
    "compare",
    "normalised_mutual_information",
    "purity",
    "read_assignments",
    "read_truth",
]
