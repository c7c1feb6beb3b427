"""What ``simulate --realistic`` sets, and which options only one kind of simulation understands."""

from __future__ import annotations

from typing import Any

REALISTIC: dict[str, tuple[Any, Any]] = {
    "orientations": ("discrete", "continuous"),
    "ice": (0.0, 0.35),
    "noise_spectrum": (0.0, 0.45),
    "envelope": (0.0, 120.0),
    "solvent": (0.0, 0.65),
    "defocus_min": (0.6, 0.8),
    "defocus_max": (2.0, 2.4),
    "defocus_error": (0.0, 0.04),
    "astigmatism": (0.0, 0.1),
    "ice_thickness": (0.0, 0.35),
    "gain": (0.0, 0.3),
    "ramp": (0.0, 0.15),
    "neighbours": (0.0, 0.2),
    "borders": (0.0, 0.012),
    "junk_fraction": (0.0, 0.16),
    "off_centre_fraction": (0.0, 0.03),
}
"""Values of the simulation's parameters: as the paper has them, and under ``--realistic``."""

CONTINUOUS_ALONE = (
    *("symmetry", "micrographs", "ice", "noise_spectrum", "envelope", "solvent", "defocus_error", "ice_thickness"),
    *("gain", "ramp", "neighbours", "borders", "junk_kinds", "no_normalise", "preferred_fraction"),
)
DISCRETE_ALONE = ("views", "view_selection", "view_ratio", "order", "second_conformation", "noise_fraction")


def both(name: str, text: str) -> str:
    """The help of a parameter of :data:`REALISTIC`."""
    plain, realistic = REALISTIC[name]
    return f"{text}; by default {plain}, with --realistic {realistic}"
