"""Class averages: sums of aligned particles, their halves, masks and centres (eq. 8's inverse transform)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .fourier import Band
from .preprocess import Vectors
from .resolution import fourier_ring_correlation, wiener_shrinkage
from .search import Matches

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

    def grouped(self, parent_of: Tensor) -> ClassSums:
        """Sums of whole families: ``parent_of`` (k,) is the number from 0 of each class's family."""
        families = int(parent_of.max()) + 1

        def together(values: Tensor) -> Tensor:
            return values.new_zeros(2, families, *values.shape[2:]).index_add_(1, parent_of, values)

        return ClassSums(together(self.total), together(self.weight), together(self.count))

    def narrowed(self, band: Band) -> ClassSums:
        """The same sums in a narrower band."""
        return ClassSums(self.total[..., : len(band)], self.weight[..., : band.rings], self.count)

    @property
    def sizes(self) -> Tensor:
        """Members of each class, (k,)."""
        return self.count.sum(0)


def accumulate(particles: Vectors, matches: Matches, classes: int, halves: Tensor) -> ClassSums:
    """Sum the particles (n) into their best class at their best pose, by half (n,) of 0 and 1.

    Particles of one class, half and rotation are added before they are turned: sums are rotated, not particles.
    Quarter turns need no interpolation, and leave a quarter of the rotations.
    """
    band = particles.band
    sums = ClassSums.zeros(classes, band)
    k, angle = matches.classes[:, 0], matches.angle[:, 0]
    slot = halves * classes + k
    sums.count.view(-1).index_add_(0, slot, torch.ones_like(angle))
    sums.weight.view(-1, band.rings).index_add_(0, slot, particles.q)
    milliturns = torch.round(angle * (36000 / (2 * math.pi))).long() % 36000
    quarters, rest = milliturns // 9000, milliturns % 9000
    bins, bin_of = torch.unique(slot * 9000 + rest, return_inverse=True)
    order = torch.argsort(bin_of, stable=True)
    for part in bin_range(bin_of[order], len(bins)):
        members = order[part.members]
        back = particles.z[members] * band.shift_ramps(matches.shift_x[members, 0], matches.shift_y[members, 0]).conj()
        back = band.quarter_turned(back, -quarters[members])
        binned = back.new_zeros(part.stop - part.start, len(band)).index_add_(0, bin_of[members] - part.start, back)
        held = bins[part.start : part.stop]
        images = band.turned_images(binned, -(held % 9000) * (2 * math.pi / 36000))
        slots, where = torch.unique_consecutive(held // 9000, return_inverse=True)
        summed = images.new_zeros(len(slots), *images.shape[1:]).index_add_(0, where, images)
        sums.total.view(-1, len(band)).index_add_(0, slots, from_work_images(band, summed))
    return sums


@dataclass
class _BinRange:
    start: int
    stop: int
    members: slice


def bin_range(sorted_bins: Tensor, bins: int, step: int = 256) -> list[_BinRange]:
    """Cut ``bins`` bins into runs of ``step``, each with the slice of the sorted members that it holds."""
    edges = torch.arange(0, bins + step, step, device=sorted_bins.device).clamp_max(bins)
    cuts = torch.searchsorted(sorted_bins, edges).tolist()
    starts = edges.tolist()
    return [_BinRange(starts[i], starts[i + 1], slice(cuts[i], cuts[i + 1])) for i in range(len(starts) - 1)]


def from_work_images(band: Band, images: Tensor) -> Tensor:
    """Vectors (..., m) of images (..., work_box, work_box) that cover the same field as the full box."""
    small = Band(images.shape[-1], band.radius, band.kx, band.ky, band.ring, band.weight)
    return small.to_vectors(images) * (band.box / images.shape[-1])


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


def filtered(average: Averages, band: Band) -> Tensor:
    """References of eq. 9 in the default preset: each ring shrunk by the share of signal that its FRC states."""
    return average.mean * wiener_shrinkage(average.frc)[:, band.ring]


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
