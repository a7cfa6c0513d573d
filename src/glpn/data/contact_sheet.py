"""Contact sheets: one picture of many samples, each photo beside its depth in colour."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from glpn.data.frame_stats import shrink
from glpn.data.sample import Sample
from glpn.depth.colormaps import color_range, colorize
from glpn.errors import UsageError

_GAP = 4
_LABEL = 14  # height of a line of text in pixels
_INK, _PAPER = (20, 20, 20), (255, 255, 255)


def contact_sheet(
    samples: Sequence[Sample],
    *,
    columns: int = 4,
    width: int = 200,
    labels: Sequence[str] | None = None,
) -> NDArray[np.uint8]:
    """One picture of many samples, RGB uint8 [H, W, 3].

    Args:
        samples: the samples, row by row; sizes may differ.
        columns: samples per row.
        width: width of a photo in pixels; its depth map has the same width.
        labels: the text under each sample; the names if None.

    Raises:
        UsageError: there is no sample, or the number of labels differs.
    """
    if not samples or columns < 1 or width < 1:
        raise UsageError("contact sheet: expected at least one sample, column and pixel of width")
    texts = [sample.name for sample in samples] if labels is None else list(labels)
    if len(texts) != len(samples):
        raise UsageError(f"contact sheet: {len(samples)} samples, {len(texts)} labels")
    columns = min(columns, len(samples))
    tiles = [_tile(sample, text, width) for sample, text in zip(samples, texts, strict=True)]
    tall, wide = max(tile.height for tile in tiles), tiles[0].width
    rows = -(-len(tiles) // columns)
    size = (columns * (wide + _GAP) + _GAP, rows * (tall + _GAP) + _GAP)
    sheet = Image.new("RGB", size, _PAPER)
    for i, tile in enumerate(tiles):
        row, column = divmod(i, columns)
        sheet.paste(tile, (_GAP + column * (wide + _GAP), _GAP + row * (tall + _GAP)))
    return np.array(sheet)


def _tile(sample: Sample, text: str, width: int) -> Image.Image:
    photograph = Image.fromarray(np.ascontiguousarray(sample.image))
    height = max(round(width * photograph.height / photograph.width), 1)
    metres = _thickened(sample.depth, (height, width))
    near, far = color_range(metres)
    depth = Image.fromarray(colorize(metres, near=near, far=far))
    tile = Image.new("RGB", (2 * width + _GAP, height + _LABEL), _PAPER)
    tile.paste(photograph.resize((width, height), Image.Resampling.BOX), (0, 0))
    tile.paste(depth, (width + _GAP, 0))
    text = f"{text}  {near:.3g} to {far:.3g} m"  # the ends of the colour scale
    shown = text.encode("latin-1", "replace").decode("latin-1")  # the font has only Latin-1
    ImageDraw.Draw(tile).text((2, height + 1), shown, fill=_INK)
    return tile


def _thickened(depth: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """The depth at `size`, each pixel the largest of its block: sparse LiDAR stays visible."""
    depth = np.where(np.isfinite(depth), depth, np.float32(0))
    if depth.shape[0] < size[0] or depth.shape[1] < size[1]:
        return shrink(depth, size)
    rows, columns = np.nonzero(depth)
    small = np.zeros(size, np.float32)
    place = (rows * size[0] // depth.shape[0], columns * size[1] // depth.shape[1])
    np.maximum.at(small, place, depth[rows, columns])
    return small
