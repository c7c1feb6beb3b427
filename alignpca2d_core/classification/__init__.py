"""The classification itself: :mod:`.classifier` is the list of its stages."""

from .choose_method import make_classifier
from .classifier import Classifier
from .initial_references import FixedReferences, GivenClasses
from .paper_preset import PaperClassifier

__all__ = [
    "Classifier",
    "FixedReferences",
    "GivenClasses",
    "PaperClassifier",
    "make_classifier",
]
