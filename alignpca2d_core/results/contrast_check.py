"""Two joined sets of opposite contrast: each makes good classes of its own, and nothing looks wrong but their grey."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ..io.particle_set import ParticleSet
from ..preprocessing.mask_shape import soft_mask
from .class_quality import JUNK
from .result_files import Classification

CLEARLY = 0.25
"""Mean density of the middle of an average, in its standard deviations, from which on it is white or dark."""
MOSTLY_DARK = 0.75
"""Share of the particles in dark averages from which on the whole set is said to be inverted."""
ONE_SIDED = 0.8
"""Share of the particles of a group that have one contrast, and of all that are in such groups."""
LEAST_IN_GROUP, LEAST_DARK = 5, 20
MOST_NAMED = 3
BY_THEMSELVES = "classify the dark ones by themselves with --invert"


def densities(averages: NDArray[np.float32]) -> NDArray[np.float64]:
    """Mean density of the middle of averages (k, box, box), in their standard deviations, (k,)."""
    box = averages.shape[-1]
    middle = soft_mask(box, box / 5).numpy()
    return np.asarray((averages * middle).sum((1, 2)) / middle.sum() / averages.std((1, 2)).clip(1e-12))


def _signs(result: Classification) -> NDArray[np.int64]:
    """Which averages are white, 1, and which are dark, -1, (k,); 0 of junk, and where it cannot be told."""
    density = densities(result.averages)
    verdicts = ["" for _ in density] if result.verdicts is None else result.verdicts.verdict
    counts = np.array([verdict != JUNK for verdict in verdicts])
    return np.where(counts & (density < -CLEARLY), -1, np.where(counts & (density > CLEARLY), 1, 0))


def has_both_contrasts(result: Classification, sizes: NDArray[np.int64]) -> bool:
    """Whether so many particles are in dark averages, and so many in white ones, by the classes' sizes (k,)."""
    sign = _signs(result)
    return bool(sizes[sign < 0].sum() >= LEAST_DARK and sizes[sign > 0].sum() >= LEAST_DARK)


def opposite_contrasts(result: Classification, particles: ParticleSet) -> str | None:
    """A line about groups of particles that are dark where others are white; None where there are none.

    Parameters
    ----------
    result : Classification
    particles : ParticleSet
        With optics groups, micrographs or several stacks: the first of these that parts the contrasts is named.
    """
    sign = _signs(result)
    of_particle = np.where(result.assignments >= 0, sign[result.assignments], 0)
    if (of_particle < 0).sum() < LEAST_DARK or (of_particle > 0).sum() < LEAST_DARK:
        return None
    known = of_particle != 0
    for kind, groups in groupings(particles):
        names, place = np.unique(groups[known], return_inverse=True)
        size = np.bincount(place)
        dark_share = np.bincount(place, weights=of_particle[known] < 0) / size
        enough = size >= LEAST_IN_GROUP
        dark, white = (enough & (share >= ONE_SIDED) for share in (dark_share, 1 - dark_share))
        if dark.any() and white.any() and size[dark | white].sum() >= ONE_SIDED * known.sum():
            return _message(kind, names[dark].tolist(), int(size[dark].sum()), int(size[white].sum()))
    return None


def groupings(particles: ParticleSet) -> Iterator[tuple[str, NDArray[np.object_]]]:
    """What particles come together in, and the name of each particle's group (n,)."""
    table = particles.table
    for kind, labels in (("optics group", ("rlnOpticsGroup",)), ("micrograph", ("rlnMicrographName", "micrograph"))):
        found = next((table[label] for label in labels if label in table), None)
        if found is not None:
            yield kind, found.astype(str).astype(object)
    yield "stack", np.array([str(path) for path in particles.stacks], dtype=object)[particles.stack_of]


def named_groups(kind: str, names: list[str]) -> str:
    """The first of some groups by their names."""
    named = ", ".join(names[:MOST_NAMED]) + (f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else "")
    return f"{kind}{'s' if len(names) > 1 else ''} {named}"


def _message(kind: str, names: list[str], dark: int, white: int) -> str:
    return (
        f"the {dark} particles of {named_groups(kind, names)} are dark where the other {white} are white: sets of "
        f"opposite contrast were joined. Invert the images of one, or {BY_THEMSELVES}"
    )
