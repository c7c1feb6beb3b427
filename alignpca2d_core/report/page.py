"""The report's page: a template of the package, with style, script and content put into it.

Nothing in the content is ever markup: it travels as JSON in which ``<``, ``>`` and ``&`` are escaped, and the
script sets it as text.  A content security policy lets no other script run and nothing be fetched.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping
from importlib import resources
from typing import Any

from ..io.atomic_files import plain

SCRIPTS = (
    "dom.js",
    "charts.js",
    "gallery.js",
    "choice.js",
    "similar.js",
    "map.js",
    "detail.js",
    "sections.js",
    "page.js",
)
_PLACE = re.compile(r"\{\{(\w+)\}\}")


def page(content: Mapping[str, Any]) -> str:
    """The whole HTML file.

    Parameters
    ----------
    content : mapping
        Of :func:`.content.content`; numpy values are allowed, NaN becomes null.
    """
    script = "".join(_part(name) for name in SCRIPTS)
    script = f'"use strict";\n(() => {{\n{script}}})();\n'
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    places = {
        "title": html.escape(str(content.get("title", ""))),
        "policy": f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'",
        "style": _part("page.css"),
        "script": script,
        "content": embedded_json(content),
    }
    return _PLACE.sub(lambda place: places[place[1]], _part("page.html"))


def embedded_json(value: Any) -> str:
    """JSON that can stand in a script element whatever strings it holds."""
    text = json.dumps(plain(value), allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _part(name: str) -> str:
    return (resources.files(__package__) / "page" / name).read_text(encoding="utf-8")
