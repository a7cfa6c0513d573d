"""The legend of a colour picture: a bar with distances in metres."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from glpn.depth.colormaps import color_table

MIN_HEIGHT = 64  # pixels; a smaller picture has no room for labels
_PAPER, _INK = (255, 255, 255), (20, 20, 20)
_LABELS = 5  # about
_FONT_SHARE = 26  # text is this fraction of the height
_FONT_SIZES = (10, 48)


def legend(height: int, colormap: str, near: float, far: float) -> NDArray[np.uint8]:
    """A strip [height, W, 3] to put to the right of a picture; far is at the top.

    Args:
        height: the picture's height, at least MIN_HEIGHT.
        colormap: one of `colormaps.COLORMAPS`.
        near, far: metres of the first and last colour.
    """
    size = min(max(height // _FONT_SHARE, _FONT_SIZES[0]), _FONT_SIZES[1])
    font = ImageFont.load_default(size)
    ticks = tick_values(near, far)
    digits = max(0, -math.floor(math.log10(ticks[1] - ticks[0])))
    texts = [f"{value:.{digits}f} m" for value in ticks]
    margin, bar = size, 2 * size
    width = 2 * margin + bar + math.ceil(max(font.getlength(text) for text in texts))
    strip = Image.new("RGB", (width, height), _PAPER)
    top, bottom = margin, height - margin
    levels = np.rint(np.linspace(255, 0, bottom - top)).astype(np.uint8)
    colors = np.repeat(color_table(colormap)[levels][:, None], bar, axis=1)
    strip.paste(Image.fromarray(colors), (margin // 2, top))
    draw = ImageDraw.Draw(strip)
    for value, text in zip(ticks, texts, strict=True):
        y = bottom - (value - near) / (far - near) * (bottom - top)
        draw.line((margin // 2 + bar, y, margin // 2 + bar + size // 3, y), fill=_INK)
        draw.text((margin + bar, y), text, fill=_INK, font=font, anchor="lm")
    return np.asarray(strip)


def tick_values(near: float, far: float) -> list[float]:
    """At least two multiples of 1, 2 or 5 times a power of ten within the range."""
    rough = (far - near) / _LABELS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    if math.floor(far / step) - math.ceil(near / step) < 1:
        step /= 2
    first, last = math.ceil(near / step - 1e-9), math.floor(far / step + 1e-9)
    return [index * step for index in range(first, last + 1)]
