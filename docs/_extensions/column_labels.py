"""The directive ``column-labels``: which columns of Xmipp's and RELION's tables the program reads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from alignpca2d_core.io.star import column_labels

MEANINGS = {
    "image": "the image",
    "identifier": "a number of its own for each particle",
    "sampling_rate": "pixel size, Å",
    "defocus_u": "defocus along one main axis, Å; positive means underfocus",
    "defocus_v": "defocus along the other, Å",
    "defocus_angle": "direction of the first, degrees, from columns towards rows",
    "voltage": "acceleration voltage, kV",
    "spherical_aberration": "spherical aberration, mm",
    "amplitude_contrast": "amplitude contrast, from 0 to 1",
    "phase_shift": "phase shift of a phase plate, degrees",
    "phase_flipped": "whether the image's phases are flipped, 0 or 1",
    "premultiplied": "whether the image is multiplied by its CTF, 0 or 1",
}


def columns() -> Iterator[tuple[str, tuple[str, ...]]]:
    """What each column means, and its labels."""
    found = {
        "image": column_labels.IMAGE,
        "identifier": column_labels.IDENTIFIER,
        "sampling_rate": column_labels.SAMPLING_RATE,
        **column_labels.CTF,
        **column_labels.CTF_FLAGS,
    }
    for name, labels in found.items():
        yield MEANINGS[name], labels


class ColumnLabels(SphinxDirective):
    """``.. column-labels::``"""

    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(column_labels.__file__)
        lines = [".. list-table::", "   :header-rows: 1", "   :widths: 40 60", "   :class: options", ""]
        lines += ["   * - what", "     - labels, the first that is there counts"]
        for meaning, labels in columns():
            lines += [f"   * - {meaning}", f"     - {', '.join(f'``{label}``' for label in labels)}"]
        body = nodes.Element()
        self.state.nested_parse(StringList(lines, source=column_labels.__file__), self.content_offset, body)
        return list(body.children)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("column-labels", ColumnLabels)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
