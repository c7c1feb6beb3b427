"""Warnings of a report name no options."""

from __future__ import annotations

import pytest

from alignpca2d_core.report.plain_words import in_plain_words


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("ask for fewer classes (--classes)", "ask for fewer classes (number of classes)"),
        ("by themselves with --invert", "by themselves with inverted contrast"),
        ("--mask-diameter 90 Å is more than the box holds", "mask diameter 90 Å is more than the box holds"),
        ("or run with --ctf none", "or run with CTF correction none"),
        ("tell RELION so (--ctf_phase_flipped)", "tell RELION so (--ctf_phase_flipped)"),
        ("a-b--c, nothing -- of the kind, --unheard-of", "a-b--c, nothing -- of the kind, --unheard-of"),
    ],
)
def test_options_have_names(line: str, expected: str) -> None:
    assert in_plain_words(line) == expected
