"""Simulated particles with a known truth."""

from ..maps.density import Density, read_map
from .particle_sampling import DrawnParticles, draw_particles
from .phantom import make_phantom
from .specimen import Scatterers, Specimen, read_structure

__all__ = [
    "Density",
    "DrawnParticles",
    "Scatterers",
    "Specimen",
    "draw_particles",
    "make_phantom",
    "read_map",
    "read_structure",
]
