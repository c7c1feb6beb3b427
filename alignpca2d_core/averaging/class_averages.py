"""Class averages: sums of aligned particles, their halves, masks and centres (eq. 8's inverse transform)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..alignment.matches import Matches
from ..fourier.band import Band
from ..fourier.ring_correlation import fourier_ring_correlation, wiener_shrinkage
from ..fourier.rotation import QUARTER, TURN, steps_of, turned_images
from ..preprocessing.mask_shape import MaskShape
from ..preprocessing.preprocess import Vectors
from ..runtime import distributed
from ..runtime.memory import in_pieces

BIN_BYTES, LEAST_BINS = 128 * 2**20, 1024
"""Memory for sums that wait to be turned."""
BINNED_AT_ONCE, MANY_BINNED_AT_ONCE, TURNED_AT_ONCE = 512, 8192, 2048
"""Particles that go into their bins at once on a CPU, and on a GPU; sums that are turned at once."""
PRIOR = 0.05
"""CTF² added to the weight of a ring, in units of one particle: keeps an average of few particles finite."""


@dataclass
class ClassSums:
    """Sums over the aligned members of each class, kept for two halves so that they can be compared.

    Attributes
    ----------
    total : Tensor
        Sum of z turned and shifted back into the class frame, (2, k, m) complex.
    weight : Tensor
        Sum of q by ring, (2, k, rings).
    count : Tensor
        Members, (2, k).
    """

    total: Tensor
    weight: Tensor
    count: Tensor

    @staticmethod
    def zeros(classes: int, band: Band) -> ClassSums:
        z = torch.zeros(2, classes, len(band), dtype=torch.complex64, device=band.device)
        return ClassSums(z, z.real.new_zeros(2, classes, band.rings), z.real.new_zeros(2, classes))

    def __add__(self, other: ClassSums) -> ClassSums:
        return ClassSums(self.total + other.total, self.weight + other.weight, self.count + other.count)

    def __sub__(self, other: ClassSums) -> ClassSums:
        return ClassSums(self.total - other.total, self.weight - other.weight, self.count - other.count)

    def grouped(self, view_of: Tensor) -> ClassSums:
        """Sums of whole families: ``view_of`` (k,) is the number from 0 of each class's family."""
        families = int(view_of.max()) + 1

        def together(values: Tensor) -> Tensor:
            return values.new_zeros(2, families, *values.shape[2:]).index_add_(1, view_of, values)

        return ClassSums(together(self.total), together(self.weight), together(self.count))

    def narrowed(self, band: Band) -> ClassSums:
        """The same sums in a narrower band."""
        return ClassSums(self.total[..., : len(band)], self.weight[..., : band.rings], self.count)

    @property
    def sizes(self) -> Tensor:
        """Members of each class, (k,)."""
        return self.count.sum(0)


@dataclass
class Bins:
    """Sums that wait to be turned.

    Attributes
    ----------
    keys : Tensor
        Rotation in steps within a quarter turn · slots + slot, (b,) int64; a slot is half · classes + class.
    sums : Tensor
        (b, m) complex.
    """

    keys: Tensor
    sums: Tensor

    def merged(self) -> Bins:
        """One bin for each key."""
        keys, place = torch.unique(self.keys, return_inverse=True)
        return Bins(keys, self.sums.new_zeros(len(keys), *self.sums.shape[1:]).index_add_(0, place, self.sums))


class BinnedSums:
    """Sums by class, half and rotation, turned only when they are asked for: sums are rotated, not particles.

    A rotation is known to 0.01 degrees, and quarter turns need no interpolation: particles of one class, half and
    rotation within a quarter share a bin.

    Parameters
    ----------
    classes : int
    band : Band
    """

    def __init__(self, classes: int, band: Band) -> None:
        self.band, self.classes, self.slots = band, classes, 2 * classes
        self.turned = ClassSums.zeros(classes, band)
        self.most = max(LEAST_BINS, BIN_BYTES // (8 * len(band)))
        self.bin_of = torch.full((self.slots * QUARTER,), -1, dtype=torch.int32, device=band.device)
        # Room beforehand: small tensors that stay among large ones that go break up the heap.
        self.keys = torch.zeros(self.most, dtype=torch.int64, device=band.device)
        self.used = 0
        self.sums = self.turned.total.new_zeros(0, len(band))

    def add(self, particles: Vectors, matches: Matches, halves: Tensor) -> None:
        """Take particles (n) into their best class at their best pose, by half (n,) of 0 and 1."""
        slot = halves * self.classes + matches.classes[:, 0]
        self.turned.count.view(-1).index_add_(0, slot, torch.ones_like(matches.angle[:, 0]))
        self.turned.weight.view(-1, self.band.rings).index_add_(0, slot, particles.q)
        back = steps_of(-matches.angle[:, 0])
        # What is turned alike lies together once keys are sorted.
        key = back % QUARTER * self.slots + slot
        # No more than there are bins: each particle may need one of its own.
        together = min(BINNED_AT_ONCE if slot.device.type == "cpu" else MANY_BINNED_AT_ONCE, self.most)

        def add(some: slice) -> None:
            place = self._places(key[some])
            ramps = self.band.shift_ramps(matches.shift_x[some, 0], matches.shift_y[some, 0])
            moved = particles.z[some] * ramps.conj()
            self.sums.index_add_(0, place, self.band.quarter_turned(moved, back[some] // QUARTER))

        in_pieces(add, len(slot), together)

    def total(self) -> ClassSums:
        """The sums of all that has been added."""
        self._turn(self._emptied())
        return self.turned

    def total_together(self) -> ClassSums:
        """The sums of all that all ranks have added; each rank turns what has come into some of the slots."""
        if distributed.count() == 1:
            return self.total()
        held = self._emptied()
        self._turn(distributed.handed_over(held, held.keys % self.slots % distributed.count()).merged())
        return distributed.total(self.turned)

    def _places(self, key: Tensor) -> Tensor:
        """The bin of each key (n,); new keys get new ones."""
        new = torch.unique(key[self.bin_of[key] < 0])
        if self.used and self.used + len(new) > self.most:
            self._turn(self._emptied())
            new = torch.unique(key)
        last, self.used = self.used, self.used + len(new)
        self.bin_of[new] = torch.arange(last, self.used, dtype=torch.int32, device=new.device)
        self.keys[last : self.used] = new
        if self.used > len(self.sums):
            more = self.sums.new_zeros(max(self.used - len(self.sums), min(len(self.sums), self.most)), len(self.band))
            self.sums = torch.cat((self.sums, more))
        return self.bin_of[key].long()

    def _emptied(self) -> Bins:
        """What the bins hold, by key; they are empty then."""
        keys, order = self.keys[: self.used].sort()
        held = Bins(keys, self.sums[: self.used][order])
        self.bin_of[keys] = -1
        self.sums[: self.used] = 0
        self.used = 0
        return held

    def _turn(self, held: Bins) -> None:
        """Turn what bins hold, in the order of their keys, and add it to the sums."""
        if not len(held.keys):
            return
        total = self.turned.total.view(-1, len(self.band))

        def turn(some: slice) -> None:
            angles = held.keys[some] // self.slots * (2 * math.pi / TURN)
            images = turned_images(self.band, held.sums[some], angles)
            slots, where = torch.unique(held.keys[some] % self.slots, return_inverse=True)
            summed = images.new_zeros(len(slots), *images.shape[1:]).index_add_(0, where, images)
            total.index_add_(0, slots, from_work_images(self.band, summed))

        in_pieces(turn, len(held.keys), TURNED_AT_ONCE)


def accumulate(particles: Vectors, matches: Matches, classes: int, halves: Tensor) -> ClassSums:
    """Sum the particles (n) into their best class at their best pose, by half (n,) of 0 and 1."""
    sums = BinnedSums(classes, particles.band)
    sums.add(particles, matches, halves)
    return sums.total()


def from_work_images(band: Band, images: Tensor) -> Tensor:
    """Vectors (..., m) of images (..., work_box, work_box) that cover the same field as the full box."""
    box = images.shape[-1]
    return band.in_box(box).to_vectors(images) * (band.box / box)


def average_mask(band: Band, mask_shape: MaskShape) -> Tensor:
    """The soft mask of a shape in pixels of the box, in the pixels of the band's work box."""
    return mask_shape.soft(band.work_box, band.work_box / band.box, inset=2).to(band.device)


def masked(vectors: Tensor, band: Band, mask: Tensor) -> Tensor:
    """Vectors (..., m) of the images times a mask (work_box, work_box)."""
    return from_work_images(band, band.to_images(vectors, band.work_box) * mask)


@dataclass
class Averages:
    """What the sums say: averages in the units of :class:`Vectors`, masked, and how far they can be trusted.

    Attributes
    ----------
    mean : Tensor
        (k, m) complex.
    frc : Tensor
        Between the halves, (k, rings).
    weight : Tensor
        Sum of q by ring, (k, rings).
    sizes : Tensor
        (k,)
    """

    mean: Tensor
    frc: Tensor
    weight: Tensor
    sizes: Tensor


def averages(sums: ClassSums, band: Band, mask: Tensor) -> Averages:
    """Least-squares averages sum z / (sum q + prior) of all members, and the FRC of their halves."""
    halves = masked(sums.total / (sums.weight + PRIOR)[..., band.ring], band, mask)
    weight = sums.weight.sum(0)
    mean = masked(sums.total.sum(0) / (weight + PRIOR)[..., band.ring], band, mask)
    return Averages(mean, fourier_ring_correlation(halves[0], halves[1], band), weight, sums.sizes)


def shrunk(average: Averages, band: Band) -> Tensor:
    """Averages (k, m) with each ring shrunk by the share of signal that its FRC states."""
    return average.mean * wiener_shrinkage(average.frc)[:, band.ring]


def filtered(average: Averages, band: Band) -> Tensor:
    """References of eq. 9 in the default preset: shrunk averages, without the rings that do not count."""
    return band.compared(shrunk(average, band))


def pick_offsets(matches: Matches, classes: int) -> Tensor:
    """Where, on average, the box centres of the members lie in the frame of their class, (k, 2) pixels.

    Moving a class by minus this makes the search window, which lies around each box centre, serve all
    members alike; a class centred on its density may leave some of them outside.
    """
    angle, k = matches.angle[:, 0], matches.classes[:, 0]
    x, y = matches.shift_x[:, 0], matches.shift_y[:, 0]
    cosine, sine = torch.cos(angle), torch.sin(angle)
    centres = torch.stack((-cosine * x - sine * y, sine * x - cosine * y), dim=1)
    total = centres.new_zeros(classes, 2).index_add_(0, k, centres)
    return total / torch.bincount(k, minlength=classes).clamp_min(1)[:, None]


def centre_offsets(mean: Tensor, band: Band, mask: Tensor) -> Tensor:
    """Centre of the density of each average (k, m) against the box centre, (k, 2) pixels, x before y.

    Only what stands out of the low-passed average counts: above a quarter of its maximum.
    """
    small = band.work_box
    low = torch.exp(-((band.ring.float() / (band.radius / 3)) ** 2))
    images = band.to_images(mean * low, small) * mask
    strong = (images - 0.25 * images.amax((-2, -1), keepdim=True)).clamp_min(0)
    axis = (torch.arange(small, device=mean.device) - small // 2).float() * (band.box / small)
    total = strong.sum((-2, -1)).clamp_min(1e-20)
    x = (strong.sum(-2) * axis).sum(-1) / total
    y = (strong.sum(-1) * axis).sum(-1) / total
    return torch.stack((x, y), dim=-1)


def recentre(sums: ClassSums, matches: Matches, offsets: Tensor, band: Band) -> tuple[ClassSums, Matches]:
    """Move each class by minus its offset (k, 2), and the poses of all matches with it."""
    ramps = band.shift_ramps(-offsets[:, 0], -offsets[:, 1])
    moved = matches.clone()
    x, y = offsets[matches.classes, 0], offsets[matches.classes, 1]
    cosine, sine = torch.cos(matches.angle), torch.sin(matches.angle)
    moved.shift_x += cosine * x - sine * y
    moved.shift_y += sine * x + cosine * y
    return ClassSums(sums.total * ramps, sums.weight, sums.count), moved
