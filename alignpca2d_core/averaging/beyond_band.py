"""What averages show beyond the band of the search, where a class has detail up to the band's edge.

Poses were found within the band.  Beyond it the noise of a particle had no say in its pose, so halves at the delivered
poses are as good as independent there.  The images of such a class are read once more, and rings are added to its
average as far as the FRC stays above its threshold, each shrunk to its share of signal.  Of a class whose curve ends
within the band, nothing is read.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..alignment.matches import Matches
from ..fourier.ring_correlation import THRESHOLD, cutoff_ring, smoothed, wiener_shrinkage
from ..preprocessing.mask_shape import MaskShape
from .class_averages import BinnedSums, average_mask, averages
from .usable_particles import Members


@dataclass(frozen=True)
class Shown:
    """What averages of k classes show.

    Attributes
    ----------
    frc : Tensor
        Of their halves, (k, rings): of the band, or up to Nyquist where a class reaches the band's edge.
    finer : Tensor
        What is beyond the band, in grey values, to be added to the averages, (k, box, box); or a 0.
    """

    frc: Tensor
    finer: Tensor


def beyond_band(frc: Tensor, members: Members, matches: Matches, mask_shape: MaskShape) -> Shown:
    """The curves (k, rings) continued, and what the averages of members at matches (n, 1) show there."""
    reaches, nothing = (frc[:, 1:] >= THRESHOLD).all(1), Shown(frc, frc.new_zeros(()))
    if not bool(reaches.any()):
        return nothing
    whole, inner = members.to_nyquist(), members.band
    band = whole.band
    if len(band) == len(inner):
        return nothing
    sums = BinnedSums(len(frc), band)
    theirs = torch.nonzero(reaches[matches.classes[:, 0]])[:, 0].cpu().numpy()
    for chosen, particles in whole.batches(theirs):
        sums.add(particles, matches.rows(chosen), whole.halves(chosen))
    found = averages(sums.total_together(), band, average_mask(band, mask_shape))
    curves = torch.cat((frc, smoothed(found.frc)[:, frc.shape[1] :]), 1)
    share = wiener_shrinkage(curves) * (torch.arange(band.rings, device=frc.device) <= cutoff_ring(curves)[:, None])
    mean = found.mean * (share * reaches[:, None])[:, band.ring]
    mean[:, : len(inner)] = 0
    return Shown(curves, band.to_images(mean))
