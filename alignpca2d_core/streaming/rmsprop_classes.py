"""``--preset paper`` in a stream: references that move by RMSProp (eqs. 11 to 13)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ..alignment.matches import Matches
from ..averaging.class_averages import ClassSums
from ..averaging.templates import Templates
from ..classification.classifier import Classifier
from ..classification.paper_preset import PaperClassifier
from ..classification.rmsprop import RmsProp
from ..preprocessing.preprocess import Vectors
from ..results.class_quality import ScoreMoments
from ..state.tensor_store import complex_key
from .running_classes import RunningClasses

REFERENCES = complex_key("references")


class RmsPropClasses(RunningClasses):
    """References that move by RMSProp, as the paper has it; every class is a view of its own."""

    def __init__(self, method: Classifier, sums: ClassSums, view_of: Tensor, *model: Any) -> None:
        super().__init__(method, sums, torch.arange(len(view_of), device=view_of.device), *model)
        self.optimiser = RmsProp(method.references(method.average(sums)))

    @classmethod
    def restored(cls, method: Classifier, tensors: Mapping[str, Tensor]) -> RmsPropClasses:
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
        return self.method.nearest(particles, references, self.basis)

    def absorb(self, added: tuple[ClassSums, ScoreMoments]) -> None:
        """A step of eqs. 11 to 13 with the means of a batch."""
        super().absorb(added)
        assert isinstance(self.method, PaperClassifier)
        self.method.step(self.optimiser, added[0], self.sums)
