"""Choosing among classes: selections by number, similar classes, limits on what is taken of each."""

from .selection import Selection, read_selection, selection_of

__all__ = ["Selection", "read_selection", "selection_of"]
