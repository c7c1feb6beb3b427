"""cryoSPARC's particles: .cs files, which are numpy's structured arrays, read and written without running code.

cryosparc-tools' ``Dataset`` does it where it is installed (extra ``cryosparc``), compressed files included; the plain
format is numpy's own.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, NoParticles
from ..fourier.ctf import CtfParameters
from .atomic_files import atomic_path
from .diagnosis.ctf_faults import faults_of
from .image_names import ImageNames
from .particle_set import ParticleSet
from .regular_files import open_regular
from .star.column_labels import SIGN
from .star.star_reader import Table
from .verbatim.origin import FOLDER, Origin

MAGIC, COMPRESSED_MAGIC = b"\x93NUMPY", b"\x95CSDAT"
BLOB = ("blob/path", "blob/idx")
CTF = {
    "defocus_u": "ctf/df1_A",
    "defocus_v": "ctf/df2_A",
    "defocus_angle": "ctf/df_angle_rad",
    "voltage": "ctf/accel_kv",
    "spherical_aberration": "ctf/cs_mm",
    "amplitude_contrast": "ctf/amp_contrast",
    "phase_shift": "ctf/phase_shift_rad",
}
"""Fields of :class:`~alignpca2d_core.fourier.ctf.CtfParameters` and cryoSPARC's, whose angles are in radians."""
IN_RADIANS = ("defocus_angle", "phase_shift")


@dataclass(frozen=True)
class RecordOrigin(Origin):
    """Particles of a .cs file, with what a pass-through file adds to them."""

    records: NDArray[Any] = field(default_factory=lambda: np.zeros(0))

    def kept_in(self, directory: Path) -> Origin:
        """The same in a file in a folder of results."""
        copy = directory / FOLDER / self.path.name
        copy.parent.mkdir(parents=True, exist_ok=True)
        for other in set(copy.parent.iterdir()) - {copy}:
            other.unlink()
        write_records(copy, self.records)
        return replace(self, path=copy)


def read_records(path: Path) -> NDArray[Any]:
    """The rows of a .cs file, (n,) structured.

    Raises
    ------
    InputError
        When it cannot be read, or is no table of cryoSPARC's.
    """
    try:
        with open_regular(path) as file:
            magic = file.read(len(MAGIC))
            if magic not in (MAGIC, COMPRESSED_MAGIC):
                raise InputError(f"{path}: is not a cryoSPARC dataset")
            file.seek(0)
            tools = _tools()
            if tools is not None:
                records = _loaded(tools, path)
            elif magic == MAGIC:
                records = np.load(file, allow_pickle=False)
            else:
                raise InputError(f"{path}: is compressed; install the extra 'cryosparc' to read it")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (ValueError, TypeError, EOFError) as error:
        raise InputError(f"{path}: is a damaged cryoSPARC dataset ({' '.join(str(error).split())})") from error
    if records.ndim != 1 or records.dtype.names is None or "uid" not in records.dtype.names:
        raise InputError(f"{path}: is not a table of cryoSPARC's (it has no field uid)")
    return np.asarray(records, dtype=np.dtype(records.dtype.descr))


def write_records(path: Path, records: NDArray[Any]) -> None:
    """Write the rows of a .cs file in cryoSPARC's plain format, atomically."""
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.save(file, records, allow_pickle=False)


def _tools() -> Any:
    """cryosparc-tools, where it is installed."""
    try:
        return importlib.import_module("cryosparc.dataset")
    except ImportError:
        return None


def _loaded(tools: Any, path: Path) -> NDArray[Any]:
    """What cryosparc-tools reads; whatever goes wrong is the file's fault, which it does not say more of."""
    try:
        return np.asarray(tools.Dataset.load(str(path)).to_records(fixed=True))
    except Exception as error:
        raise ValueError(str(error.__cause__ or error)) from error


def joined(records: NDArray[Any], other: NDArray[Any], where: Path) -> NDArray[Any]:
    """Records with the fields that another file has of the same particles, by uid.

    Raises
    ------
    InputError
        When the other file lacks a particle.
    """
    order = np.argsort(other["uid"], kind="stable")
    place = np.searchsorted(other["uid"], records["uid"], sorter=order).clip(max=max(len(other) - 1, 0))
    rows = order[place] if len(other) else place
    absent = np.ones(len(records), dtype=bool) if not len(other) else other["uid"][rows] != records["uid"]
    if absent.any():
        raise InputError(f"{where}: lacks {int(absent.sum())} of the {len(records)} particles (by uid)")
    names = records.dtype.names or ()
    extra = [description for description in other.dtype.descr if description[0] not in names]
    whole = np.zeros(len(records), dtype=[*records.dtype.descr, *extra])
    for name in names:
        whole[name] = records[name]
    for description in extra:
        whole[description[0]] = other[description[0]][rows]
    return whole


def read_cryosparc(path: Path, passthrough: str | Path | None = None) -> ParticleSet:
    """The particles of a .cs file; fields that it lacks may come from a pass-through file.

    Raises
    ------
    InputError
        When a file cannot be read, or there is nothing that says where the images are.
    """
    records = read_records(path)
    if passthrough is not None:
        records = joined(records, read_records(Path(passthrough)), Path(passthrough))
    if not len(records):
        raise NoParticles(f"{path}: holds no particles")
    names, warnings = records.dtype.names or (), []
    missing = [name for name in BLOB if name not in names]
    if missing:
        raise InputError(f"{path}: has no {missing[0]}; give the file that has it as --passthrough")
    stacks = [_text(value).removeprefix(">") for value in records["blob/path"]]
    if "" in stacks:
        raise InputError(f"{path}, row {stacks.index('') + 1}: blob/path is empty, so that its image cannot be found")
    of_images = ImageNames(path)
    numbered = (f"{index + 1}@{name}" for index, name in zip(records["blob/idx"], stacks, strict=True))
    images = of_images.located(of_images.taken_apart(numbered))
    ctf = _ctf(records)
    faults = None if ctf is None else faults_of(ctf, CTF)
    warnings += [] if faults is None else faults.warnings(path)
    columns = _columns(records)
    dark = int((columns[SIGN] < 0).sum()) if SIGN in columns else 0
    if dark:
        share = "the" if dark == len(records) else f"{dark} of the"
        warnings.append(f"{path}: blob/sign says that {share} particles are dark on a bright background: inverted")
    rates = records["blob/psize_A"].astype(np.float64).round(6) if "blob/psize_A" in names else None
    usable = np.ones(len(records), dtype=bool) if faults is None else ~faults.rows
    return ParticleSet(
        table=Table("particles", columns),
        stacks=images.stacks,
        stack_of=images.stack_of,
        index_in_stack=images.index_in_stack,
        enabled=usable,
        ids=np.arange(1, len(records) + 1, dtype=np.int64),
        source=path,
        dialect="cryosparc",
        ctf=ctf,
        sampling_rate=None if rates is None else float(rates.max()),
        pixel_sizes=rates if rates is not None and np.ptp(rates) > 0 else None,
        warnings=warnings,
        origin=RecordOrigin(path, "particles", np.arange(len(records)), records),
        **({} if faults is None else {"ctf_faults": faults}),  # type: ignore[arg-type]
    )


def _text(value: Any) -> str:
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)


def _ctf(records: NDArray[Any]) -> CtfParameters | None:
    names = records.dtype.names or ()
    if any(label not in names for name, label in CTF.items() if name != "phase_shift"):
        return None
    found = {name: records[label].astype(np.float64) for name, label in CTF.items() if label in names}
    found.setdefault("phase_shift", np.zeros(len(records)))
    in_degrees = {name: np.rad2deg(v) if name in IN_RADIANS else v for name, v in found.items()}
    return CtfParameters(*(in_degrees[name] for name in CTF))  # type: ignore[arg-type]


def _columns(records: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """What else of the particles has a label: their sign, micrograph, and coordinates from its upper left corner.

    cryoSPARC counts shares of the micrograph's sides from the lower left corner; its shape is (rows, columns).
    """
    names = records.dtype.names or ()
    columns: dict[str, NDArray[Any]] = {}
    if "blob/sign" in names:
        columns[SIGN] = np.where(records["blob/sign"] < 0, -1, 1)
    columns |= _given_poses(records)
    if "location/micrograph_path" in names:
        paths = [_text(value).removeprefix(">") for value in records["location/micrograph_path"]]
        columns["rlnMicrographName"] = np.array(paths, dtype=object)
    if {"location/center_x_frac", "location/center_y_frac", "location/micrograph_shape"} <= set(names):
        shape = records["location/micrograph_shape"].astype(np.float64)
        columns["rlnCoordinateX"] = records["location/center_x_frac"] * shape[:, 1]
        columns["rlnCoordinateY"] = (1 - records["location/center_y_frac"]) * shape[:, 0]
    return columns


def _given_poses(records: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """In-plane poses of a 2D classification, and angles of filaments, under RELION's labels: degrees and Å."""
    names, columns = records.dtype.names or (), {}
    if "filament/filament_pose" in names:
        columns["rlnAnglePsiPrior"] = -np.rad2deg(records["filament/filament_pose"].astype(np.float64))
    rate = next((name for name in ("alignments2D/psize_A", "blob/psize_A") if name in names), None)
    if rate is not None and {"alignments2D/pose", "alignments2D/shift"} <= set(names):
        shift = records["alignments2D/shift"].astype(np.float64) * records[rate].astype(np.float64)[:, None]
        columns |= {"rlnAnglePsi": np.rad2deg(records["alignments2D/pose"].astype(np.float64))}
        columns |= {"rlnOriginXAngst": shift[:, 0], "rlnOriginYAngst": shift[:, 1]}
    return columns
