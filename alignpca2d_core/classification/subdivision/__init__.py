"""From distinct views to the number of classes asked for."""

from .subdivision import Division

__all__ = [
    "Division",
]
