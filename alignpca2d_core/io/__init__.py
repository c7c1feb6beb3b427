"""Files: Xmipp and RELION metadata, MRC stacks, and writing that leaves a file whole or absent."""

from .atomic_files import atomic_path, write_json
from .concatenation import concatenate
from .mrc import StackHeader, read_header
from .particle_reading import read_particles
from .particle_set import ParticleSet, write_particles
from .references import read_references
from .stacks import StackReader, write_stack
from .star.star_reader import Table, read_blocks
from .star.star_writer import write_blocks

__all__ = [
    "ParticleSet",
    "StackHeader",
    "StackReader",
    "Table",
    "atomic_path",
    "concatenate",
    "read_blocks",
    "read_header",
    "read_particles",
    "read_references",
    "write_blocks",
    "write_json",
    "write_particles",
    "write_stack",
]
