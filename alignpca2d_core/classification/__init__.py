"""The classification itself: :mod:`.classifier` is the list of its stages."""

from .classifier import Classifier
from .initial_references import FixedReferences, GivenClasses
from .methods import make_classifier
from .paper_preset import PaperClassifier

__all__ = [
    "Classifier",
    "FixedReferences",
    "GivenClasses",
    "PaperClassifier",
    "make_classifier",
]
