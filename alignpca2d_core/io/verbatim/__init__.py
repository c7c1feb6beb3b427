"""Metadata as it was written: the text of values, the order of columns and rows, and what stands around a table."""

from .origin import Origin
from .row_text import TextTable, as_xmipp, put_together, take_apart, with_columns

__all__ = ["Origin", "TextTable", "as_xmipp", "put_together", "take_apart", "with_columns"]
