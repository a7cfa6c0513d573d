"""Textures: photographs on models, as square pyramids of sRGB and coverage."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 256  # texels of the finest level
LEVELS = 9  # sides 256, 128 … 1
OFFSETS = np.concatenate([[0], np.cumsum([(SIDE >> k) ** 2 for k in range(LEVELS)])])
_MAX_PIXELS = 1 << 26

Texture = NDArray[np.uint8]  # [OFFSETS[-1], 4]: red, green, blue, coverage


def read_texture(name: str, read: Callable[[str], bytes]) -> Texture | None:
    """The texture of a picture file; None if it is missing or not a picture."""
    try:
        with Image.open(io.BytesIO(read(name))) as picture:
            if picture.width * picture.height > _MAX_PIXELS:
                return None
            image = picture.convert("RGBA")
    except (KeyError, OSError, ValueError, Image.DecompressionBombError):
        return None
    return pyramid(image)


def pyramid(image: Image.Image) -> Texture:
    """All levels of an RGBA image, the largest first."""
    levels = []
    for level in range(LEVELS):
        side = SIDE >> level
        image = image.resize(
            (side, side), Image.Resampling.BOX if level else Image.Resampling.LANCZOS
        )
        levels.append(np.asarray(image, np.uint8).reshape(-1, 4))
    return np.concatenate(levels)


def sample(
    bank: NDArray[np.uint8],
    first: NDArray[np.int64],
    uv: NDArray[np.float32],
    *,
    span: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Bilinear linear-light colour and coverage [N, 4] at texture coordinates [N, 2].

    Args:
        bank: textures one after the other [texels, 4].
        first: the first texel of the texture of each point [N].
        uv: coordinates that repeat with period 1; v points up.
        span: the share of the texture that a pixel covers [N], which selects the level.
    """
    level = np.clip(np.round(np.log2(np.maximum(span * SIDE, 1e-6))), 0, LEVELS - 1).astype(int)
    side = SIDE >> level
    x = (uv[:, 0] - np.floor(uv[:, 0])) * side - 0.5
    y = (1 - (uv[:, 1] - np.floor(uv[:, 1]))) * side - 0.5
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    across, down = (x - left)[:, None], (y - top)[:, None]
    start, wrap = first + OFFSETS[level], side - 1

    def texel(column: NDArray[np.int64], row: NDArray[np.int64]) -> NDArray[np.float32]:
        return np.asarray(bank[start + (row & wrap) * side + (column & wrap)], np.float32)

    upper = texel(left, top) * (1 - across) + texel(left + 1, top) * across
    lower = texel(left, top + 1) * (1 - across) + texel(left + 1, top + 1) * across
    found = (upper * (1 - down) + lower * down) / 255
    found[:, :3] **= 2.2
    return np.asarray(found, np.float32)
