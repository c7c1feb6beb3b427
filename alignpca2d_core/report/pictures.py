"""Images as a person wants to see them: the grey range that shows the particle, packed for a page."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

DARKEST_PERCENT, BRIGHTEST_PERCENT = 1.0, 99.7
FLAT_GREY = 96
JPEG_QUALITY = 87


def disc(box: int) -> NDArray[np.bool_]:
    """Pixels of a box within half its side of its centre, pixel box//2, (box, box)."""
    offset = np.arange(box) - box // 2
    return np.hypot(offset[:, None], offset[None, :]) <= box / 2


def grey(
    image: NDArray[np.float32],
    side: int,
    percent: tuple[float, float] = (DARKEST_PERCENT, BRIGHTEST_PERCENT),
) -> Image.Image:
    """An image (box, box) as a picture of ``side`` pixels, its grey range that of most pixels in its disc."""
    finite = np.nan_to_num(np.asarray(image, dtype=np.float32), posinf=0.0, neginf=0.0)
    darkest, brightest = np.percentile(finite[disc(len(finite))], percent)
    if brightest <= darkest:
        return Image.new("L", (side, side), FLAT_GREY)
    return _scaled(finite, side, float(darkest), float(brightest))


def signed_grey(image: NDArray[np.float32], side: int) -> Image.Image:
    """An image whose zero means nothing, (box, box): zero is middle grey."""
    finite = np.nan_to_num(np.asarray(image, dtype=np.float32), posinf=0.0, neginf=0.0)
    limit = max(float(np.percentile(np.abs(finite), BRIGHTEST_PERCENT)), 1e-30)
    return _scaled(finite, side, -limit, limit)


def _scaled(image: NDArray[np.float32], side: int, darkest: float, brightest: float) -> Image.Image:
    large = Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC)
    values = (np.asarray(large) - darkest) * (255.0 / (brightest - darkest))
    return Image.fromarray(values.clip(0.0, 255.0).astype(np.uint8))


def strip(pictures: Sequence[Image.Image]) -> Image.Image:
    """Pictures of one size side by side."""
    width, height = pictures[0].size
    page = Image.new("L", (width * len(pictures), height))
    for number, picture in enumerate(pictures):
        page.paste(picture, (number * width, 0))
    return page


def data_uri(picture: Image.Image) -> str:
    """A grey picture as the address that it can be embedded under."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=JPEG_QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
