"""The Fourier PCA: what a stream teaches is what numpy finds in all of it at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from alignpca2d_core.alignment.fourier_pca import FourierPCA
from alignpca2d_core.fourier.band import Band, as_real


def features(count: int = 500, width: int = 12, seed: int = 0) -> Tensor:
    """Correlated features, far from zero mean."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(width, width, generator=generator) * torch.linspace(3, 0.3, width)
    return torch.randn(count, width, generator=generator) @ mixing.T + 20 * torch.rand(width, generator=generator)


def learned(batches: tuple[Tensor, ...], variance: float) -> FourierPCA:
    basis = FourierPCA(variance)
    for batch in batches:
        basis.partial_fit(batch)
    return basis.finalize()


@pytest.mark.parametrize("sizes", [(500,), (250, 250), (1, 99, 399, 1), (7,) * 70 + (10,)])
def test_streamed_covariance_is_numpys(sizes: tuple[int, ...]) -> None:
    data = features()
    basis = learned(data.split(list(sizes)), 1.0)
    covariance = np.cov(data.numpy().astype(np.float64).T)
    np.testing.assert_allclose(basis.spectrum_, np.linalg.eigvalsh(covariance)[::-1], rtol=1e-4, atol=1e-4)
    components = basis.components_.double().numpy()
    np.testing.assert_allclose(components * basis.spectrum_.numpy() @ components.T, covariance, atol=1e-3)


@pytest.mark.parametrize("variance", [0.3, 0.75, 0.9, 1.0])
def test_fewest_components_that_reach_the_variance(variance: float) -> None:
    basis = learned((features(),), variance)
    share = np.cumsum(basis.spectrum_.double().numpy()) / basis.spectrum_.double().numpy().sum()
    kept = basis.components_.shape[1]
    assert share[kept - 1] >= variance - 1e-6
    assert kept == 1 or share[kept - 2] < variance


def test_kept_share_is_the_share_of_the_data() -> None:
    data = features(4000)
    basis = learned((data,), 0.75)
    centred = data - data.mean(0)
    share = basis.transform(centred).square().sum() / centred.square().sum()
    assert 0.75 <= float(share) < 0.95
    # Distances of eq. 5 need no mean: it cancels.
    first, second = basis.transform(data[:50]), basis.transform(data[50:100])
    torch.testing.assert_close(first - second, basis.transform(data[:50] - data[50:100]), atol=1e-4, rtol=1e-4)


def restored(basis: FourierPCA, coefficients: Tensor) -> Tensor:
    """Features (n, features) that coefficients (n, components) stand for."""
    return coefficients @ basis.components_.T


def test_components_are_orthonormal_and_project() -> None:
    basis = learned((features(),), 0.8)
    gram = basis.components_.T @ basis.components_
    torch.testing.assert_close(gram, torch.eye(len(gram)), atol=1e-5, rtol=0)
    inside = restored(basis, torch.randn(5, len(gram), generator=torch.Generator().manual_seed(2)))
    torch.testing.assert_close(restored(basis, basis.transform(inside)), inside, atol=1e-4, rtol=1e-4)
    everything = learned((features(),), 1.0)
    back = restored(everything, everything.transform(features()))
    torch.testing.assert_close(back, features(), atol=1e-3, rtol=1e-4)


def test_sign_does_not_depend_on_the_order_of_the_data() -> None:
    data = features()
    forward, backward = learned((data,), 0.9), learned(data.flip(0).split(90), 0.9)
    torch.testing.assert_close(forward.components_, backward.components_, atol=1e-3, rtol=1e-3)
    largest = forward.components_.gather(0, forward.components_.abs().argmax(0, keepdim=True))
    assert torch.all(largest > 0)


def test_restored_basis_transforms_alike() -> None:
    basis = learned((features(),), 0.75)
    again = FourierPCA.restored(0.75, basis.components_, basis.spectrum_)
    assert torch.equal(again.transform(features()), basis.transform(features()))


def test_fewer_particles_than_features() -> None:
    data = features(3)
    basis = learned((data,), 1.0)
    centred = data - data.mean(0)
    kept = basis.transform(centred).square().sum(1)
    torch.testing.assert_close(kept, centred.square().sum(1), rtol=1e-3, atol=1e-3)


def test_features_that_are_all_alike_leave_a_usable_basis() -> None:
    basis = learned((torch.ones(10, 4),), 0.75)
    assert basis.components_.shape[1] >= 1
    assert torch.isfinite(basis.components_).all()


def test_nothing_learned_is_refused() -> None:
    with pytest.raises(ValueError, match="no particles"):
        FourierPCA().finalize()


def test_a_symmetric_basis_is_that_of_turned_and_mirrored_particles_too() -> None:
    band = Band.make(24, 8.0)
    images = torch.randn(40, 24, 24, generator=torch.Generator().manual_seed(3))
    # Turning an image of even side about its pixel n//2 leaves the first row and column behind: they stay empty.
    images[:, 0], images[:, :, 0] = 0.0, 0.0
    inner = images[:, 1:, 1:]
    turned = images.clone()
    turned[:, 1:, 1:] = inner.rot90(1, (1, 2))
    one, other = (
        FourierPCA(0.8).partial_fit(as_real(band.to_vectors(part))).symmetrise(band.symmetries()).finalize()
        for part in (images, turned)
    )
    assert torch.allclose(one.spectrum_, other.spectrum_, atol=1e-4)
    plain = FourierPCA(0.8).partial_fit(as_real(band.to_vectors(images))).finalize()
    assert not torch.allclose(one.spectrum_, plain.spectrum_, atol=1e-2)


def test_symmetries_turn_and_mirror_what_the_features_show() -> None:
    band = Band.make(24, 8.0)
    image = torch.zeros(24, 24)
    image[1:, 1:] = torch.randn(23, 23, generator=torch.Generator().manual_seed(4))
    features = as_real(band.to_vectors(image))
    seen = {
        tuple(torch.round(as_real(band.to_vectors(moved)), decimals=2).tolist())
        for turn in range(4)
        for flipped in (image[1:, 1:], image[1:, 1:].T)
        for moved in [torch.nn.functional.pad(flipped.rot90(turn), (1, 0, 1, 0))]
    }
    for order, sign in band.symmetries():
        moved = features[order] * sign
        assert min((moved - torch.tensor(one)).abs().max() for one in seen) < 0.02
