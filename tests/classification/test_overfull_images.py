"""Images that hold more than the others of their micrograph, and what only is in thick ice."""

from __future__ import annotations

import torch

from alignpca2d_core.classification.overfull_images import beside_others, far_in_both

MICROGRAPHS, EACH = 30, 40


def figures() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Misfit, coarse power and micrograph of images (n,): micrographs differ by as much as images of one do."""
    drawn = torch.Generator().manual_seed(3)
    micrograph = torch.arange(MICROGRAPHS).repeat_interleave(EACH)
    ice = 0.2 * torch.randn(2, MICROGRAPHS, generator=drawn)[:, micrograph]
    own = torch.tensor([[0.12], [0.3]]) * torch.randn(2, len(micrograph), generator=drawn)
    misfit, coarse = (ice + own).exp()
    return misfit, coarse, micrograph


def test_aggregates_stand_out_in_both() -> None:
    misfit, coarse, micrograph = figures()
    some = torch.arange(0, len(misfit), 60)
    misfit[some], coarse[some] = misfit[some] * 1.5, coarse[some] * 2.7
    found = far_in_both(misfit, coarse, micrograph)
    others = torch.ones_like(found)
    others[some] = False
    assert found[some].float().mean() > 0.7
    assert found[others].float().mean() < 0.005


def test_a_whole_micrograph_in_thick_ice_does_not() -> None:
    misfit, coarse, micrograph = figures()
    before = far_in_both(misfit, coarse, micrograph)
    thick = micrograph == 7
    misfit[thick], coarse[thick] = misfit[thick] * 1.6, coarse[thick] * 3
    assert torch.equal(far_in_both(misfit, coarse, micrograph), before)


def test_few_images_of_a_micrograph_are_held_against_all() -> None:
    figure, micrograph = torch.tensor([1.0, 2.0, 3.0, 9.0] + [5.0] * 8), torch.tensor([0] * 4 + [1] * 8)
    assert beside_others(figure, micrograph).tolist() == [-4.0, -3.0, -2.0, 4.0] + [0.0] * 8
