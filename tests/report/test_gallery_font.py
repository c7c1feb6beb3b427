"""The text on the gallery, whose font ships with the core."""

from __future__ import annotations

import pytest
from PIL import ImageFont

from alignpca2d_core.report.gallery import FONT

NOT_A_CHARACTER = "\uffff"


def drawn(font: ImageFont.FreeTypeFont, text: str) -> bytes:
    return bytes(font.getmask(text))


@pytest.mark.parametrize("sign", list("Å°±×µéç–—…≤≥−Å"))
@pytest.mark.parametrize("size_px", [11, 23])
def test_signs_are_drawn_and_not_a_box(sign: str, size_px: int) -> None:
    font = ImageFont.truetype(str(FONT), size_px)
    assert drawn(font, sign) not in (drawn(font, NOT_A_CHARACTER), drawn(font, " "))


def test_angstrom_is_an_a_with_something_above_it() -> None:
    font = ImageFont.truetype(str(FONT), 23)
    left, top, right, bottom = font.getbbox("A")
    with_ring = font.getbbox("Å")
    assert with_ring[1] < top
    assert (with_ring[0], with_ring[2:]) == (left, (right, bottom))


def test_the_licence_lies_beside_the_font() -> None:
    licence = FONT.with_name("LICENSE").read_text(encoding="utf-8")
    assert "Bitstream Vera Fonts Copyright" in licence
    assert "Arev Fonts Copyright" in licence
