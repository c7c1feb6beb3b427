"""The benchmark of the paper's real sets, on a small simulated one: its tables, and what selections share."""

import importlib
import re

import numpy as np
import pytest

from alignpca2d_core.io.particle_reading import read_particles
from alignpca2d_core.io.star.star_reader import Table
from alignpca2d_core.io.star.star_writer import write_blocks
from alignpca2d_core.settings import SimulationSettings
from alignpca2d_core.simulation.simulate import simulate


@pytest.fixture
def bench(repository, monkeypatch):
    """The benchmark as a module."""
    monkeypatch.syspath_prepend(str(repository / "benchmarks"))
    return importlib.import_module("bench_empiar")


def test_the_papers_shares_are_those_that_it_prints(bench):
    """Per cent of the larger of two selections, as in Table 2 but for what it rounds."""
    printed = {
        "10061": (78.6, 82.7, 73.4),
        "10025": (89.9, 89.9, 86.9),
        "10081": (81.6, 84.8, 78.9),
        "11604": (58.1, 63.0, 52.6),
    }
    assert set(printed) == set(bench.PAPER)
    for name, shares in printed.items():
        row = bench.PAPER[name]
        for both, (a, b), share in zip(row.common, ((0, 1), (0, 2), (1, 2)), shares, strict=True):
            assert 100 * both / max(row.kept[a], row.kept[b]) == pytest.approx(share, abs=1.5)


def test_rows_beside_the_papers(bench, tmp_path, capsys):
    simulate(SimulationSettings(particles=150, views=3, box=32, snr=0.5), tmp_path / "set")
    source = tmp_path / "set" / "particles.xmd"
    particles = read_particles(source)
    half = Table("particles", {"image": np.array([f"{k:06d}@particles.mrcs" for k in range(1, 76)], dtype=object)})
    write_blocks(tmp_path / "set" / "half.xmd", {"particles": half})
    options = ["--set", "10081", "--particles", str(source), "--classes", "3", "--device", "cpu", "--threads", "1"]
    bench.main([*options, "--keep", "good", "doubtful", "--relion", str(tmp_path / "set" / "half.xmd")])
    text = capsys.readouterr().out
    assert "The images have 32 px; the paper's have 128" in text
    assert f"{len(particles)} particles; the paper has 258,426" in text
    assert re.search(r"the paper +258426 +34.00 +237.50 +30.40", text)
    kept = re.search(r"\nhere +- +75 +(\d+) +- +- +(\d+) \(", text)
    assert kept is not None
    assert 75 <= int(kept[1]) <= 150
    assert int(kept[2]) <= 75
    assert "paper: 2476 (44.9 %)" in text
