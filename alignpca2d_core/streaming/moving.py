"""``--preset paper`` in a stream: references that move by RMSProp (eqs. 11 to 13)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ..classes import ClassSums
from ..classifier import Classifier
from ..matches import Matches
from ..paper import PaperClassifier
from ..preprocess import Vectors
from ..scoring import Templates
from ..state import complex_key
from ..updates import RmsProp
from ..verdicts import ScoreMoments
from .living import LivingClasses

REFERENCES = complex_key("references")


class MovingClasses(LivingClasses):
    """References that move by RMSProp, as the paper has it; every class is a view of its own."""

    def __init__(self, method: Classifier, sums: ClassSums, parent_of: Tensor, *model: Any) -> None:
        super().__init__(method, sums, torch.arange(len(parent_of), device=parent_of.device), *model)
        self.optimiser = RmsProp(method.references(method.average(sums)))

    @classmethod
    def restored(cls, method: Classifier, tensors: Mapping[str, Tensor]) -> MovingClasses:
        classes = super().restored(method, tensors)
        assert isinstance(classes, cls)
        classes.optimiser.references = tensors[REFERENCES].to(method.band.device)
        classes.optimiser.square = tensors["square"].to(method.band.device)
        return classes

    def tensors(self) -> dict[str, Tensor]:
        own = {REFERENCES: self.optimiser.references, "square": self.optimiser.square}
        return super().tensors() | own

    def references(self) -> Tensor:
        return self.optimiser.references

    def templates(self) -> Templates:
        return replace(super().templates(), references=self.references())

    def locate(self, particles: Vectors, references: Tensor) -> Matches:
        assert isinstance(self.method, PaperClassifier)
        return self.method.nearest(particles, references, len(self.method.schedule.local))

    def absorb(self, added: tuple[ClassSums, ScoreMoments]) -> None:
        """A step of eqs. 11 to 13 with the means of a batch."""
        super().absorb(added)
        assert isinstance(self.method, PaperClassifier)
        self.method.step(self.optimiser, added[0], self.sums)
