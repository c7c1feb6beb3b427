"""Pictures of a result for a person to judge: the gallery of class averages, and the report as one HTML file.

Pillow is needed here and nowhere else.
"""

from .gallery import write_gallery
from .writing import report_on, write_pictures

__all__ = ["report_on", "write_gallery", "write_pictures"]
