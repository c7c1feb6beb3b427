"""What is said of stacks that are not there: how many of how many, and the likely cause."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..particle_set import ParticleSet

OTHER_ENDINGS = {
    ".mrcs": (".mrc", ".mrcs.gz", ".mrcs.bz2"),
    ".mrc": (".mrcs", ".mrc.gz", ".mrc.bz2"),
    ".stk": (".mrcs",),
}
MOST_TRIED = 50
"""Missing stacks for which a cause is looked for."""


def is_missing(path: Path) -> bool:
    """Whether nothing lies under a name, or a link that leads nowhere; what may not be looked at is not missing."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def missing_message(particles: ParticleSet) -> str:
    """How many of the stacks that enabled particles use are missing, and why, as the end of a line."""
    used, counts = np.unique(particles.stack_of[particles.enabled], return_counts=True)
    gone = [place for place, number in enumerate(used) if is_missing(particles.stacks[number])]
    if len(used) == 1:
        said = "the only stack is missing"
    else:
        said = f"{len(gone)} of {len(used)} stacks are missing, with {counts[gone].sum()} of {counts.sum()} particles"
    tried = (_cause(particles.stacks[used[place]], particles.source) for place in gone[:MOST_TRIED])
    cause = next((one for one in tried if one), f"names count from {Path.cwd()}, or from {_home(particles.source)} up")
    return f"{said}; {cause}"


def _home(metadata: Path) -> Path:
    return metadata.absolute().parent


def _cause(missing: Path, metadata: Path) -> str:
    """Why a stack is not found under its name, and the remedy; empty where nothing like it is there."""
    if _is_link(missing):
        return f"{missing} is a link to {missing.readlink()}, which is gone"
    folders = [Path(), *metadata.parents, *metadata.absolute().parents]
    plain = Path(*(part.removeprefix(">") for part in missing.parts if part != ">"))
    for name, reason in _alike(plain, plain != missing):
        for folder in folders:
            if _is_file(folder / name):
                return f"{folder / name} is there: {reason}"
    shorter = [Path(*plain.parts[start:]) for start in range(1, len(plain.parts))]
    below = [Path(folder.name) / plain.name for folder in _folders_in(_home(metadata))]
    for name in [*shorter, *below]:
        for folder in folders:
            if _is_file(folder / name):
                return f"{folder / name} is there: put that folder into the names, or run where they count from"
    return ""


def _alike(plain: Path, was_marked: bool) -> Iterator[tuple[Path, str]]:
    """Names that the stack may have, and what has to be done then."""
    mark = "take the '>' out of the names, which cryoSPARC puts before its project's folder (sed 's/@>/@/')"
    if was_marked:
        yield plain, mark
    for ending in OTHER_ENDINGS.get(plain.suffix, ()):
        reason = f"the names say {plain.suffix} where the file is {ending}; put that right in one of them"
        reason = "decompress it" if ending.endswith(("gz", "bz2")) else reason
        yield plain.with_name(plain.stem + ending), f"{mark}, and {reason}" if was_marked else reason


def _folders_in(folder: Path) -> list[Path]:
    try:
        return sorted(one for one in folder.iterdir() if one.is_dir())
    except OSError:
        return []


def _is_link(path: Path) -> bool:
    try:
        return path.is_symlink()
    except OSError:
        return False


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False
