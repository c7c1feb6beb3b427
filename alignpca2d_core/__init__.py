"""AlignPCA-2D: 2D classification of cryo-EM particles by PCA-reduced Euclidean alignment.

The standalone core.  It knows nothing of Scipion: a command line and files are its only seam
(``python -m alignpca2d_core --help``).  In Python the same is at hand under the names below::

    from pathlib import Path
    from alignpca2d_core import Progress, Settings, classify, read_results

    classify(Path("particles.star"), Path("classes"), Settings(classes=20), Progress(quiet=True))
    particles, result = read_results("classes")

They are loaded when they are first used: importing the package alone does not load PyTorch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .classification import Classifier
    from .commands.classify import assign, classify
    from .errors import InputError
    from .io import ParticleSet, read_particles, write_particles
    from .results import Classification, read_results
    from .runtime.progress import Progress
    from .settings import Settings

__version__ = "0.2.0"

_HOMES = {
    "Classification": "results",
    "Classifier": "classification",
    "InputError": "errors",
    "ParticleSet": "io",
    "Progress": "runtime.progress",
    "Settings": "settings",
    "assign": "commands.classify",
    "classify": "commands.classify",
    "read_particles": "io",
    "read_results": "results",
    "write_particles": "io",
}

__all__ = [
    "Classification",
    "Classifier",
    "InputError",
    "ParticleSet",
    "Progress",
    "Settings",
    "assign",
    "classify",
    "read_particles",
    "read_results",
    "write_particles",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
