"""Reproducibility: bit for bit with the same number of threads."""

from __future__ import annotations

from pathlib import Path

import pytest
from particle_files import ParticleFiles, two_views

from alignpca2d_core.progress import Progress
from alignpca2d_core.results import Classification, read_results
from alignpca2d_core.settings import Settings
from alignpca2d_core.workflow import classify


def classified(metadata: Path, out: Path, threads: int) -> Classification:
    classify(metadata, out, Settings(classes=4, resolution=12.0, threads=threads, quiet=True), Progress(quiet=True))
    return read_results(out)[1]


@pytest.fixture(scope="module")
def metadata(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ParticleFiles(tmp_path_factory.mktemp("input")).write(two_views(60))


@pytest.mark.parametrize("threads", [1, 2])
def test_the_same_run_twice_gives_the_same_bits(metadata: Path, tmp_path: Path, threads: int) -> None:
    for name in ("first", "second"):
        classified(metadata, tmp_path / name, threads)
    for name in ("particles.xmd", "classes.xmd", "classes.mrcs"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()
