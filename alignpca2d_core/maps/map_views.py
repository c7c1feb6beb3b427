"""Class averages beside the projections of a density map that they show, kept in the folder of results.

``projections.mrcs`` holds the projections, each turned and moved as its average lies and with the power of each ring
that the average has; ``map_views.json`` says which views they are and how well they agree.  Both belong to the averages
that they were made for: of others they tell nothing.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import InputError
from ..fourier.band import Band
from ..fourier.cross_correlation import CroppedBand
from ..fourier.ring_correlation import cutoff_ring, fourier_ring_correlation, wiener_shrinkage
from ..io.atomic_files import write_json
from ..io.output_folder import MAP_VIEWS, PROJECTIONS
from ..io.stacks import write_stack
from ..preprocessing.mask_shape import soft_mask
from ..results.result_files import Classification, low_passed
from .density import Density, read_map
from .projection_matching import matched_views
from .views import angles_of, coverage, mate_in_one_part, symmetry_rotations

FloatArray = NDArray[np.float64]
MASK_RADIUS = 0.42
"""Of the box: what lies beyond is left out of the curves."""
HALF = 0.5
"""FRC of an average with a projection, which has no noise, at which they cease to agree."""
SHIFT_BAND, MOST_SHIFT = 0.2, 0.2
"""Share of the sampling frequency below which averages are moved to fit, and by what share of the box at most."""
COVERED_WITHIN_DEG = 15.0


@dataclass(frozen=True)
class MapViews:
    """The views of a map that k averages show.

    Attributes
    ----------
    map : dict
        ``file``, ``voxel_size`` (Å), ``side`` (voxels), ``symmetry``, and ``contrast``: -1 where the averages are dark.
    angles : (k, 3)
        rot, tilt and psi of the projections, degrees, as Xmipp and RELION have them.
    shift_px : (k, 2)
        What moves the projection to where the average is.
    correlation : (k,)
        Of average and projection with all rings equally strong: the mean of the FRC, each coefficient by the share of
        it that is signal.
    frc : (k, rings)
    resolution : (k,)
        Å at which the FRC falls below 0.5.
    projections : (k, box, box)
    """

    map: dict[str, Any]
    angles: FloatArray
    shift_px: FloatArray
    correlation: FloatArray
    frc: FloatArray
    resolution: FloatArray
    projections: NDArray[np.float32]

    @property
    def symmetry(self) -> FloatArray:
        """(g, 3, 3)."""
        return symmetry_rotations(str(self.map["symmetry"]))

    @property
    def directions(self) -> FloatArray:
        """Where the views are seen from, (k, 3)."""
        rot, tilt = np.deg2rad(self.angles[:, :2]).T
        return np.stack([np.sin(tilt) * np.cos(rot), np.sin(tilt) * np.sin(rot), np.cos(tilt)], axis=1)

    def covered(self, among: NDArray[np.bool_]) -> float:
        """Share of all directions within 15° of the view of a class ``among`` (k,), mirror images counted as one."""
        both = np.concatenate([self.directions[among], -self.directions[among]])
        return coverage(both, self.symmetry, COVERED_WITHIN_DEG)


def compare_with_map(result: Classification, rate: float, path: Path, symmetry: str) -> MapViews:
    """Find the projection of a map that each average shows.

    Parameters
    ----------
    result : Classification
    rate : float
        Å/px of its averages.
    path : Path
        The map, of any box and voxel size.
    symmetry : str
        Its name.

    Raises
    ------
    InputError
        When the file is no map with a voxel size, or the symmetry has no such name.
    """
    group, whole = symmetry_rotations(symmetry), read_map(path)
    box, rings = result.averages.shape[-1], np.flatnonzero((result.frc != 0).any(0))
    finest = box * rate / (2 * (float(rings[-1]) + 2)) if len(rings) else rate
    density = whole.brought_to(box * rate, max(rate, finest))
    found = matched_views(result.averages, result.frc, density, rate, group)
    rotations = mate_in_one_part(found.rotations, group)
    about = {
        "file": str(path.absolute()),
        "voxel_size": whole.sampling_rate,
        "side": len(whole.volume),
        "symmetry": symmetry.strip().upper(),
        "contrast": found.contrast,
    }
    return _compared(result, rate, rotations, density, about)


def _compared(
    result: Classification, rate: float, rotations: FloatArray, density: Density, about: dict[str, Any]
) -> MapViews:
    """Project, move to fit, and measure the agreement."""
    box = result.averages.shape[-1]
    band, disc = Band.make(box, box / 2), soft_mask(box, MASK_RADIUS * box)
    averages = torch.from_numpy(np.ascontiguousarray(result.averages, dtype=np.float32)) * disc
    projected = float(about["contrast"]) * density.project(rotations, box, rate)
    coarse = CroppedBand.below(SHIFT_BAND * box, box)
    product = coarse.coefficients(averages) * coarse.coefficients(projected * disc).conj()
    _, x, y = coarse.best_shift(coarse.correlation(product), MOST_SHIFT * box)
    projected = band.to_images(band.to_vectors(projected) * band.shift_ramps(x, y)) * disc
    frc = fourier_ring_correlation(band.to_vectors(averages), band.to_vectors(projected), band).double()
    shown = torch.from_numpy(low_passed(result.averages, result.frc)) * disc
    alike = _with_power_of(projected, shown, band)
    curves = np.zeros_like(result.frc)
    curves[:, : frc.shape[1]] = frc.numpy()
    return MapViews(
        about,
        angles_of(rotations),
        torch.stack((x, y), 1).double().numpy(),
        _mean_of_signal(curves, result.frc),
        curves,
        _half_crossing(frc, box * rate),
        alike.numpy(),
    )


def _with_power_of(images: torch.Tensor, others: torch.Tensor, band: Band) -> torch.Tensor:
    """Images (k, box, box) with the power on each ring that the others have."""
    vectors = band.to_vectors(images)
    wanted, found = (band.ring_sum(one.abs().square()) for one in (band.to_vectors(others), vectors))
    return band.to_images(vectors * (wanted / found.clamp_min(1e-30)).sqrt()[:, band.ring])


def _mean_of_signal(curves: FloatArray, frc: FloatArray) -> FloatArray:
    """Mean of curves (k, rings) over coefficients, (k,), by the share of signal that ``frc`` of the halves tells."""
    share = wiener_shrinkage(torch.from_numpy(frc.astype(np.float32))).double().numpy()
    weight = share * np.arange(share.shape[1])
    return np.asarray((weight * curves).sum(1) / weight.sum(1).clip(1e-30))


def _half_crossing(frc: torch.Tensor, side: float) -> FloatArray:
    """Å at which curves (k, rings), smoothed over three rings, fall below 0.5, of images of ``side`` Å."""
    padded = torch.cat((frc[:, :1], frc, frc[:, -1:]), dim=1)
    smooth = 0.25 * padded[:, :-2] + 0.5 * padded[:, 1:-1] + 0.25 * padded[:, 2:]
    return side / cutoff_ring(smooth, HALF).clamp_min(1.0).numpy()


def write_map_views(directory: Path, views: MapViews, averages: NDArray[np.float32], rate: float) -> None:
    """Keep what was found in the folder of results; ``map_views.json`` comes last, and names what it belongs to."""
    (directory / MAP_VIEWS).unlink(missing_ok=True)
    write_stack(directory / PROJECTIONS, views.projections, rate)
    content = {
        "map": views.map,
        "averages": _digest(averages),
        "rot": np.round(views.angles[:, 0], 2),
        "tilt": np.round(views.angles[:, 1], 2),
        "psi": np.round(views.angles[:, 2], 2),
        "mirror": views.directions[:, 2] < 0,
        "shift_x": np.round(views.shift_px[:, 0], 3),
        "shift_y": np.round(views.shift_px[:, 1], 3),
        "correlation": np.round(views.correlation, 4),
        "resolution_angstrom": np.round(views.resolution, 3),
        "frc": np.round(views.frc, 4),
    }
    write_json(directory / MAP_VIEWS, content)


def read_map_views(directory: Path, averages: NDArray[np.float32]) -> MapViews | None:
    """What an earlier ``report --map`` found; ``None`` where there is none.

    Raises
    ------
    InputError
        When it cannot be read, or is of other averages.
    """
    path = directory / MAP_VIEWS
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        own = found["averages"] == _digest(averages)
        numbers = {name: np.array(found[name], dtype=np.float64) for name in found if name not in ("map", "averages")}
        angles, shift = (
            np.stack([numbers[name] for name in names], axis=1)
            for names in (("rot", "tilt", "psi"), ("shift_x", "shift_y"))
        )
        with mrcfile.open(directory / PROJECTIONS) as file:
            images = np.array(file.data, dtype=np.float32).reshape(averages.shape if own else -1)
        about = dict(found["map"])
        measured = numbers["correlation"], numbers["frc"], numbers["resolution_angstrom"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: cannot be read ({error}); report --map makes it again") from error
    if not own:
        raise InputError(f"{path}: is of earlier averages, so the map is not shown; report --map compares again")
    return MapViews(about, angles, shift, *measured, images)


def _digest(averages: NDArray[np.float32]) -> str:
    return hashlib.sha256(np.ascontiguousarray(averages, dtype=np.float32).tobytes()).hexdigest()
