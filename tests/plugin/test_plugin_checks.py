"""What is known to be wrong before the program is started."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

pytest.importorskip("pwem", reason="Scipion is not installed")
pytestmark = pytest.mark.scipion


@pytest.mark.parametrize(
    ("words", "taken"),
    [
        ("", None),
        ("--ctf wiener --resolution 9 --title=--odd", None),
        ("--no-sieve --ro 2 --perhaps", None),
        ("--ctf none --output=elsewhere", "--output"),
        ("--outp=elsewhere", "--output"),
        ("--samp 3", "--sampling-rate"),
        ("--ctf none -o elsewhere", "-o"),
        ("--ctf none -oelsewhere", "-o"),
        ("--ctf none -o=elsewhere", "-o"),
        ("--no-al", "--no-align"),
        ("--la", "--last"),
    ],
)
def test_what_the_protocol_gives_itself_is_refused_abbreviated_too(words: str, taken: str | None) -> None:
    from alignpca2d_plugin.protocols.checks import _extra_argument_errors

    found = _extra_argument_errors(SimpleNamespace(extraArguments=SimpleNamespace(get=lambda: words)))
    assert len(found) == (taken is not None)
    if taken is not None:
        assert found[0].startswith(f"The protocol gives {taken} itself: ")
