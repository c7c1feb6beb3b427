"""Class averages, what they say of signal and noise, and how well particles fit them."""

from .band_sample import BandSample
from .class_averages import Averages, BinnedSums, ClassSums, average_mask, averages, filtered
from .model import Model
from .noise_scores import NoiseScores, matched_filter_ratio
from .self_noise import without_self_noise
from .templates import Templates
from .usable_particles import UsableParticles

__all__ = [
    "Averages",
    "BandSample",
    "BinnedSums",
    "ClassSums",
    "Model",
    "NoiseScores",
    "Templates",
    "UsableParticles",
    "average_mask",
    "averages",
    "filtered",
    "matched_filter_ratio",
    "without_self_noise",
]
