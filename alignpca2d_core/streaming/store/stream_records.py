"""What is known of a stream and of its batches, as it is written down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...alignment.matches import Matches
from ...averaging.placement import Placement


@dataclass
class Batch:
    """Particles that came together.

    Attributes
    ----------
    name : str
    count : int
    first : int
        Number of the first of them in the order of arrival, from 0.
    version : int
        Of their assignments; 0 while they have none.
    generation : int
        Of the classes that they were last compared with.
    delivery : int
        The delivery that brings the last change of their assignments.
    imprints : list of (int, str)
        Numbers of particles, and digests of some of their images, to notice when a stack is no longer what it was.
    given : list of (int, str, str, str)
        Numbers of particles, the file that holds what stood around their rows, their block in it, and its dialect.
    """

    name: str
    count: int
    first: int
    imprints: list[tuple[int, str]]
    given: list[tuple[int, str, str, str]]
    version: int = 0
    generation: int = 0
    delivery: int = 0


@dataclass
class Record:
    """Everything about a stream that is not a tensor; ``stream.json``.

    Attributes
    ----------
    batches : list of Batch
    named : int
        Batches that have been given a name.
    known, classes : int
        Versions of the files of those names; 0 while there are none.
    generation : int
        Counts how often the classes have become worth comparing earlier particles with again.
    generation_size : int
        Particles that were there at the last generation.
    delivered, delivered_frame, delivered_closed : int, int, bool
        Deliveries made, and what the last one said.
    disabled : int
        Particles that came disabled.
    frame : int
        Counts how often the centres of the classes were moved.
    generation_resolution : float
        Mean resolution of the classes at the last generation, Å.
    credit : float
        Earlier particles that may still be assigned again.
    ending, closed : bool
        No more particles are expected; and everything that is to be done at the end is done.
    usual_score : float
        Mean score of the particles of recent batches.
    suspect : bool
        Particles have fitted worse than usual since the last look for new views.
    looked, patience : int
        Particles that were there at that look, and how many more must come before the next.
    history : int
        Bytes of :mod:`.delivery_log` that count.
    outlier_limit : float or None
        See :class:`alignpca2d_core.preprocessing.image_defects.ImageRepair`; what the first particles show.
    repaired, damaged : int
        Particles whose images were repaired, and that were set aside because they could not be.
    warnings : list of str
    several_sizes : bool
        Particles of other boxes or pixel sizes have come to a stream that began with one.
    made_of : int
        Particles that the classes were made of, by a whole classification; 0 where that is not known.
    """

    batches: list[Batch] = field(default_factory=list)
    named: int = 0
    known: int = 0
    classes: int = 0
    generation: int = 0
    generation_size: int = 0
    delivered: int = 0
    delivered_frame: int = 0
    delivered_closed: bool = False
    disabled: int = 0
    frame: int = 0
    generation_resolution: float = 0.0
    credit: float = 0.0
    ending: bool = False
    closed: bool = False
    usual_score: float = 0.0
    suspect: bool = False
    looked: int = 0
    patience: int = 0
    history: int = 0
    outlier_limit: float | None = None
    repaired: int = 0
    damaged: int = 0
    warnings: list[str] = field(default_factory=list)
    several_sizes: bool = False
    made_of: int = 0

    @property
    def count(self) -> int:
        """Particles that have come."""
        return self.batches[-1].first + self.batches[-1].count if self.batches else 0


@dataclass
class Assignments:
    """Classes and poses of the n particles of a batch, in the frames that the search works in.

    Attributes
    ----------
    classes : Tensor
        From 0; -1 for particles that cannot be used, (n,) int64.
    angle, shift_x, shift_y : Tensor
        As in :class:`alignpca2d_core.alignment.matches.Matches`, (n,).
    score, certainty, misfit : Tensor
        As :class:`.averaging.placement.Placement` has them, (n,).
    scale : Tensor
        Contrast of each, by its micrograph: what the sums hold of it; see :class:`.MicrographScales`, (n,).
    delivery : Tensor
        The delivery that brings the last change of each, (n,) int64.
    """

    classes: Tensor
    angle: Tensor
    shift_x: Tensor
    shift_y: Tensor
    score: Tensor
    certainty: Tensor
    misfit: Tensor
    scale: Tensor
    delivery: Tensor

    @staticmethod
    def none(count: int) -> Assignments:
        """Nothing assigned yet."""
        angle, shift_x, shift_y, score, certainty, misfit = torch.zeros(6, count).unbind()
        absent = torch.full((count,), -1, dtype=torch.int64)
        scale, delivery = torch.ones(count), torch.zeros_like(absent)
        return Assignments(absent, angle, shift_x, shift_y, score, certainty, misfit, scale, delivery)

    @staticmethod
    def restored(tensors: Mapping[str, Tensor]) -> Assignments:
        """From tensors (n,) by name; streams of earlier versions have kept neither misfits nor scales."""
        score = tensors["score"]
        kept = {"misfit": torch.zeros_like(score), "scale": torch.ones_like(score), **tensors}
        return Assignments(**{item.name: kept[item.name] for item in fields(Assignments)})

    @staticmethod
    def join(parts: list[Assignments]) -> Assignments:
        """Of several batches, one after the other."""
        return Assignments(*(torch.cat([getattr(one, item.name) for one in parts]) for item in fields(Assignments)))

    def clone(self) -> Assignments:
        return Assignments(*(getattr(self, item.name).clone() for item in fields(self)))

    def matches(self, rows: NDArray[np.int64]) -> Matches:
        """Classes and poses of some particles, (m, 1)."""
        index = torch.from_numpy(rows)
        names = ("classes", "angle", "shift_x", "shift_y", "score")
        return Matches(*(getattr(self, name)[index, None] for name in names))

    def placed(self, rows: NDArray[np.int64], device: torch.device) -> Placement:
        """Where some particles are."""
        index = torch.from_numpy(rows)
        figures = (self.score, self.certainty, self.misfit)
        return Placement(self.matches(rows).to(device), *(figure[index].to(device) for figure in figures))

    def put(self, index: Tensor, placed: Placement) -> None:
        """Give the particles at ``index`` (m,) their places."""
        for name in ("classes", "angle", "shift_x", "shift_y"):
            getattr(self, name)[index] = getattr(placed.matches, name)[:, 0].cpu()
        for name in ("score", "certainty", "misfit"):
            getattr(self, name)[index] = getattr(placed, name).cpu()

    def differs(self, other: Assignments, angle: float, shift: float) -> Tensor:
        """Which particles have another class, or a pose that differs by more than so many radians or pixels, (n,)."""
        turn = torch.remainder(self.angle - other.angle + torch.pi, 2 * torch.pi) - torch.pi
        moved = torch.maximum((self.shift_x - other.shift_x).abs(), (self.shift_y - other.shift_y).abs())
        return (self.classes != other.classes) | (turn.abs() > angle) | (moved > shift)
