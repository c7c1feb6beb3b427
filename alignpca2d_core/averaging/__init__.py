"""Class averages, what they say of signal and noise, and how well particles fit them."""

from .band_sample import Scope, average_mask
from .class_averages import Averages, BinnedSums, ClassSums, averages, filtered
from .model import Model
from .noise_scores import NoiseScores, Templates, matched_filter_ratio
from .self_noise import without_own
from .usable_particles import Members

__all__ = [
    "Averages",
    "BinnedSums",
    "ClassSums",
    "Members",
    "Model",
    "NoiseScores",
    "Scope",
    "Templates",
    "average_mask",
    "averages",
    "filtered",
    "matched_filter_ratio",
    "without_own",
]
