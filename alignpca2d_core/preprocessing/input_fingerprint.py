"""Whether the input is still what it was: digests of the metadata that matter and of a sample of the images."""

from __future__ import annotations

import hashlib
from dataclasses import fields

import numpy as np

from ..io.particle_set import ParticleSet
from ..io.stacks import StackReader

MOST_IMAGES, LEAST_IMAGES = 64, 4
SAMPLE_BYTES, STACK_BYTES = 16 * 2**20, 64 * 2**20


def imprint(reader: StackReader, particles: ParticleSet) -> dict[str, str]:
    """Digests of particles, to be compared with those of another time.

    Images are sampled evenly: a single changed image is as a rule not noticed.  Contents count, not times: viewers
    open stacks for writing and leave them with a new one.  See :func:`stack_samples` for many stacks.

    Parameters
    ----------
    reader : StackReader
    particles : ParticleSet

    Returns
    -------
    dict
        ``metadata``: of image numbers, which of them are enabled, and the CTF; ``images``: of the sample.
    """
    columns = [particles.stack_of, particles.index_in_stack, particles.enabled]
    if particles.ctf is not None:
        optics = (getattr(particles.ctf, item.name) for item in fields(particles.ctf))
        columns += [column for column in optics if column.dtype != bool or column.any()]
    metadata = hashlib.sha256()
    for column in columns:
        metadata.update(np.ascontiguousarray(column).view(np.uint8).data)
    images = hashlib.sha256()
    enabled = np.flatnonzero(particles.enabled)
    most = int(np.clip(SAMPLE_BYTES // (4 * reader.box**2), LEAST_IMAGES, MOST_IMAGES))
    for row in enabled[np.unique(np.linspace(0, len(enabled) - 1, most).astype(np.int64))] if len(enabled) else ():
        images.update(reader.as_stored(int(row)).view(np.uint8).data)
    return {"metadata": metadata.hexdigest()[:16], "images": images.hexdigest()[:16]}


def stack_samples(reader: StackReader, particles: ParticleSet) -> str:
    """Digest of the first image in use of each stack, so that one of many that was rewritten is noticed.

    Where there are more stacks than :data:`STACK_BYTES` have images, they are sampled evenly.
    """
    enabled = np.flatnonzero(particles.enabled)
    _, first = np.unique(particles.stack_of[enabled], return_index=True)
    rows = enabled[first]
    most = max(STACK_BYTES // (4 * reader.box**2), LEAST_IMAGES)
    images = hashlib.sha256()
    for row in rows[np.unique(np.linspace(0, len(rows) - 1, most).astype(np.int64))] if len(rows) else ():
        images.update(reader.as_stored(int(row)).view(np.uint8).data)
    return images.hexdigest()[:16]
