"""What is kept of prepared particles, and how nearly."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from alignpca2d_core.fourier.band import Band
from alignpca2d_core.preprocessing.preprocess import Vectors
from alignpca2d_core.preprocessing.vector_cache import VectorCache

BAND, COUNT = Band.make(32, 10.0), 40
WHOLE = COUNT * (8 * len(BAND) + 4 * BAND.rings)
HALF = COUNT * (4 * len(BAND) + 4 * BAND.rings)


@pytest.fixture
def vectors() -> Vectors:
    drawn = torch.Generator().manual_seed(1)
    z = torch.randn(COUNT, len(BAND), dtype=torch.complex64, generator=drawn)
    return Vectors(z, torch.rand(COUNT, BAND.rings, generator=drawn), BAND)


def kept(cache: VectorCache, vectors: Vectors) -> Vectors:
    """What the cache hands out of them the first time, after which it hands out the same."""
    first = cache.keep(np.arange(COUNT), vectors)
    again = cache.rows(np.arange(COUNT))
    assert torch.equal(first.z, again.z) and torch.equal(first.q, again.q)
    return again


def test_vectors_that_fit_are_kept_as_they_are(vectors: Vectors) -> None:
    cache = VectorCache(COUNT, BAND, WHOLE)
    assert not cache.halved and not cache.holds(np.arange(3))
    assert torch.equal(kept(cache, vectors).z, vectors.z)
    assert cache.holds(np.arange(3))


def test_half_precision_where_only_that_fits(vectors: Vectors) -> None:
    """Twice as many, each coefficient to one part in two thousand."""
    cache = VectorCache(COUNT, BAND, WHOLE - 1)
    assert cache.halved and VectorCache(COUNT, BAND, HALF).halved
    difference = torch.view_as_real(kept(cache, vectors).z - vectors.z).abs()
    assert 0 < float(difference.max()) <= float(torch.view_as_real(vectors.z).abs().max()) / 2048


def test_half_precision_holds_images_without_noise(vectors: Vectors) -> None:
    """Whose vectors are their signal over next to nothing."""
    bright = Vectors(vectors.z * torch.logspace(-3, 12, COUNT)[:, None], vectors.q, BAND)
    found = kept(VectorCache(COUNT, BAND, HALF), bright)
    assert bool(torch.isfinite(torch.view_as_real(found.z)).all())
    norm = torch.linalg.vector_norm
    assert float((norm(found.z - bright.z, dim=1) / norm(bright.z, dim=1)).max()) < 5e-4


def test_nothing_is_kept_without_room(vectors: Vectors) -> None:
    cache = VectorCache(COUNT, BAND, HALF - 1)
    assert torch.equal(cache.keep(np.arange(COUNT), vectors).z, vectors.z)
    assert not cache.holds(np.arange(3))


@pytest.mark.parametrize("most", [WHOLE, HALF])
def test_another_unit_gives_what_would_be_kept_in_it(vectors: Vectors, most: int) -> None:
    """In half precision nothing is left: rounded twice, vectors would differ from those that are read later."""
    cache, noise = VectorCache(COUNT, BAND, most), torch.linspace(0.5, 2, BAND.rings)
    cache.keep(np.arange(COUNT), vectors)
    cache.rescale(noise)
    assert cache.holds(np.arange(COUNT)) == (most == WHOLE)
    if most == WHOLE:
        assert torch.equal(cache.rows(np.arange(COUNT)).z, vectors.rewhitened(noise).z)
