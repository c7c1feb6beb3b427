"""Sums of classes to which particles are added and from which they are taken: a stream's averages after any batch.

The sums of all particles at their present poses are kept, so that the averages are the exact least-squares
ones after every batch: where RMSProp (:mod:`.rmsprop_classes`) would lead with any number of steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, replace

import numpy as np
import torch
from torch import Tensor

from ..alignment.fourier_pca import FourierPCA
from ..alignment.local_search import refine
from ..alignment.matches import Matches
from ..averaging.certainty import figures_of_best
from ..averaging.class_averages import Averages, ClassSums, accumulate, average_mask, averages, filtered, recentre
from ..averaging.model import Model
from ..averaging.noise_scores import NoiseScores, equal_odds, noise_level
from ..averaging.placement import Placement
from ..averaging.second_particle import Comparison
from ..averaging.templates import Templates
from ..classification.classifier import Classifier
from ..classification.junk_limits import Limits
from ..classification.junk_separation import NOISE_LIKE
from ..classification.overfull_images import overfull_among
from ..classification.subdivision.divisions import Divisions
from ..preprocessing.image_sieve import Sieve
from ..preprocessing.preprocess import Vectors, Whitening
from ..results.class_quality import ScoreMoments, weighted_median
from ..state.checkpoint import screen_of, screen_tensor, sieve_of, sieve_tensor, whitening_of, whitening_tensors
from ..state.tensor_store import complex_key

TOTAL = complex_key("total")
ON_CPU = ("moments", "noise_scores", "limits")


class RunningClasses:
    """The classes of a stream.

    Parameters
    ----------
    method : Classifier
        Says how references are made of sums and how particles are compared; its grids and band.
    sums : ClassSums
        Of all particles, (2, k, m), in the frames that the search works in.
    view_of : Tensor
        Number from 0 of the distinct view that each class is a division of, (k,) int64.
    offsets : Tensor
        What each class is moved by, in pixels, to be delivered centred: minus these, (k, 2).
    basis : FourierPCA
    whitening : Whitening

    Attributes
    ----------
    moments : ScoreMoments
        Of the particles' scores, by class.
    noise_scores : NoiseScores
        What noise reaches in these classes.
    limits : Limits
        From which on particles are set aside, as the first of them had it.
    noise : int or None
        The view that is none: what was set aside as noise.  Nothing is compared with it.
    sieve : Sieve or None
        Tells images that go there at once; None where there is no such view.
    """

    def __init__(
        self,
        method: Classifier,
        sums: ClassSums,
        view_of: Tensor,
        offsets: Tensor,
        basis: FourierPCA,
        whitening: Whitening,
    ) -> None:
        self.method, self.band = method, method.band
        self.sums, self.view_of, self.offsets = sums, view_of, offsets
        self.basis, self.whitening = basis, whitening
        self.moments = ScoreMoments(*np.zeros((4, len(view_of))))
        self.noise_scores, self.limits = NoiseScores(0.0, 1.0), Limits()
        self.noise: int | None = None
        self.sieve: Sieve | None = None

    @classmethod
    def of(cls, fitted: Classifier, order: Tensor) -> RunningClasses:
        """The classes that were just made, (k,) of them in a new order."""
        model = fitted.model_
        moved = ClassSums(model.sums.total[:, order], model.sums.weight[:, order], model.sums.count[:, order])
        offsets = model.offsets[order]
        ramps = fitted.band.shift_ramps(offsets[:, 0], offsets[:, 1])
        sums = ClassSums(moved.total * ramps, moved.weight, moved.count)
        classes = cls(fitted, sums, model.view_of[order], offsets, model.basis, fitted.source.whitening)
        classes.noise, classes.limits = model.noise, fitted.separated_.limits
        classes.sieve = None if model.noise is None else fitted.source.sieve
        return classes

    @classmethod
    def restored(cls, method: Classifier, tensors: Mapping[str, Tensor]) -> RunningClasses:
        """The classes that :meth:`tensors` described."""
        t = {name: value.to(method.band.device) for name, value in tensors.items() if name not in ON_CPU}
        basis = FourierPCA.restored(method.settings.variance, t["components"], t["spectrum"])
        sums = ClassSums(t[TOTAL], t["weight"], t["count"])
        classes = cls(method, sums, t["parent_of"], t["offsets"], basis, whitening_of(t))
        classes.moments = ScoreMoments(*tensors["moments"].numpy())
        mean, deviation, noise = tensors["noise_scores"].tolist()[:3]
        if "limits" in tensors:  # streams of earlier versions have kept others
            classes.limits = Limits(*tensors["limits"].tolist())
        classes.noise_scores, classes.noise = NoiseScores(mean, deviation), None if noise < 0 else int(noise)
        classes.sieve = sieve_of(t["sieve"])
        method.take_screen(screen_of(t.get("screen")))
        return classes

    def model(self) -> Model:
        """What the classes are at present, in the frames that the search works in."""
        method = self.method
        space = self.basis, method.schedule, self.band, method.mask_shape, self.noise
        return Model(self.sums, self.view_of, self.offsets, *space)

    def tensors(self) -> dict[str, Tensor]:
        """Everything that the next process must know."""
        moments = self.moments
        noise = -1.0 if self.noise is None else float(self.noise)
        return {
            TOTAL: self.sums.total,
            "weight": self.sums.weight,
            "count": self.sums.count,
            "parent_of": self.view_of,
            "offsets": self.offsets,
            "components": self.basis.components_,
            "spectrum": self.basis.spectrum_,
            **whitening_tensors(self.whitening),
            "sieve": sieve_tensor(self.sieve),
            "screen": screen_tensor(self.method.schedule.screen),
            "moments": torch.from_numpy(np.stack((moments.count, moments.total, moments.square, moments.clear))),
            "noise_scores": torch.tensor([*astuple(self.noise_scores), noise], dtype=torch.float64),
            "limits": torch.tensor(self.limits, dtype=torch.float64),
        }

    def __len__(self) -> int:
        return len(self.view_of)

    @property
    def view_count(self) -> int:
        """Distinct views."""
        return int(self.view_of.max()) + 1

    @property
    def views(self) -> Tensor:
        """Numbers of the distinct views that particles are compared with, (v,) int64."""
        numbers = torch.arange(self.view_count, device=self.view_of.device)
        return numbers if self.noise is None else numbers[numbers != self.noise]

    def average_of_views(self) -> Averages:
        """One average of each whole view, by its number; noise that was set aside is among them."""
        return self.method.average(self.sums.grouped(self.view_of))

    def references(self) -> Tensor:
        """What particles are compared with: a filtered average of each view, (v, m)."""
        return self.method.references(self.average_of_views())[self.views]

    def templates(self) -> Templates:
        """The references with what scores must know of them, (v, m)."""
        return self.method.templates(self.average_of_views()).among(self.views)

    def learn_noise(self, q: Tensor) -> None:
        """Find out what noise under CTF² like ``q`` (n, rings) reaches in the classes as they are."""
        self.noise_scores = noise_level(self.method.search(self.basis), q, self.templates(), self.band)

    def place(self, particles: Vectors, templates: Templates, members: bool) -> Placement:
        """Class, pose and score of particles; ``members`` says whether they are in the averages already."""
        matches = self.locate(particles, templates.references)
        own = templates if members else templates.bare
        fits = figures_of_best(particles, own, self.method.schedule.final, matches, matches.best(1), self.method.mask)
        ratio, misfit, certain = fits.T.contiguous()
        placed = Placement.of(matches, self.noise_scores.normal(ratio), misfit, certain)
        placed.matches.classes = self.views[placed.matches.classes]
        if self.noise is not None:
            self.set_aside(placed, self.others(particles, matches, misfit, templates))
        return self.divided(particles, placed, members)

    def locate(self, particles: Vectors, references: Tensor) -> Matches:
        """The best distinct views of each particle and its pose in them, the best first, (n, kept)."""
        matches = self.method.search(self.basis).locate(particles, references).of_distinct_classes()
        return refine(particles, references, self.band, self.method.schedule.final, matches).of_distinct_classes()

    def others(self, particles: Vectors, matches: Matches, misfit: Tensor, templates: Templates) -> Tensor:
        """Images (positions) of n that hold something beside a particle, aggregates for instance."""
        comparison = Comparison(templates, self.method.search(self.basis), self.noise_scores, self.band)
        return overfull_among(particles, matches, misfit, self.limits, comparison)

    def set_aside(self, placed: Placement, others: Tensor) -> None:
        """Give what fits no better than noise, and other images (positions), to the class of noise, as picked."""
        assert self.noise is not None
        chosen = placed.score < self.least_score()
        chosen[others] = True
        aside = torch.nonzero(chosen)[:, 0]
        placed.matches.put(aside, Matches.at_rest(torch.full_like(aside, self.noise)))
        placed.certainty[aside] = 0.0

    def at_rest_in_noise(self, count: int) -> Placement:
        """Places of images that the sieve has set aside, in the class of noise, as they were picked."""
        assert self.noise is not None
        number = int(self.class_of_parent()[self.noise])
        label = torch.full((count,), number, device=self.view_of.device)
        nothing = torch.zeros(count, device=self.view_of.device)
        return Placement(Matches.at_rest(label), nothing, nothing.clone(), nothing.clone())

    def least_score(self) -> float:
        """Score below which a particle is set aside: far from what is usual, and rather noise than a particle."""
        moments, real = self.moments, self.moments.is_real()
        if not real.any():
            return 0.0
        usual = weighted_median(moments.mean[real], moments.count[real].astype(np.int64))
        return min(self.limits.score, NOISE_LIKE * usual, equal_odds(*moments.summed(real)))

    def divided(self, particles: Vectors, placed: Placement, members: bool) -> Placement:
        """Places in views as places in the divisions of their views."""
        if self.view_count == len(self):
            placed.matches.classes = self.class_of_parent()[placed.matches.classes]
            return placed
        band = self.band.narrowed(self.method.schedule.exhaustive.radius)
        mask = average_mask(band, self.method.mask_shape)
        average = averages(self.sums.narrowed(band), band, mask)
        templates = Templates.of(filtered(average, band), average, band, self.method.inside())
        divisions = Divisions(templates if members else templates.bare, band, self.view_of)
        placed.matches.classes, certainty = divisions.nearest_and_certainty(particles, placed.matches, mask)
        return replace(placed, certainty=placed.certainty * certainty)

    def class_of_parent(self) -> Tensor:
        """The first class of each distinct view, (views,)."""
        own = torch.arange(len(self) - 1, -1, -1, device=self.view_of.device)
        first = torch.zeros(self.view_count, dtype=torch.int64, device=self.view_of.device)
        return first.scatter_(0, self.view_of.flip(0), own)

    def share_of(self, particles: Vectors, placed: Placement, halves: Tensor) -> tuple[ClassSums, ScoreMoments]:
        """What particles are in the classes that they are in."""
        sums = accumulate(particles, placed.matches, len(self), halves)
        return sums, ScoreMoments.of_particles(placed.score, placed.matches.classes[:, 0], len(self))

    def absorb(self, added: tuple[ClassSums, ScoreMoments]) -> None:
        """Take new particles in."""
        self.sums, self.moments = self.sums + added[0], self.moments + added[1]

    def release(self, removed: tuple[ClassSums, ScoreMoments]) -> None:
        """Let particles go, before they come in elsewhere."""
        self.sums, self.moments = self.sums - removed[0], self.moments - removed[1]

    def readmit(self, added: tuple[ClassSums, ScoreMoments]) -> None:
        """Take earlier particles in at their new places."""
        RunningClasses.absorb(self, added)

    def spare(self) -> int | None:
        """The smallest class whose view has other classes too: its number may go to a new view."""
        family = torch.bincount(self.view_of, minlength=self.view_count)
        free = family[self.view_of] > 1
        if not bool(free.any()):
            return None
        return int(self.sums.sizes.masked_fill(~free, torch.inf).argmin())

    def give_up(self, number: int) -> int:
        """Empty a class into the largest other one of its view, and make it a view of its own; returns that one."""
        others = self.view_of == self.view_of[number]
        others[number] = False
        other = int(self.sums.sizes.masked_fill(~others, -torch.inf).argmax())
        for values in (self.sums.total, self.sums.weight, self.sums.count):
            values[:, other] += values[:, number]
            values[:, number] = 0
        for moments in (self.moments.count, self.moments.total, self.moments.square, self.moments.clear):
            moments[other] += moments[number]
            moments[number] = 0
        self.view_of[number] = self.view_count
        self.offsets[number] = 0.0
        return other

    def centre_one(self, number: int) -> None:
        """Find the centre of one class's density."""
        self.offsets[number] = self.method.density_offsets(self.sums, self.view_of)[number]

    def centre(self) -> None:
        """Find the centre of each view's density again; noise has none."""
        self.offsets = self.method.density_offsets(self.sums, self.view_of)
        if self.noise is not None:
            self.offsets[self.view_of == self.noise] = 0.0

    def delivered(self) -> ClassSums:
        """The sums, each class centred on its density."""
        ramps = self.band.shift_ramps(-self.offsets[:, 0], -self.offsets[:, 1])
        return ClassSums(self.sums.total * ramps, self.sums.weight, self.sums.count)

    def delivered_poses(self, matches: Matches) -> Matches:
        """Poses in the centred frames."""
        return recentre(self.sums, matches, self.offsets, self.band)[1]
