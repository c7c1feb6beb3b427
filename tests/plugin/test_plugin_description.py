"""What Scipion shows of the plugin: names and citations."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("pwem")

from pwem import Domain

pytestmark = pytest.mark.scipion


@pytest.fixture(scope="module")
def protocols() -> dict[str, Any]:
    """The classes of all protocols that are installed, by name."""
    return Domain.getProtocols()


def test_no_other_protocol_has_the_label(protocols: dict[str, Any]) -> None:
    ours = protocols["ProtAlignPCA2D"].getClassLabel(False)
    assert ours.startswith("alignPCA-2D")
    others = {name for name, found in protocols.items() if found.getClassLabel(False) == ours}
    assert others == {"ProtAlignPCA2D"}


def test_the_paper_is_cited_once_with_a_link(protocols: dict[str, Any]) -> None:
    protocol = protocols["ProtAlignPCA2D"]()
    (reference,) = [line for line in protocol.citations() if "http" in line]
    assert reference.startswith("[[https://journals.iucr.org/d/issues/2026/07/00/vo5022/index.html][Ramírez-Aportela")
    assert "Acta Crystallographica Section D, 2026" in reference
    assert not any("not found" in line or "Error" in line for line in protocol.citations())
