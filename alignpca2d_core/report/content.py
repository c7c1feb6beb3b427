"""What the report says, as plain values: everything that the page's script draws."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..choosing.junk_share import junk_of_classes
from ..errors import InputError
from ..fourier.common_grid import Grid
from ..io.particle_set import ParticleSet
from ..results.result_files import Classification, low_passed
from ..settings import Settings
from .components import read_components
from .junk_groups import junk_groups
from .map_comparison import add_views
from .members import OFFSET_BINS, Spread, examples, spread
from .particles import Imaging, aligned_images, particle_snr
from .pictures import data_uri, grey, signed_grey, strip
from .plain_words import in_plain_words
from .similarity import selection_beside, similarity

FEW_CLASSES, MANY_CLASSES = 60, 150
LARGE_PX, MIDDLE_PX, SMALL_PX = 224, 176, 136
COMPONENT_PX = 96
PARTICLE_PERCENT = (0.5, 99.5)
SPECTRUM_POINTS = 240
NOT_A_FEATURE = ("size", "resolution_angstrom", "quality", "frc", "verdict")


@dataclass(frozen=True)
class Subject:
    """What a report is about."""

    directory: Path
    particles: ParticleSet
    classification: Classification
    summary: Mapping[str, Any]

    @property
    def title(self) -> str:
        """What the run was told, or the folder's name."""
        return str(self.settings.get("title") or self.directory.absolute().name)

    @property
    def sampling_rate(self) -> float | None:
        """Å/px, ``None`` where neither the run nor the metadata said it."""
        said = _mapping(self.summary.get("input")).get("sampling_rate")
        if isinstance(said, (int, float)) and math.isfinite(said) and said > 0:
            return float(said)
        return self.particles.sampling_rate

    @property
    def imaging(self) -> Imaging:
        given = _mapping(self.summary.get("input"))
        ctf, grid = given.get("ctf"), given.get("grid")
        return Imaging(
            self.sampling_rate or 1.0,
            use_ctf=ctf in ("model", "wiener") and self.sampling_rate is not None,
            phase_flipped=bool(self.settings.get("phase_flipped")),
            inverted=bool(self.settings.get("invert")),
            grid=Grid(*grid) if isinstance(grid, list) and len(grid) == 2 else None,
        )

    @property
    def verdicts(self) -> list[Any]:
        """Of each class; ``None`` where the run gave none."""
        count = len(self.classification)
        return _per_class(_mapping(self.summary.get("classes")).get("verdict"), count) or [None] * count

    @property
    def settings(self) -> Mapping[str, Any]:
        return _mapping(self.summary.get("settings"))


def content(subject: Subject) -> tuple[dict[str, Any], list[str]]:
    """Everything on the page, and a line for each thing that could not be shown."""
    missing: list[str] = []
    counted = np.array([verdict != "junk" for verdict in subject.verdicts])
    members = spread(subject.classification, counted)
    whole: dict[str, Any] = {
        "title": subject.title,
        "overview": _overview(subject),
        "classes": _classes(subject, members, missing),
        "selection": selection_beside(subject.directory),
        "similar": similarity(subject.classification, counted),
        "spread": {
            "angle": members.angle[counted].sum(0),
            "offset": members.offset[counted].sum(0).ravel(),
            "bins": OFFSET_BINS,
            "reach": members.reach_px,
        },
        "history": _mapping(subject.summary.get("history")),
        "stream": _mapping(subject.summary.get("stream")),
        "junk": _junk(subject, missing),
        "components": _components(subject),
        "run": _run(subject),
    }
    add_views(whole, subject.directory, subject.classification, counted, missing)
    whole["missing"] = missing
    return whole, missing


def _overview(subject: Subject) -> dict[str, Any]:
    counts, given = _mapping(subject.summary.get("counts")), _mapping(subject.summary.get("input"))
    return {
        "particles": counts.get("particles", len(subject.particles)),
        "classified": int((subject.classification.assignments >= 0).sum()),
        "counts": counts,
        "box": subject.classification.averages.shape[-1],
        "sampling_rate": subject.sampling_rate,
        "ctf": given.get("ctf"),
        "input": str(given.get("file", subject.particles.source)),
    }


def _classes(subject: Subject, members: Spread, missing: list[str]) -> list[dict[str, Any]]:
    """One entry per class, in the order of the files."""
    result, figures = subject.classification, _mapping(subject.summary.get("classes"))
    total = max(1, int(result.sizes.sum()))
    features = {
        name: values
        for name, column in figures.items()
        if name not in NOT_A_FEATURE and (values := _per_class(column, len(result)))
    }
    junk = junk_of_classes(result, subject.verdicts)
    if junk is not None:
        features["expected_junk"] = junk
    pictures = _pictures(subject, missing)
    return [
        {
            "number": number + 1,
            "size": int(result.sizes[number]),
            "share": int(result.sizes[number]) / total,
            "resolution": float(result.resolution_angstrom[number]),
            "quality": float(result.quality[number]),
            "verdict": subject.verdicts[number],
            "features": {name: values[number] for name, values in features.items()},
            "frc": np.round(result.frc[number][: _last_ring(result) + 1], 3),
            "angle": members.angle[number],
            "offset": members.offset[number].ravel(),
            **pictures[number],
        }
        for number in range(len(result))
    ]


def _last_ring(result: Classification) -> int:
    """The last ring that any class was compared on."""
    rings = np.flatnonzero((result.frc != 0).any(0))
    return int(rings[-1]) if len(rings) else 0


def _pictures(subject: Subject, missing: list[str]) -> list[dict[str, Any]]:
    """The average of each class, and strips of its best and worst members."""
    result, classes = subject.classification, len(subject.classification)
    side = LARGE_PX if classes <= FEW_CLASSES else MIDDLE_PX if classes <= MANY_CLASSES else SMALL_PX
    found: list[dict[str, Any]] = [
        {"image": data_uri(grey(average, side))} for average in low_passed(result.averages, result.frc)
    ]
    try:
        strips = _strips(subject, examples(result).parts)
    except (InputError, OSError) as error:
        missing.append(f"single particles are not shown: {error}")
        return found
    for entry, *pair in zip(found, strips[::2], strips[1::2], strict=True):
        entry |= {name: one for name, one in zip(("best", "worst"), pair, strict=True) if one}
    return found


def _strips(subject: Subject, parts: Sequence[NDArray[np.int64]]) -> list[dict[str, Any]]:
    """Pictures of the particles of each part side by side, with name and score of each; nothing of an empty part."""
    rows, result = np.concatenate([np.zeros(0, dtype=np.int64), *parts]), subject.classification
    if not len(rows):
        return [{} for _ in parts]
    images = aligned_images(subject.particles, result, rows, particle_snr(result), subject.imaging)
    stops = np.cumsum([len(part) for part in parts])[:-1]
    return [_strip(subject, part, own) for part, own in zip(parts, np.split(images, stops), strict=True)]


def _strip(subject: Subject, rows: NDArray[np.int64], images: NDArray[np.float32]) -> dict[str, Any]:
    """Pictures of some particles side by side, with name and score of each; nothing of none."""
    if not len(rows):
        return {}
    tiles = [grey(image, len(image), percent=PARTICLE_PERCENT) for image in images]
    names = subject.particles.subset(rows).image_names()
    return {
        "strip": data_uri(strip(tiles)),
        "names": [name.partition("@")[0] + "@" + Path(name).name for name in names],
        "scores": [float(f"{value:.4g}") for value in subject.classification.score[rows]],
    }


def _junk(subject: Subject, missing: list[str]) -> list[dict[str, Any]]:
    """What is in no class of particles, group by group, with some images of each."""
    groups = junk_groups(subject.classification, subject.verdicts)
    found: list[dict[str, Any]] = [{"kind": group.kind, "count": len(group.rows)} for group in groups]
    if not missing:  # what could not be read for the classes cannot be read here
        try:
            for entry, one in zip(found, _strips(subject, [group.shown for group in groups]), strict=True):
                entry |= one
        except (InputError, OSError) as error:
            missing.append(f"single particles are not shown: {error}")
    return found


def _components(subject: Subject) -> dict[str, Any] | None:
    found = read_components(subject.directory, subject.classification.averages.shape[-1])
    if found is None:
        return None
    total = max(float(found.spectrum.sum()), 1e-30)
    places = np.unique(np.geomspace(1, len(found.spectrum), SPECTRUM_POINTS).round().astype(int)) - 1
    return {
        "features": len(found.spectrum),
        "kept": found.kept,
        "rank": places + 1,
        "share": found.spectrum[places] / total,
        "cumulated": np.cumsum(found.spectrum)[places] / total,
        "images": [data_uri(signed_grey(image, COMPONENT_PX)) for image in found.images],
    }


def _run(subject: Subject) -> dict[str, Any]:
    """Settings, versions, times and warnings, to do the same again."""
    summary = subject.summary
    known = {option.name: option for option in dataclasses.fields(Settings)}
    settings = []
    for name, value in subject.settings.items():
        option = known.get(name)
        settings.append(
            {
                "name": "--" + name.replace("_", "-"),
                "value": value,
                "unit": option.metadata["unit"] if option else "",
                "help": option.metadata["help"] if option else "",
                "changed": option is not None and value != option.default,
            }
        )
    return {
        "command": summary.get("command"),
        "working_directory": summary.get("working_directory"),
        "device": summary.get("device"),
        "settings": settings,
        "versions": _mapping(summary.get("program")),
        "times": _mapping(summary.get("times")),
        "rounds": [_mapping(one) for one in summary.get("rounds") or ()],
        "subdivided": _mapping(summary.get("subdivided")),
        "warnings": [in_plain_words(str(line)) for line in summary.get("warnings") or ()],
    }


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _per_class(value: Any, classes: int) -> list[Any] | None:
    """A plain value for each class, ``None`` where there is something else."""
    plain = value.tolist() if isinstance(value, np.ndarray) else value
    fits = isinstance(plain, (list, tuple)) and len(plain) == classes
    return list(plain) if fits and all(isinstance(one, (str, int, float, type(None))) for one in plain) else None
