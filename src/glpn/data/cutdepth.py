"""CutDepth: the region of the image that is replaced by its depth, and the pasted values."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from glpn.errors import require_choice

KINDS = ("vertical", "square", "none")
VALUES = ("range", "modulo")

Rectangle = tuple[int, int, int, int]  # top, left, height, width


def vertical_strip(size: tuple[int, int], alpha: float, beta: float, *, p: float) -> Rectangle:
    """Vertical CutDepth: columns l to l + w at full height (Kim et al. 2022, section 3.4).

    l = int(αW), w = int(max((W - αW)·β·p, 1)), α and β in [0, 1).
    """
    height, width = size
    left = int(alpha * width)
    return 0, left, height, int(max((width - alpha * width) * beta * p, 1))


def square_piece(
    size: tuple[int, int], corner: tuple[float, float], extent: tuple[float, float], *, p: float
) -> Rectangle:
    """The original CutDepth: a rectangle (Ishii and Yamashita 2021, section 3).

    `corner` is (row, column) and `extent` (height, width), each number in [0, 1). Both axes follow
    the rule of `vertical_strip`.
    """
    top, left = (int(c * side) for c, side in zip(corner, size, strict=True))
    height, width = (
        int(max((side - c * side) * e * p, 1))
        for c, e, side in zip(corner, extent, size, strict=True)
    )
    return top, left, height, width


def depth_as_colour(
    depth: NDArray[np.floating], *, values: str, max_depth: float, raw_scale: float
) -> NDArray[np.uint8]:
    """The 8-bit grey value for each distance.

    "range" is the published method: it maps 0 to `max_depth` metres to 0 to 255. "modulo"
    reproduces the authors' code: it writes the raw 16-bit value (metres * `raw_scale`) into 8 bits,
    which wraps at 256.
    """
    require_choice("cutdepth values", values, VALUES)
    if values == "modulo":
        grey = np.rint(depth * raw_scale) % 256
    else:
        grey = np.rint(np.clip(depth / max_depth, 0, 1) * 255)
    return np.asarray(grey, dtype=np.uint8)
