"""Density maps: reading and projecting them, and the views of a map that class averages show."""

from .density import Density, read_map

__all__ = ["Density", "read_map"]
