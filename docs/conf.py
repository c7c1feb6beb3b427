"""The documents as a Sphinx site; ``make docs`` builds it into ``docs/_build/html``."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE / "_extensions")]

from alignpca2d_core import __version__  # noqa: E402

project = "AlignPCA-2D"
author = "The AlignPCA-2D developers"
project_copyright = "2026, the AlignPCA-2D developers; GPL-3.0-or-later"
release = version = __version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "mathml",
    "column_labels",
    "form_parameters",
    "module_tables",
    "program_options",
]
exclude_patterns = ["_build"]
templates_path: list[str] = []
language = "en"
smartquotes = False
highlight_language = "text"

# A module that is named and does not exist fails the build; types in signatures need not resolve.
nitpicky = True
nitpick_ignore_regex = [("py:(?!mod)[a-z]+", ".*")]

autodoc_member_order = "bysource"
autodoc_typehints = "none"
napoleon_google_docstring = False

html_theme = "furo"
html_title = f"AlignPCA-2D {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"
html_copy_source = False
