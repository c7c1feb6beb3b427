"""References turned one by one are those that are turned to all angles of a grid."""

from __future__ import annotations

import pytest
import torch

from alignpca2d_core.fourier.band import Band
from alignpca2d_core.fourier.single_rotations import FEWER, is_faster, turned_singly


@pytest.mark.parametrize(("box", "low", "rotations"), [(32, 0, 60), (33, 2, 48), (32, 0, 45)])
def test_the_same_as_turned_to_all_angles(box: int, low: int, rotations: int) -> None:
    band, generator = Band.make(box, 9.0, low=low), torch.Generator().manual_seed(3)
    references = torch.randn(7, len(band), dtype=torch.complex64, generator=generator)
    which, turns = (torch.randint(most, (50,), generator=generator) for most in (7, rotations))
    all_of_them = band.rotate_round(references, rotations)
    torch.testing.assert_close(turned_singly(band, references, which, turns, rotations), all_of_them[which, turns])


def test_none_are_turned_to_no_angles() -> None:
    band, none = Band.make(32, 9.0), torch.zeros(0, dtype=torch.int64)
    references = torch.ones(2, len(band), dtype=torch.complex64)
    assert turned_singly(band, references, none, none, 60).shape == (0, len(band))


def test_only_where_few_angles_are_asked_for() -> None:
    """A quarter of the angles is interpolated by :meth:`Band.rotate_round` where there are four quarters."""
    band, interpolated = Band.make(32, 9.0), 10 * 60 // 4
    assert is_faster(band, int(FEWER * interpolated) - 1, 10, 60)
    assert not is_faster(band, int(FEWER * interpolated) + 1, 10, 60)
