"""Tables: Xmipp's and RELION's metadata in STAR files, read and written, and the labels of their columns."""

from .star_reader import Table, read_blocks
from .star_writer import write_blocks

__all__ = ["Table", "read_blocks", "write_blocks"]
