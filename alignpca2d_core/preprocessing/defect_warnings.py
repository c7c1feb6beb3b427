"""What users are told of images that were repaired or set aside."""

from __future__ import annotations

WITH_NOISE = "replaced with noise of their own background"
COVERED = "are set aside: borders, gold or dust cover too much of the particle"


def warnings_of_defects(repaired: int, damaged: int) -> list[str]:
    """Lines about images that were repaired, and that could not be, where there are any."""
    found = []
    if repaired:
        found.append(f"{repaired} particles with constant borders, or outliers (gold, hot pixels, dust): {WITH_NOISE}")
    if damaged:
        found.append(f"{damaged} particles {COVERED}")
    return found
