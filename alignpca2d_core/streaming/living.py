"""Classes that take particles in and give them back: the averages of a stream after any batch.

The sums of all particles at their present poses are kept, so that the averages are the exact least-squares
ones after every batch.  Under ``--preset paper`` the references move by RMSProp instead (eqs. 11 to 13), whose
memory is kept beside the sums.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ..basis import FourierPCA
from ..children import nearest_child
from ..classes import ClassSums, accumulate, averages, centre_offsets, filtered, recentre
from ..classifier import Classifier
from ..discovery import average_mask
from ..fourier import Band
from ..paper import PaperClassifier
from ..preprocess import Vectors, Whitening
from ..resolution import resolution_angstrom
from ..search import Matches, locate, refine
from ..state import complex_key
from ..updates import RmsProp

TOTAL, REFERENCES = complex_key("total"), complex_key("references")


class LivingClasses:
    """The classes of a stream.

    Parameters
    ----------
    method : Classifier
        Says how references are made of sums and how particles are compared; its grids and band.
    sums : ClassSums
        Of all particles, (2, k, m), in the frames that the search works in.
    parent_of : Tensor
        Number from 0 of the distinct view that each class is a division of, (k,) int64.
    offsets : Tensor
        What each class is moved by, in pixels, to be delivered centred: minus these, (k, 2).
    basis : FourierPCA
    whitening : Whitening
    """

    def __init__(
        self,
        method: Classifier,
        sums: ClassSums,
        parent_of: Tensor,
        offsets: Tensor,
        basis: FourierPCA,
        whitening: Whitening,
    ) -> None:
        self.method, self.band = method, method.band
        self.sums, self.parent_of, self.offsets = sums, parent_of, offsets
        self.basis, self.whitening = basis, whitening
        method.basis = basis

    @staticmethod
    def kind(method: Classifier) -> type[LivingClasses]:
        """The class that goes with a way of classifying."""
        return MovingClasses if isinstance(method, PaperClassifier) else LivingClasses

    @classmethod
    def of(cls, fitted: Classifier, order: Tensor) -> LivingClasses:
        """The classes that were just made, (k,) of them in a new order."""
        model = fitted.model_
        moved = ClassSums(model.sums.total[:, order], model.sums.weight[:, order], model.sums.count[:, order])
        offsets = model.offsets[order]
        ramps = fitted.band.shift_ramps(offsets[:, 0], offsets[:, 1])
        sums = ClassSums(moved.total * ramps, moved.weight, moved.count)
        return cls(fitted, sums, model.parent_of[order], offsets, model.basis, fitted.source.whitening)

    @classmethod
    def restored(cls, method: Classifier, tensors: Mapping[str, Tensor]) -> LivingClasses:
        """The classes that :meth:`tensors` described."""
        t = {name: value.to(method.band.device) for name, value in tensors.items()}
        basis = FourierPCA.restored(method.settings.variance, t["components"], t["spectrum"])
        sums = ClassSums(t[TOTAL], t["weight"], t["count"])
        return cls(method, sums, t["parent_of"], t["offsets"], basis, Whitening(t["noise"], t["ctf_square"]))

    def tensors(self) -> dict[str, Tensor]:
        """Everything that the next process must know."""
        return {
            TOTAL: self.sums.total,
            "weight": self.sums.weight,
            "count": self.sums.count,
            "parent_of": self.parent_of,
            "offsets": self.offsets,
            "components": self.basis.components_,
            "spectrum": self.basis.spectrum_,
            "noise": self.whitening.noise,
            "ctf_square": self.whitening.ctf_square,
        }

    def __len__(self) -> int:
        return len(self.parent_of)

    @property
    def parents(self) -> int:
        """Distinct views."""
        return int(self.parent_of.max()) + 1

    def references(self) -> Tensor:
        """What particles are compared with: a filtered average of each distinct view, (parents, m)."""
        return self.method.references(self.sums.grouped(self.parent_of))

    def place(self, particles: Vectors, references: Tensor) -> Matches:
        """The two best distinct views of each particle and its pose in them, (n, 2) or (n, 1) where there is one."""
        method = self.method
        matches = locate(particles, references, method.schedule, self.basis, method.keep)
        matches = matches.of_distinct_classes().best(2)
        return refine(particles, references, self.band, method.schedule.final, matches).best(2)

    def divide(self, particles: Vectors, placed: Matches) -> Matches:
        """The best match of each particle, with the division of its view that it belongs to; (n, 1)."""
        best = placed.best(1)
        if self.parents < len(self):
            coarse = self.band.narrowed(self.method.schedule.exhaustive.radius)
            scope = particles.narrowed(coarse.radius)
            divisions = self.coarse_divisions(coarse)
            best.classes = nearest_child(scope, divisions, coarse, best, self.parent_of)
        else:
            best.classes = self.class_of_parent()[best.classes]
        return best

    def coarse_divisions(self, coarse: Band) -> Tensor:
        """References of all classes on the band that divisions are compared on, (k, m)."""
        mask = average_mask(coarse, self.method.mask_radius)
        return filtered(averages(self.sums.narrowed(coarse), coarse, mask), coarse)

    def class_of_parent(self) -> Tensor:
        """The first class of each distinct view, (parents,)."""
        own = torch.arange(len(self) - 1, -1, -1, device=self.parent_of.device)
        first = torch.zeros(self.parents, dtype=torch.int64, device=self.parent_of.device)
        return first.scatter_(0, self.parent_of.flip(0), own)

    def sums_of(self, particles: Vectors, matches: Matches, halves: Tensor) -> ClassSums:
        """What particles add to the classes that they are in."""
        return accumulate(particles, matches, len(self), halves)

    def absorb(self, added: ClassSums) -> None:
        """Take new particles in."""
        self.sums = self.sums + added

    def exchange(self, removed: ClassSums, added: ClassSums) -> None:
        """Give earlier particles their new places."""
        self.sums = self.sums - removed + added

    def mean_resolution(self, sampling_rate: float) -> float:
        """Of all classes, weighted by their particles, in the unit of the sampling rate."""
        average = averages(self.sums, self.band, self.method.mask)
        resolution = resolution_angstrom(average.frc.cpu(), self.band.box, sampling_rate)
        return float((resolution * average.sizes.cpu()).sum() / average.sizes.sum().clamp_min(1).cpu())

    def centre(self) -> None:
        """Find the centre of each view's density anew."""
        parents = self.references()
        self.offsets = centre_offsets(parents, self.band, self.method.mask)[self.parent_of]

    def delivered(self) -> ClassSums:
        """The sums, each class centred on its density."""
        ramps = self.band.shift_ramps(-self.offsets[:, 0], -self.offsets[:, 1])
        return ClassSums(self.sums.total * ramps, self.sums.weight, self.sums.count)

    def delivered_poses(self, matches: Matches) -> Matches:
        """Poses in the centred frames."""
        return recentre(self.sums, matches, self.offsets, self.band)[1]


class MovingClasses(LivingClasses):
    """References that move by RMSProp, as the paper has it; every class is a view of its own."""

    def __init__(
        self,
        method: Classifier,
        sums: ClassSums,
        parent_of: Tensor,
        offsets: Tensor,
        basis: FourierPCA,
        whitening: Whitening,
    ) -> None:
        super().__init__(method, sums, torch.arange(len(parent_of), device=parent_of.device), offsets, basis, whitening)
        self.optimiser = RmsProp(method.references(sums))

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

    def place(self, particles: Vectors, references: Tensor) -> Matches:
        assert isinstance(self.method, PaperClassifier)
        return self.method.nearest(particles, references, len(self.method.schedule.local))

    def absorb(self, added: ClassSums) -> None:
        """A step of eqs. 11 to 13 with the means of a batch."""
        super().absorb(added)
        method = self.method
        assert isinstance(method, PaperClassifier)
        method.step(self.optimiser, added, self.sums)
