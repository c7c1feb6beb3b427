"""Whether the input is still what it was: digests of the metadata that matter and of a sample of the images."""

from __future__ import annotations

import hashlib
from dataclasses import fields
from pathlib import Path

import numpy as np

from ..io.particle_set import ParticleSet
from ..io.stacks import StackReader

MOST_IMAGES, LEAST_IMAGES = 64, 4
SAMPLE_BYTES = 16 * 2**20


def imprint(reader: StackReader, particles: ParticleSet, count: int | None = None) -> dict[str, str]:
    """Digests of the first particles, to be compared with those of another time.

    Images are sampled evenly: a stack that was written anew is noticed, a single changed image as a rule not.
    See :func:`newer_stacks`.

    Parameters
    ----------
    reader : StackReader
    particles : ParticleSet
    count : int, optional
        How many of the particles, from the first; all by default.

    Returns
    -------
    dict
        ``metadata``: of image numbers, which of them are enabled, and the CTF; ``images``: of the sample.
    """
    first = particles.subset(slice(count))
    columns = [first.stack_of, first.index_in_stack, first.enabled]
    if first.ctf is not None:
        columns += [getattr(first.ctf, item.name) for item in fields(first.ctf)]
    metadata = hashlib.sha256()
    for column in columns:
        metadata.update(np.ascontiguousarray(column).view(np.uint8).data)
    images = hashlib.sha256()
    enabled = np.flatnonzero(first.enabled)
    most = int(np.clip(SAMPLE_BYTES // (4 * reader.box**2), LEAST_IMAGES, MOST_IMAGES))
    for row in enabled[np.unique(np.linspace(0, len(enabled) - 1, most).astype(np.int64))] if len(enabled) else ():
        images.update(reader.read(np.array([row])).view(np.uint8).data)
    return {"metadata": metadata.hexdigest()[:16], "images": images.hexdigest()[:16]}


def newer_stacks(particles: ParticleSet, than: Path) -> list[Path]:
    """The stacks in use that were written to after the file ``than``; none where that file does not exist."""
    if not than.exists():
        return []
    time = than.stat().st_mtime_ns
    used = [particles.stacks[number] for number in np.unique(particles.stack_of[particles.enabled])]
    return [path for path in used if path.stat().st_mtime_ns > time]
