"""How well anyone could classify a simulated set: every particle matched to the true views.

    python benchmarks/oracle.py DIR [--classified RUN]

DIR is a folder that ``simulate`` wrote, RUN one that ``classify`` made of it: its figures are then printed
as shares of the oracle's.  Each particle is compared with every true view at every rotation and
shift, its CTF in the model, first on a coarse grid below 14 Å, then the best few in the full band.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from pathlib import Path

import mrcfile
import numpy as np
import torch
from numpy.typing import NDArray

from alignpca2d_core.evaluation.assignments import read_truth
from alignpca2d_core.evaluation.evaluate import evaluate
from alignpca2d_core.fourier.cross_correlation import CroppedBand
from alignpca2d_core.fourier.ctf import CtfParameters, contrast_transfer
from alignpca2d_core.fourier.interpolation import spectrum_coefficients
from alignpca2d_core.fourier.rigid_transforms import Poses, invert, wrap_degrees
from alignpca2d_core.io.particle_reading import read_particles
from alignpca2d_core.io.stacks import StackReader
from alignpca2d_core.settings import EvaluationSettings, SimulationSettings
from alignpca2d_core.simulation.image_formation import SPECTRUM_PADDING, turned_spectra

COARSE_ANGSTROM, COARSE_STEP_DEG, KEPT = 14.0, 6.0, 6
BATCH = 64
FINE_OFFSETS_DEG = np.arange(-4.5, 4.6, 1.5)


class Oracle:
    """Matches particles to the true views.

    Parameters
    ----------
    views : (v, D, D) tensor, in the unit in which the noise has variance 1
    settings : of the simulation
    resolution : finest resolution compared, Å
    """

    def __init__(self, views: torch.Tensor, settings: SimulationSettings, resolution: float) -> None:
        box, self.sampling_rate = settings.box, settings.sampling_rate
        field = box * self.sampling_rate
        self.reach = settings.max_shift * box
        self.phase_flipped = settings.phase_flip
        self.coefficients = spectrum_coefficients(views, SPECTRUM_PADDING)
        self.coarse = CroppedBand.below(field / max(COARSE_ANGSTROM, resolution), box)
        self.fine = CroppedBand.below(field / resolution, box)
        psi = np.arange(0.0, 360.0, COARSE_STEP_DEG)
        self.view_of = np.repeat(np.arange(len(views)), len(psi))
        self.psi_of = np.tile(psi, len(views))
        self.templates = self._templates(self.coarse, self.view_of, self.psi_of)

    def _templates(self, band: CroppedBand, view: NDArray[np.int64], psi: NDArray[np.float64]) -> torch.Tensor:
        return turned_spectra(self.coefficients, view, psi, band.x, band.y) * band.inside

    def _ctf(self, band: CroppedBand, ctf: CtfParameters | None, count: int) -> torch.Tensor:
        step = 1.0 / (band.box * self.sampling_rate)
        return (
            contrast_transfer(ctf, band.x * step, band.y * step) if ctf is not None else torch.ones(count, len(band.x))
        )

    def match(self, images: torch.Tensor, ctf: CtfParameters | None) -> tuple[NDArray[np.int64], Poses]:
        """The view (n,) and the pose of each particle (n, D, D)."""
        candidates = self._coarse_candidates(images, ctf)
        band, transfer = self.fine, self._ctf(self.fine, ctf, len(images))
        weighted = band.coefficients(images) * transfer
        views, poses = np.zeros(len(images), dtype=np.int64), np.zeros((len(images), 3))
        for row in range(len(images)):
            view = np.repeat(self.view_of[candidates[row]], len(FINE_OFFSETS_DEG))
            psi = (self.psi_of[candidates[row]][:, None] + FINE_OFFSETS_DEG).ravel()
            templates = self._templates(band, view, psi)
            maps = band.correlation(weighted[row] * templates.conj())
            score, x, y = band.best_shift(maps, self.reach)
            score = score - _half_energy(band, transfer[row : row + 1], templates)[0]
            best = int(score.argmax())
            refined = psi[best] + _vertex_deg(score.numpy(), best)
            views[row] = view[best]
            poses[row] = (refined, float(x[best]), float(y[best]))
        return views, invert(Poses(-poses[:, 0], poses[:, 1], poses[:, 2]))

    def _coarse_candidates(self, images: torch.Tensor, ctf: CtfParameters | None) -> NDArray[np.int64]:
        """The best few (view, rotation) pairs of each particle: (n, KEPT) indices of templates."""
        band, transfer = self.coarse, self._ctf(self.coarse, ctf, len(images))
        weighted = band.coefficients(images) * transfer
        scores = torch.empty(len(images), len(self.templates))
        allowed = torch.fft.fftfreq(band.side, d=1.0 / band.side).abs() <= self.reach * band.side / band.box + 0.5
        kept = torch.nonzero(allowed)[:, 0]
        for row in range(len(images)):
            maps = band.correlation(weighted[row] * self.templates.conj())
            scores[row] = maps[:, kept[:, None], kept].amax(dim=(1, 2))
        scores -= _half_energy(band, transfer, self.templates)
        return scores.topk(KEPT, dim=1).indices.numpy()


def _half_energy(band: CroppedBand, ctf: torch.Tensor, templates: torch.Tensor) -> torch.Tensor:
    """Half the energy of each CTF-affected template: (n, t)."""
    twice = torch.where((band.x == 0) | (band.x == band.side // 2), 1.0, 2.0)
    return 0.5 * ctf.square() @ (templates.abs().square() * twice).T / band.box**2


def _vertex_deg(score: NDArray[np.float32], best: int) -> float:
    """Where between the neighbouring angles the score peaks, in degrees from the best."""
    step, count = FINE_OFFSETS_DEG[1] - FINE_OFFSETS_DEG[0], len(FINE_OFFSETS_DEG)
    if best % count in (0, count - 1):
        return 0.0
    before, after = score[best - 1], score[best + 1]
    curve = max(2.0 * float(score[best]) - before - after, 1e-12)
    return float(np.clip(0.5 * (after - before) / curve, -0.5, 0.5) * step)


def match_all(
    directory: Path, settings: SimulationSettings, rows: NDArray[np.int64], resolution: float
) -> tuple[NDArray[np.int64], Poses]:
    """The view and the pose that the oracle finds for the particles of ``rows``."""
    views = torch.from_numpy(mrcfile.read(directory / "views.mrcs").reshape(-1, settings.box, settings.box).copy())
    oracle = Oracle(views, settings, resolution)
    particles = read_particles(directory / "particles.xmd")
    found, tables = [], []
    with StackReader(particles) as reader:
        for some in np.array_split(rows, range(BATCH, len(rows), BATCH)):
            images = torch.from_numpy(reader.read(some)) * (-1.0 if settings.invert else 1.0)
            view, pose = oracle.match(images, None if particles.ctf is None else particles.ctf[some])
            found.append(view % settings.views)
            tables.append(np.stack([pose.psi_deg, pose.shift_x_px, pose.shift_y_px]))
    return np.concatenate(found), Poses(*np.concatenate(tables, axis=1))


def run_oracle(directory: Path, resolution: float = 8.0, limit: int | None = None) -> dict[str, float]:
    """Purity and pose errors of the oracle on the set in ``directory``, junk left out, at most ``limit`` particles."""
    settings = SimulationSettings(**json.loads((directory / "simulation.json").read_text())["settings"])
    truth = read_truth(directory / "truth.csv")
    rows = np.flatnonzero(truth.view >= 0)[:limit]
    view, poses = match_all(directory, settings, rows, resolution)
    right, true = view == truth.view[rows], truth.poses[rows]
    angle = np.abs(wrap_degrees(poses.psi_deg - true.psi_deg))
    shift = np.hypot(poses.shift_x_px - true.shift_x_px, poses.shift_y_px - true.shift_y_px)
    return {
        "oracle_purity": float(right.mean()),
        "oracle_within": float((right & (angle <= 10.0) & (shift <= 2.0)).mean()),
        "median_angle_deg": float(np.median(angle[right])),
        "median_shift_px": float(np.median(shift[right])),
    }


def share_of_oracle(classified: Path, directory: Path, oracle: dict[str, float]) -> dict[str, float]:
    """A classification's purity and share of right poses, each over the oracle's."""
    wanted = EvaluationSettings(truth=str(directory / "truth.csv"))
    figures = evaluate(classified, wanted)["truth"]["figures"]
    return {
        "purity": figures["purity"],
        "of_oracle": figures["purity"] / oracle["oracle_purity"],
        "pose_within": figures["pose_within"],
        "pose_of_oracle": figures["pose_within"] / oracle["oracle_within"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("directory", type=Path, nargs="+", help="folders that simulate wrote")
    parser.add_argument("--resolution", type=float, default=8.0, help="finest resolution compared, Å")
    parser.add_argument("--limit", type=int, help="look at the first so many particles only")
    parser.add_argument("--classified", type=Path, nargs="+", default=[], help="a classification of each, to compare")
    parser.add_argument("--json", action="store_true", help="print a line of JSON for each folder")
    options = parser.parse_args()
    for directory, classified in itertools.zip_longest(options.directory, options.classified):
        begun = time.process_time()
        figures = run_oracle(directory, options.resolution, options.limit)
        spent = time.process_time() - begun
        if classified is not None:
            figures |= share_of_oracle(classified, directory, figures)
        if options.json:
            print(json.dumps(figures), flush=True)
            continue
        line = "  ".join(f"{name} {value:.3f}" for name, value in figures.items())
        print(f"{directory.name:24s} {line}  ({spent:.0f} CPU s)", flush=True)


if __name__ == "__main__":
    main()
