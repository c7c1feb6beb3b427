"""How often the report warns of a preferred orientation, of sets with even views and of sets that do prefer one.

Averages are simulated: the views that k-means on the sphere finds among the directions of a set, projected, with the
noise that so many particles of a signal-to-noise ratio of 0.05 leave, and the FRC of two halves.  Specimens are our
phantoms, of any seed and with several symmetries, and maps given on the command line as PATH:SYMMETRY.

    python benchmarks/bench_orientations.py --sets 200 --seed 1
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from alignpca2d_core.choosing.class_distances import distances_and_errors
from alignpca2d_core.choosing.view_coverage import ViewCoverage, view_coverage
from alignpca2d_core.evaluation.views.view_distances import spread_views
from alignpca2d_core.fourier.band import Band
from alignpca2d_core.fourier.ring_correlation import fourier_ring_correlation
from alignpca2d_core.maps.density import read_map
from alignpca2d_core.maps.views import rotation_matrices, symmetry_rotations
from alignpca2d_core.simulation.orientations import draw_directions, euler_angles
from alignpca2d_core.simulation.phantom import make_phantom
from alignpca2d_core.simulation.specimen import Specimen
from alignpca2d_core.simulation.symmetry import symmetrised

BOX, SAMPLING_RATE, SNR = 64, 4.0, 0.05
PHANTOMS = (
    ("domains", "C1"),
    ("domains", "C3"),
    ("subunits", "C1"),
    ("subunits", "D2"),
    ("barrel", "D7"),
    ("channel", "C4"),
    ("antibody", "C1"),
    ("antibody", "C2"),
    ("ring", "C1"),
)
PREFERENCES = (("even", "continuous", 0.0), ("half along an axis", "axis", 0.5), ("0.7 along an axis", "axis", 0.7))


def specimen_of(name: str, symmetry: str, seed: int) -> Specimen:
    """A phantom, or the map of a path."""
    if name.endswith((".mrc", ".map")):
        return read_map(Path(name))
    phantom = make_phantom(name, seed, BOX * SAMPLING_RATE)
    return phantom if symmetry == "C1" else symmetrised(phantom, symmetry)


def coverage_of(
    specimen: Specimen, symmetry: str, preference: tuple[str, float], rng: np.random.Generator
) -> ViewCoverage | None:
    """What the averages of a set of that preference say."""
    rotations, particles = symmetry_rotations(symmetry), int(rng.choice([2000, 4000]))
    directions = draw_directions(particles, *preference, rng)
    centres = spread_views(directions, int(rng.choice([20, 40, 60])), rotations, rng)
    nearest = np.max(np.stack([directions @ one @ centres.T for one in rotations]), axis=0).argmax(axis=1)
    sizes = np.bincount(nearest, minlength=len(centres))
    centres, sizes = centres[sizes > 0], sizes[sizes > 0]
    turned = rotation_matrices(*euler_angles(centres), rng.uniform(0, 360, len(centres)))
    images = specimen.project(turned, BOX, SAMPLING_RATE).numpy()
    images /= np.sqrt(images.var(axis=(1, 2)).mean())
    noise = np.sqrt(2 / (SNR * sizes))[:, None, None]
    halves = [(images + noise * rng.normal(size=images.shape)).astype(np.float32) for _ in range(2)]
    band, frc = Band.make(BOX, (BOX - 1) // 2), np.zeros((len(sizes), BOX // 2 + 1))
    first, second = (band.to_vectors(torch.from_numpy(half)) for half in halves)
    frc[:, : band.rings] = fourier_ring_correlation(first, second, band).numpy()
    distances, errors = distances_and_errors((halves[0] + halves[1]) / 2, frc)
    return view_coverage(distances, errors, sizes, np.ones(len(sizes), dtype=bool))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=60, help="sets of each preference")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--maps", nargs="*", default=[], metavar="PATH:SYMMETRY")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rng = np.random.default_rng(options.seed)
    kinds = [*PHANTOMS, *(tuple(one.rsplit(":", 1)) for one in options.maps)]
    for name, kind, share in PREFERENCES:
        found = []
        for _ in range(options.sets):
            chosen, symmetry = kinds[int(rng.integers(len(kinds)))]
            specimen = specimen_of(chosen, symmetry, int(rng.integers(1000)))
            found.append(coverage_of(specimen, symmetry, (kind, share), rng))
        warned = sum(one is not None and one.is_preferred for one in found)
        print(f"{name}: warned of {warned} of {len(found)} sets", flush=True)


if __name__ == "__main__":
    main()
