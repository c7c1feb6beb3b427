"""Whether a particle has come before, under whatever name, and whether its image is still what it was."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...io.particle_set import ParticleSet
from ...io.stacks import StackReader
from ...preprocessing.input_fingerprint import imprint


def images_of(particles: ParticleSet) -> str:
    """Digest of some of the images; empty when none is enabled.

    Raises
    ------
    InputError
        When a stack is missing or damaged.
    """
    if not particles.enabled.any():
        return ""
    with StackReader(particles) as reader:
        return imprint(reader, particles)["images"]


def identities(particles: ParticleSet, directory: Path) -> NDArray[np.int64]:
    """A number for each image that no other image has, (n,).

    The stack's path, relative to the results so that a project can be moved, is hashed and the image's number
    mixed in: within a stack numbers never meet, and among ten million particles of many stacks two do with a
    chance of 3 in a million.
    """
    start = directory.absolute()
    names = (os.path.relpath(stack.absolute(), start) for stack in particles.stacks)
    digests = (hashlib.blake2b(name.encode("utf-8", "surrogateescape"), digest_size=8) for name in names)
    seeds = np.array([int.from_bytes(digest.digest(), "little") for digest in digests], dtype=np.uint64)
    index = particles.index_in_stack.astype(np.uint64)
    with np.errstate(over="ignore"):
        mixed = seeds[particles.stack_of] + (index + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    return mixed.view(np.int64)


def unique_ids(wanted: NDArray[Any], taken: NDArray[np.int64]) -> NDArray[np.int64]:
    """The ids that particles (n,) come with; one that another particle has already is replaced by a free one."""
    ids = wanted.astype(np.int64).copy()
    again = np.isin(ids, taken)
    if again.any():
        free = int(max(ids.max(), taken.max())) + 1
        ids[again] = np.arange(free, free + int(again.sum()))
    return ids
