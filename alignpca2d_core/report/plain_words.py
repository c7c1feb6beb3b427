"""Warnings in plain words: readers of a report may have used a form, and not know the command line's options."""

from __future__ import annotations

import re
from dataclasses import fields

from ..settings import Settings

NAMES = {
    "classes": "number of classes",
    "ctf": "CTF correction",
    "initial-particles": "number of initial particles",
    "invert": "inverted contrast",
    "no-sieve": "classification of all images alike",
    "output": "folder",
    "references": "given averages",
    "resolution": "resolution limit",
    "resume": "continuation",
    "sampling-rate": "pixel size",
}
"""Options whose name alone does not say what they are."""
OPTION = re.compile(r"(?<![\w-])--([a-z]+(?:-[a-z]+)*)\b(?!_)")


def in_plain_words(line: str) -> str:
    """A line with what options are called in place of the options."""
    known = {field.name.replace("_", "-") for field in fields(Settings)} | NAMES.keys()

    def name(found: re.Match[str]) -> str:
        option = found.group(1)
        return NAMES.get(option, option.replace("-", " ")) if option in known else found.group()

    return OPTION.sub(name, line)
