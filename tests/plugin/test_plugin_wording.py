"""What the core says of options, told in the words of Scipion's form."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from alignpca2d_core.settings import Settings

pytest.importorskip("pwem", reason="Scipion is not installed")
pytestmark = pytest.mark.scipion


@pytest.fixture(scope="module")
def protocol() -> Any:
    from pwem import Domain
    from pyworkflow.project import Project

    return Domain.getProtocols()["ProtAlignPCA2D"](project=Project(Domain, "."))


@pytest.mark.parametrize("name", [option.name for option in dataclasses.fields(Settings) if option.name != "quiet"])
def test_every_option_has_words_of_the_form(protocol: Any, name: str) -> None:
    from alignpca2d_plugin.protocols.wording import in_terms_of_the_form

    said = in_terms_of_the_form(f"--{name.replace('_', '-')} 17: is not right, or do without it", protocol)
    assert "--" not in said
    assert said.endswith(" 17: is not right, or do without it")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("--classes 10: only 4 particles", '"Number of classes" 10: only 4 particles'),
        ("start again with more than --classes 8", 'start again with more than "Number of classes" 8'),
        (
            "alignpca2d: error: --output x: holds results; start without --resume",
            "folder x: holds results; start with Restart instead of Continue",
        ),
        ("alignpca2d rank 1: --seed -1: too low", '"Random seed" -1: too low'),
        ("tell RELION so (--ctf_phase_flipped)", "tell RELION so (--ctf_phase_flipped)"),
        ("nothing -- of the kind, a-b--c", "nothing -- of the kind, a-b--c"),
    ],
)
def test_lines_of_the_core_in_the_words_of_the_form(protocol: Any, said: str, expected: str) -> None:
    from alignpca2d_plugin.protocols.wording import in_terms_of_the_form

    assert in_terms_of_the_form(said, protocol) == expected


def test_the_summary_has_no_words_of_a_command_line(protocol: Any) -> None:
    from alignpca2d_plugin.protocols.report import summary

    results = {"warnings": ["classes 1 and 2 show the same view: ask for fewer classes (--classes)"]}
    (_, note) = summary(protocol, results, {}, "")
    assert note == 'Note: classes 1 and 2 show the same view: ask for fewer classes ("Number of classes")'


def test_what_no_limit_means_where_classes_are_classified_again() -> None:
    """The program takes some limits from the earlier run, and others not."""
    from pwem import Domain
    from pyworkflow.project import Project

    from alignpca2d_core.commands.options import INHERITED
    from alignpca2d_plugin.protocols.wording import PARAMETERS

    again = Domain.getProtocols()["ProtAlignPCA2DSubdivide"](project=Project(Domain, "."))
    first = Domain.getProtocols()["ProtAlignPCA2D"](project=Project(Domain, "."))
    for option in ("good-score", "good-resolution", "good-particles"):
        unset = "as in the earlier run" if option.replace("-", "_") in INHERITED["subdivide"] else "no limit"
        for protocol, meaning in ((again, unset), (first, "no limit")):
            parameter = protocol.getParam(PARAMETERS[option])
            assert parameter.label.get().endswith(f" (-1: {meaning})")
            assert f"-1: {meaning}" in parameter.help.get()
