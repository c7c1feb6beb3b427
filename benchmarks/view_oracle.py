"""How well anyone could place particles of continuous views: each is matched to true projections on K views.

    python benchmarks/view_oracle.py DIR --views K [--limit 400] [--classified RUN]

DIR is a folder that ``simulate --realistic`` wrote.  The K views are those that its particles are nearest to; images
and projections are whitened by the particles' own power, and the CTF is the stated one.  RUN is a classification:
its figures are then printed as shares of the oracle's.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from oracle import BATCH, Oracle

from alignpca2d_core.evaluation.evaluate import evaluate
from alignpca2d_core.evaluation.views.placement import WELL_PLANE_DEG, WELL_SHIFT, WELL_VIEW_DEG
from alignpca2d_core.evaluation.views.view_distances import distances, spread_views
from alignpca2d_core.evaluation.views.view_truth import ViewTruth, read_view_truth
from alignpca2d_core.fourier.ctf import contrast_transfer, half_plane_frequencies
from alignpca2d_core.fourier.rigid_transforms import Poses, to_matrix
from alignpca2d_core.io.particle_reading import read_particles
from alignpca2d_core.io.particle_set import ParticleSet
from alignpca2d_core.io.stacks import StackReader
from alignpca2d_core.maps.views import coverage, rotation_matrices
from alignpca2d_core.settings import EvaluationSettings, SimulationSettings
from alignpca2d_core.simulation.micrograph_imaging import SOLVENT_B
from alignpca2d_core.simulation.orientations import euler_angles

SHARES = ("well_placed", "coverage_15")
FITTED = 300
Rows = NDArray[np.int64]


class Whitening:
    """Divides out the mean power of particles by ring, and puts the optics of the specimen on projections.

    Parameters
    ----------
    images : (n, D, D) particles
    settings : of the simulation
    """

    def __init__(self, images: torch.Tensor, settings: SimulationSettings) -> None:
        self.box, rate = settings.box, settings.sampling_rate
        self.x, self.y = half_plane_frequencies(self.box, rate)
        s = (self.x**2 + self.y**2).sqrt()
        ring = (s * self.box * rate).round().long()
        power = torch.fft.rfft2(images).abs().square().mean(0).flatten().double()
        size = torch.bincount(ring).double()
        mean = torch.zeros_like(size).index_add_(0, ring, power) / size
        self.filter = (1.0 / mean.clamp_min(1e-12).sqrt())[ring].float()
        self.filter[0] = 0.0
        solvent = 1.0 - settings.solvent * torch.exp(-0.25 * SOLVENT_B * s.square())
        self.optics = (torch.exp(-0.25 * settings.envelope * s.square()) * solvent).float() * self.filter

    def apply(self, images: torch.Tensor, transfer: torch.Tensor) -> torch.Tensor:
        """Images (n, D, D) filtered by ``transfer`` (m,) or (n, m) on the half plane."""
        spectra = torch.fft.rfft2(images) * transfer.reshape(*transfer.shape[:-1], self.box, -1)
        filtered: torch.Tensor = torch.fft.irfft2(spectra, s=(self.box, self.box))
        return filtered


def amplitude(images: torch.Tensor, particles: ParticleSet, rows: Rows, truth: ViewTruth, white: Whitening) -> float:
    """What whitened true projections are multiplied by to fit whitened particles best."""
    assert truth.density is not None
    projections = truth.density.project(truth.rotations[rows], truth.box, truth.sampling_rate)
    moved = torch.as_tensor(truth.offsets_px[rows] * truth.sampling_rate)
    phase = -2.0 * torch.pi * (moved[:, :1] * white.x + moved[:, 1:] * white.y)
    transfer = torch.polar(torch.ones_like(phase), phase).to(torch.complex64) * white.optics
    if particles.ctf is not None:
        transfer = transfer * contrast_transfer(particles.ctf[rows], white.x, white.y)
    fitted, shown = white.apply(projections, transfer), white.apply(images, white.filter)
    return float((fitted * shown).sum() / fitted.square().sum())


def run_oracle(directory: Path, views: int, resolution: float = 8.0, limit: int = 400) -> dict[str, float]:
    """Share of real particles that the oracle places well on ``views`` views, and what those cover."""
    settings = SimulationSettings(**json.loads((directory / "simulation.json").read_text())["settings"])
    truth, particles = read_view_truth(directory / "truth.csv"), read_particles(directory / "particles.xmd")
    if truth.density is None:
        raise SystemExit(f"{directory}: no density.mrc")
    rng = np.random.default_rng(1)
    real = np.flatnonzero(truth.is_particle & ~truth.flags["border"])
    directions = spread_views(truth.rotations[real][:, 2], views, truth.symmetry, rng)
    rot, tilt = euler_angles(directions)
    bases = rotation_matrices(rot, tilt, np.zeros(len(rot)))
    rows = np.sort(rng.permutation(real)[:limit])
    with StackReader(particles) as reader:
        images = torch.from_numpy(reader.read(rows)) * (-1.0 if settings.invert else 1.0)
    white = Whitening(images, settings)
    scale = amplitude(images[:FITTED], particles, rows[:FITTED], truth, white)
    projections = truth.density.project(bases, truth.box, truth.sampling_rate)
    oracle = Oracle(white.apply(projections, white.optics) * scale, settings, resolution)
    found, tables = [], []
    shown = white.apply(images, white.filter)
    for some in np.array_split(np.arange(len(rows)), range(BATCH, len(rows), BATCH)):
        view, pose = oracle.match(shown[some], None if particles.ctf is None else particles.ctf[rows[some]])
        found.append(view)
        tables.append(np.stack([pose.psi_deg, pose.shift_x_px, pose.shift_y_px]))
    poses = Poses(*np.concatenate(tables, axis=1))
    return _figures(bases, np.concatenate(found), poses, rows, truth)


def _figures(bases: NDArray[np.float64], chosen: Rows, poses: Poses, rows: Rows, truth: ViewTruth) -> dict[str, float]:
    matrices, turned = to_matrix(poses), truth.rotations[rows].copy()
    turned[:, :2] = matrices[:, :, :2] @ turned[:, :2]
    left = np.einsum("nij,nj->ni", matrices[:, :, :2], truth.offsets_px[rows]) + matrices[:, :, 2]
    view, plane = np.zeros(len(rows)), np.zeros(len(rows))
    for k in np.unique(chosen):
        members = chosen == k
        of_view, of_plane = distances(bases[k][None], turned[members], truth.symmetry)
        view[members], plane[members] = of_view[0], np.abs(of_plane[0])
    shift = np.hypot(*left.T) / truth.box
    return {
        "well_placed": float(((view < WELL_VIEW_DEG) & (plane < WELL_PLANE_DEG) & (shift < WELL_SHIFT)).mean()),
        "view_within_15": float((view < WELL_VIEW_DEG).mean()),
        "median_view_deg": float(np.median(view)),
        "coverage_15": coverage(bases[:, 2], truth.symmetry, WELL_VIEW_DEG),
    }


def share_of_oracle(figures: dict[str, float], oracle: dict[str, float]) -> dict[str, float]:
    """A classification's figures over the oracle's."""
    return {f"{name}_of_oracle": figures[name] / max(oracle[name], 1e-9) for name in SHARES}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("directory", type=Path, help="folder that simulate --realistic wrote")
    parser.add_argument("--views", type=int, required=True, help="as many as the classification has classes")
    parser.add_argument("--resolution", type=float, default=8.0, help="finest resolution compared, Å")
    parser.add_argument("--limit", type=int, default=400, help="match so many real particles, drawn at random")
    parser.add_argument("--classified", type=Path, help="a classification, to compare")
    parser.add_argument("--json", action="store_true", help="print a line of JSON")
    options = parser.parse_args()
    begun = time.process_time()
    figures = {"oracle": run_oracle(options.directory, options.views, options.resolution, options.limit)}
    spent = time.process_time() - begun
    if options.classified is not None:
        wanted = EvaluationSettings(truth=str(options.directory / "truth.csv"))
        ours = evaluate(options.classified, wanted)["truth"]["figures"]
        figures |= {"classified": ours, "share": share_of_oracle(ours, figures["oracle"])}
    if options.json:
        print(json.dumps(figures), flush=True)
        return
    for title, values in figures.items():
        print(title, "  ".join(f"{name} {value:.3f}" for name, value in values.items()))
    print(f"{spent:.0f} CPU s")


if __name__ == "__main__":
    main()
